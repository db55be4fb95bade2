/** Bytes that are no archive; `offset` counts from the beginning of the (inflated) stream. */
export class ArchiveFault extends Error {
  override readonly name = 'ArchiveFault';
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

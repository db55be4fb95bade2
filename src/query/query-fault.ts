/** A query that cannot be read or answered exactly. `path` is the dotted path inside the query, empty for the query itself. */
export class QueryFault extends Error {
  override readonly name = 'QueryFault';
  readonly path: string;
  constructor(message: string, path = '', cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.path = path;
  }
}

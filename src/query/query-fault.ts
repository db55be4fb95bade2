interface FaultMore {
  readonly cause?: unknown;
  readonly expected?: string | undefined;
}

/** A query that cannot be read or answered exactly. `path` is the dotted path inside the query, empty for the query itself. */
export class QueryFault extends Error {
  override readonly name = 'QueryFault';
  readonly path: string;
  /** What to write instead, where one thing is certain. */
  readonly expected: string | undefined;

  constructor(message: string, path = '', more: FaultMore = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.path = path;
    this.expected = more.expected;
  }
}

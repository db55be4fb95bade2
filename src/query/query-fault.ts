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

/** Why an operator is refused: each that MongoDB has and this engine has not is named with the reason. */
const NOT_EXACT: Readonly<Record<string, string>> = {
  $where: 'it runs JavaScript, which is never done here',
  $function: 'it runs JavaScript, which is never done here',
  $accumulator: 'it runs JavaScript, which is never done here',
  $text: 'it needs a text index',
  $search: 'it needs a search index',
  $vectorSearch: 'it needs a search index',
  $geoWithin: GEO(),
  $geoIntersects: GEO(),
  $near: GEO(),
  $nearSphere: GEO(),
  $geoNear: GEO(),
  $within: GEO(),
  $maxDistance: GEO(),
  $minDistance: GEO(),
  $geometry: GEO(),
  $sampleRate: 'it selects at random, so that two runs would differ',
  $rand: 'it selects at random, so that two runs would differ',
  $not: 'it stands under a field; to negate a whole query write $nor',
};

function GEO(): string {
  return 'geometry on a sphere cannot be matched exactly as the server does';
}

/** The fault for an operator that is not in `supported`. */
export function unknownOperator(operator: string, supported: readonly string[], path: string): QueryFault {
  if (['$id', '$ref', '$db'].includes(operator) && path.includes('.')) {
    return new QueryFault(`${operator} is a field of a reference; write "${path}": … for it`, path);
  }
  const reason = Object.hasOwn(NOT_EXACT, operator) ? `: ${NOT_EXACT[operator]}` : '';
  return new QueryFault(
    `${operator} is not supported here${reason}; supported are ${supported.join(', ')}`,
    path,
  );
}

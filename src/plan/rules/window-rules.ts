/** `deleted` and `changed` of a plan's entries, as its file has them: what they must be, and the moment that they stand for. */
import { faultAt, noteAt, type PlanFault, quoted } from '../fault.ts';
import { type Instant, isStillToCome, momentIn, parseInstant, type TimeWindow } from '../instant.ts';
import {
  givenText,
  itemsAt,
  type MapNode,
  nodeAt,
  type PlanNode,
  pathText,
  placeAt,
  textAt,
  textsAt,
} from '../nodes.ts';
import { type CollectionEntry, collectionEntries } from './structure.ts';

const KINDS = ['deleted', 'changed'] as const;

interface WrittenWindows {
  readonly deleted?: TimeWindow;
  readonly changed?: TimeWindow & { readonly fields: readonly string[] };
}

/** The span under a key of an entry; undefined where it is missing or wrong. */
function spanIn(entry: PlanNode, key: (typeof KINDS)[number]): TimeWindow | undefined {
  const [from, until] = ['from', 'until'].map((end) => {
    const text = textAt(entry, key, end);
    const reading = text === undefined ? undefined : parseInstant(text);
    return reading !== undefined && 'instant' in reading ? reading.instant : undefined;
  });
  return from === undefined || until === undefined ? undefined : { from, until };
}

const UNSET = 0;

/** With an unset variable in it, an empty span: so it can never select too much. */
function givenSpan(entry: PlanNode, key: (typeof KINDS)[number]): TimeWindow | undefined {
  if (nodeAt(entry, key) === undefined) return undefined;
  const unset = (end: string): Instant => ({ epochMs: UNSET, text: givenText(entry, key, end) as string });
  return spanIn(entry, key) ?? { from: unset('from'), until: unset('until') };
}

export function buildWindows(entry: PlanNode): WrittenWindows {
  const deleted = givenSpan(entry, 'deleted');
  const changed = givenSpan(entry, 'changed');
  return {
    ...(deleted !== undefined && { deleted }),
    ...(changed !== undefined && { changed: { ...changed, fields: textsAt(entry, 'changed', 'fields') } }),
  };
}

/** Where an entry says which fields `whenMatched: merge` sets: those whose change is looked for, unless it names others. */
export function fieldsPath(entry: PlanNode): readonly string[] {
  const isMerge = textAt(entry, 'whenMatched') === 'merge';
  return isMerge && nodeAt(entry, 'fields') === undefined ? ['changed', 'fields'] : ['fields'];
}

/** `source.at`; where the plan does not say it, the moment at which its first window begins. */
export function momentOfPlan(root: MapNode): Instant | undefined {
  const source = nodeAt(root, 'source');
  if (nodeAt(source, 'at') !== undefined) return momentIn(source);
  return itemsAt(root, 'collections')
    .flatMap((entry) => KINDS.map((key) => spanIn(entry, key)?.from))
    .reduce(
      (first, from) => (first === undefined || (from && from.epochMs < first.epochMs) ? from : first),
      undefined,
    );
}

export function hasWindows(root: MapNode): boolean {
  return itemsAt(root, 'collections').some((entry) => KINDS.some((key) => nodeAt(entry, key) !== undefined));
}

/** The same text for entries that mean the same documents, were it not for their queries. */
export function windowsText(entry: PlanNode): string {
  return KINDS.map((key) => {
    const span = givenSpan(entry, key);
    const ends = [span?.from, span?.until].map((end) => (end?.epochMs === UNSET ? end.text : end?.epochMs));
    return span && [key, ...ends, ...textsAt(entry, key, 'fields')].join();
  }).join(';');
}

/** `dependents: auto`; a variable in its place is taken for it, whatever it holds, so that it can never select too little unsaid. */
export function proposesDependents(entry: PlanNode): boolean {
  return nodeAt(entry, 'dependents')?.kind === 'scalar';
}

export function windowRules(root: MapNode): PlanFault[] {
  const entries = collectionEntries(root).filter(({ parents }) => parents.length === 0);
  const faults = entries.flatMap((entry) =>
    KINDS.flatMap((key) => (nodeAt(entry.node, key) === undefined ? [] : windowFaults(root, entry, key))),
  );
  return [
    ...faults,
    ...entries.flatMap((entry) => [...changedFaults(root, entry), ...proposalFaults(root, entry)]),
  ];
}

/** Nobody knows yet what happens until then: a slip in the year, or a window that is to be named when it is over. */
export function futureWindows(
  root: MapNode,
  { now, isFault }: { readonly now: number; readonly isFault: boolean },
): PlanFault[] {
  return collectionEntries(root).flatMap(({ node, path }) =>
    KINDS.flatMap((key) => {
      const until = spanIn(node, key)?.until;
      if (until === undefined || !isStillToCome(until, now)) return [];
      const place = nodeAt(node, key, 'until')?.place ?? placeAt(node, key);
      const message = `${pathText([...path, key])} ends at ${until.text}, which is still to come: nobody knows what happens until then`;
      const expected = 'an instant that has passed';
      return [(isFault ? faultAt : noteAt)(place, 'time', { message, expected })];
    }),
  );
}

function windowFaults(
  root: MapNode,
  { node, path }: CollectionEntry,
  key: (typeof KINDS)[number],
): PlanFault[] {
  const faults: PlanFault[] = [];
  for (const end of ['from', 'until']) {
    const text = textAt(node, key, end);
    const reading = text === undefined ? undefined : parseInstant(text);
    if (reading === undefined || 'instant' in reading) continue;
    faults.push(faultAt(nodeAt(node, key, end)?.place ?? placeAt(node, key), 'time', reading));
  }
  const span = spanIn(node, key);
  const where = pathText([...path, key]);
  if (span !== undefined && span.until.epochMs <= span.from.epochMs) {
    const message = `${where} ends before it begins: nothing lies in it`;
    const expected = `an instant later than ${span.from.text}; it does not count itself`;
    faults.push(
      faultAt(nodeAt(node, key, 'until')?.place ?? placeAt(node, key), 'time', { message, expected }),
    );
  }
  const at = momentIn(nodeAt(root, 'source'));
  if (span !== undefined && at !== undefined && at.epochMs > span.from.epochMs) {
    const message = `source.at ${at.text} is later than ${where}.from: the backup would be of a time after what happened`;
    const expected = `no source.at, or one no later than ${span.from.text}`;
    const related = [
      { place: nodeAt(node, key, 'from')?.place ?? placeAt(node, key), message: 'it begins here' },
    ];
    faults.push(faultAt(placeAt(root, 'source', 'at'), 'time', { message, expected, related }));
  }
  return [...faults, ...oplogFaults(root, node, key)];
}

/** What happened stands in an oplog alone. */
function oplogFaults(root: MapNode, node: PlanNode, key: string): PlanFault[] {
  const expected =
    'source.oplog, such as { mongodb: { uri: … } }, that of the replica set which was dumped; or source.preImages';
  const place = placeAt(node, key);
  const oplog = nodeAt(root, 'source', 'oplog');
  const shards = nodeAt(oplog, 'shards');
  const ofShards = shards?.kind === 'map' ? [...shards.entries.values()].map(({ value }) => value) : [];
  if ([oplog, ...ofShards].some((each) => nodeAt(each, 'backup') !== undefined)) {
    const message = `the oplog that a dump took along ends with the dump: it does not know what was ${key} later`;
    return [faultAt(place, 'source', { message, expected })];
  }
  if (['oplog', 'preImages'].some((source) => nodeAt(root, 'source', source) !== undefined)) return [];
  const message = `what was ${key} stands in an oplog, and the plan names none`;
  return [faultAt(place, 'source', { message, expected })];
}

function changedFaults(root: MapNode, { node, path, name }: CollectionEntry): PlanFault[] {
  if (nodeAt(node, 'changed') === undefined) return [];
  const faults: PlanFault[] = [];
  const matched = textAt(node, 'whenMatched');
  if (matched !== 'replace' && matched !== 'merge') {
    const message = `documents of ${quoted(name)} that were changed are still there, and nothing says that they may be written over`;
    const expected = '`whenMatched: merge`, which sets `changed.fields` alone, or `whenMatched: replace`';
    const place = nodeAt(node, 'whenMatched')?.place ?? placeAt(root, ...path, 'changed');
    faults.push(faultAt(place, 'collections', { message, expected }));
  }
  if (nodeAt(node, 'deleted') === undefined && nodeAt(node, 'dependents') !== undefined) {
    const message = 'a document that was changed is still there, and so are its dependents';
    const expected = 'an entry of its own for each collection that was changed';
    faults.push(faultAt(placeAt(root, ...path, 'dependents'), 'collections', { message, expected }));
  }
  return faults;
}

/** What was lost together is told by `deleted` and an oplog, which has every collection; a change stream has those that it is asked for. */
function proposalFaults(root: MapNode, { node, path, name }: CollectionEntry): PlanFault[] {
  if (textAt(node, 'dependents') !== 'auto') return [];
  const place = placeAt(root, ...path, 'dependents');
  if (nodeAt(node, 'deleted') === undefined) {
    if (nodeAt(node, 'changed') !== undefined) return []; // it has no dependents at all
    const message = `\`dependents: auto\` proposes what was lost together with documents of ${quoted(name)}, and nothing says when that was`;
    const expected = '`deleted: { from: …, until: … }` beside it, or a list of dependents';
    return [faultAt(place, 'collections', { message, expected })];
  }
  if (nodeAt(root, 'source', 'oplog', 'shards') !== undefined) {
    const message = '`dependents: auto` looks at one oplog, and those of shards are several';
    return [faultAt(place, 'collections', { message, expected: 'a list of dependents' })];
  }
  if (nodeAt(root, 'source', 'preImages') === undefined) return [];
  const message = '`dependents: auto` needs an oplog: of source.preImages only named collections are read';
  return [faultAt(place, 'collections', { message, expected: 'source.oplog, or a list of dependents' })];
}

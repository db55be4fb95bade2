/** `source.jsonl`: Extended JSON in a store, as lines or a mongoexport array. */
import { faultAt, type PlanFault } from '../fault.ts';
import { givenText, nodeAt } from '../nodes.ts';
import { collectionEntries } from '../rules/structure.ts';
import type { SourceKind, Templated } from './source-kind.ts';
import { STORES, type StoreLocation, storeOf } from './stores.ts';

/** `{collection}` in the path or key names the collection. */
export interface JsonlLocation {
  readonly kind: 'jsonl';
  readonly from: StoreLocation;
  /** accept: numbers without their types (relaxed Extended JSON) are restored as they are read. */
  readonly relaxed?: 'accept';
}

export const JSONL: SourceKind<JsonlLocation> = {
  build: (parent, zone) => {
    const jsonl = nodeAt(parent, 'jsonl')!;
    const [store] = Object.entries(STORES).flatMap(([key, kind]) =>
      nodeAt(jsonl, key) === undefined ? [] : [kind],
    );
    return {
      kind: 'jsonl',
      from: store!.build(jsonl, zone),
      ...(givenText(jsonl, 'relaxed') === 'accept' && { relaxed: 'accept' }),
    };
  },
  digest: ({ kind, from, relaxed }) => ({ kind, from: storeOf(from).digest(from), relaxed }),
  recorded: ({ from }) => storeOf(from).recorded(from),
  explain: () => 'It holds Extended JSON, one document per line or in one array.',
};

/** What holds for the template of such a source beside what holds for every one. */
export function jsonlRules({ root, node, template }: Templated): PlanFault[] {
  const names = template.parts.some((part) => part.kind === 'collection');
  const wanted = new Set(collectionEntries(root).map((entry) => entry.name));
  if (names || wanted.size <= 1) return [];
  const message = `one file cannot hold the ${wanted.size} collections of this plan`;
  const expected = '{collection} in the name of the files';
  return [faultAt(node.place, 'source', { message, expected })];
}

/**
 * Reads and checks a plan file: text → tree → bases merged in → variables put in → schema → rules → plan.
 * Every step reports all it finds, so that an author sees all mistakes at once.
 */
import { buildPlan, type IdLists } from './build.ts';
import { readWithBases } from './extends.ts';
import { faultAt, inReadingOrder, type PlanFault, type PlanText } from './fault.ts';
import { type IdList, idListPath, readIdList } from './id-list.ts';
import { type Environment, type Interpolation, interpolate } from './interpolate.ts';
import { itemsAt, type MapNode, nodeAt, type PlanNode, plainValue } from './nodes.ts';
import type { Plan } from './plan.ts';
import { collectionRules } from './rules/collection-rules.ts';
import { connectionRules } from './rules/connection-rules.ts';
import { followUpRules } from './rules/follow-up-rules.ts';
import { nameRules, targetRules } from './rules/name-rules.ts';
import { queryRules } from './rules/query-rules.ts';
import { futureMoment, sourceRules } from './rules/source-rules.ts';
import { futureWindows, windowRules } from './rules/window-rules.ts';
import { schemaFaults, violations } from './schema.ts';

export interface ReadPlanOptions {
  /** What the plan `-` is read from; the files that it names lie relative to `cwd`. */
  readonly stdin?: () => AsyncIterable<Buffer | string>;
  /** The folder that a relative path of a plan counts from; default: the process's. */
  readonly cwd?: string | undefined;
  /** Values of `${VARIABLE}`s. */
  readonly env: Environment;
  /** True: a variable that is not set is a fault. False (default): it is a note. */
  readonly requireEnv?: boolean;
  /** UTC milliseconds, for a `source.at` that is still to come. Default: it is not looked for. */
  readonly now?: number;
  /** True: such a moment is a fault, for a plan that is about to be carried out. False (default): it is a note. */
  readonly refuseFuture?: boolean;
  /** True: the reason, `source.at`, the queries and the targets may be missing; what stands in for them must not be used. */
  readonly incomplete?: boolean;
}

/** Either a checked plan or everything that is wrong with it. Notes come with both. */
export type PlanReading =
  | { readonly plan: Plan; readonly faults?: undefined; readonly notes: readonly PlanFault[] }
  | {
      readonly plan?: undefined;
      readonly faults: readonly PlanFault[];
      readonly notes: readonly PlanFault[];
    };

const RULES: readonly ((root: MapNode) => readonly PlanFault[] | Promise<readonly PlanFault[]>)[] = [
  sourceRules,
  nameRules,
  collectionRules,
  queryRules,
  connectionRules,
  targetRules,
  followUpRules,
  windowRules,
];

/** `file` is shown in faults as it is given. Never throws for what is wrong with the file. */
export async function readPlan(file: string, options: ReadPlanOptions): Promise<PlanReading> {
  const { merged, lists, files, faults, notes } = await check(file, options);
  if (faults.length > 0 || merged === undefined) return { faults, notes };
  return { plan: buildPlan(merged.root, { unsetVariables: merged.unset, lists, files }), notes };
}

/** A file that plans extend: whatever it says must be right, but it need not be complete. */
export async function checkBase(
  file: string,
  options: ReadPlanOptions,
): Promise<Pick<Findings, 'faults' | 'notes'>> {
  const { faults, notes } = await check(file, options);
  return { faults: faults.filter((fault) => fault.rule !== 'missing-key'), notes };
}

interface Findings {
  readonly merged: Pick<Interpolation, 'root' | 'unset'> | undefined;
  readonly lists: IdLists;
  /** Absolute paths of all that was read. */
  readonly files: readonly string[];
  readonly faults: readonly PlanFault[];
  readonly notes: readonly PlanFault[];
}

async function check(file: string, options: ReadPlanOptions): Promise<Findings> {
  const { env, requireEnv = false, now, refuseFuture = false } = options;
  const { root, texts, faults: fileFaults } = await readWithBases(file, options.cwd, options.stdin);
  const order = (faults: readonly PlanFault[]) =>
    inReadingOrder(
      faults,
      texts.map((text) => text.file),
    );
  const faults = [...fileFaults, ...credentialFaults(texts)];
  const files = texts.map(({ absolutePath }) => absolutePath);
  if (root === undefined)
    return { merged: undefined, lists: new Map(), files, faults: order(faults), notes: [] };

  const interpolated = interpolate(root, env);
  const merged = options.incomplete
    ? { ...interpolated, root: withoutGaps(interpolated.root) }
    : interpolated;
  const found = [
    ...(await checkValues(merged.root)).filter((fault) => !options.incomplete || !isGapOfMoment(fault)),
    ...(now === undefined
      ? []
      : [futureMoment, futureWindows].flatMap((rule) => rule(merged.root, { now, isFault: refuseFuture }))),
  ];
  faults.push(...merged.faults, ...found.filter((fault) => fault.severity === 'error'));
  const { lists, faults: listFaults } = await readIdLists(merged.root);
  faults.push(...listFaults);
  const notes = found.filter((fault) => fault.severity === 'note');
  if (requireEnv)
    faults.push(...merged.unsetNotes.map((note): PlanFault => ({ ...note, severity: 'error' })));
  else notes.push(...merged.unsetNotes);
  files.push(...[...lists.keys()].map(idListPath));
  return { merged, lists, files, faults: order(faults), notes: order(notes) };
}

/** The files that `ids` of collections name. */
async function readIdLists(
  root: MapNode,
): Promise<{ readonly lists: IdLists; readonly faults: readonly PlanFault[] }> {
  const lists = new Map<PlanNode, IdList>();
  const faults: PlanFault[] = [];
  for (const entry of itemsAt(root, 'collections')) {
    const node = nodeAt(entry, 'ids');
    // What is no name has a fault of the schema.
    if (node?.kind !== 'scalar' || typeof node.value !== 'string' || node.value === '') continue;
    const reading = await readIdList(node);
    if ('list' in reading) lists.set(node, reading.list);
    else faults.push(...reading.faults);
  }
  return { lists, faults };
}

/** Nobody can say the last good moment before they know what happened. */
function isGapOfMoment({ rule, expected = '' }: PlanFault): boolean {
  return rule === 'missing-key' && expected.startsWith('source.at,');
}

/** What says which documents of a collection are meant. */
const CHOICES = ['query', 'ids', 'deleted', 'changed'];

/**
 * A plan in which what a person would fill in last stands there: its reason, a query for each entry, and where to restore to. Of production
 * the place alone is kept, where it is named: what was lost there can be looked for there.
 */
function withoutGaps(root: MapNode): MapNode {
  const { place } = root;
  const text = (value: string): PlanNode => ({
    kind: 'scalar',
    place,
    value,
    written: value,
    unjudged: false,
  });
  const map = (entries: Iterable<readonly [string, PlanNode]>): MapNode => ({
    kind: 'map',
    place,
    entries: new Map([...entries].map(([key, value]) => [key, { keyPlace: place, value }])),
  });
  const isGap = (node: PlanNode | undefined): boolean =>
    node === undefined || (node.kind === 'scalar' && node.value === null);
  const entries = new Map(root.entries);
  const put = (key: string, value: PlanNode): void => void entries.set(key, { keyPlace: place, value });
  if (isGap(nodeAt(root, 'reason'))) put('reason', text('-'));
  const staging = map([
    ['uri', { ...text('-'), unjudged: true } as PlanNode],
    ['database', text('none')],
  ]);
  const [uri, database] = ['uri', 'database'].map((key) => nodeAt(root, 'targets', 'production', key));
  const isNamed =
    uri?.kind === 'scalar' && (uri.unjudged || /^mongodb(\+srv)?:\/\/./.test(String(uri.value)));
  const production =
    isNamed && database !== undefined && !isGap(database)
      ? [
          [
            'production',
            map([
              ['uri', uri],
              ['database', database],
            ]),
          ] as const,
        ]
      : [];
  put('targets', map([['staging', staging], ...production]));
  entries.delete('followUps');
  const collections = nodeAt(root, 'collections');
  if (collections?.kind === 'list') {
    const items = collections.items.map((item): PlanNode => {
      if (item.kind !== 'map' || CHOICES.some((key) => !isGap(nodeAt(item, key)))) return item;
      return {
        ...item,
        entries: new Map([...item.entries, ['query', { keyPlace: item.place, value: map([]) }]]),
      };
    });
    put('collections', { ...collections, items });
  }
  return { ...root, entries };
}

/** Schema first; a rule adds nothing at a place where the schema already found a fault. */
async function checkValues(root: MapNode): Promise<PlanFault[]> {
  const violated = violations(plainValue(root));
  const version = nodeAt(root, 'version');
  // Another version has other keys: what this one says about them would mislead.
  if (version?.kind === 'scalar' && typeof version.value === 'number' && version.value !== 1) {
    return schemaFaults(
      root,
      violated.filter(({ path }) => path[0] === 'version'),
    );
  }
  const fromSchema = schemaFaults(root, violated);
  const taken = new Set(fromSchema.map((fault) => `${fault.file}:${fault.line}:${fault.column}`));
  const fromRules = (await Promise.all(RULES.map((rule) => rule(root))))
    .flat()
    .filter((fault) => !taken.has(`${fault.file}:${fault.line}:${fault.column}`));
  return [...fromSchema, ...fromRules];
}

function credentialFaults(texts: readonly PlanText[]): PlanFault[] {
  return texts.flatMap((text) =>
    text.hidden.flatMap(({ start, end, what }) => {
      if (what === undefined) return [];
      const expected = `a variable in its place, \${NAME}; whoever can read the file can use it: change it now`;
      return [
        faultAt({ text, start, end }, 'credential', { message: `${what} stands in the plan`, expected }),
      ];
    }),
  );
}

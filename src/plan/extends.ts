/**
 * Reads a plan with the files it extends and merges them: maps merge and the plan wins, lists are replaced. Values keep
 * the places of the files they come from.
 */
import { dirname, isAbsolute, join } from 'node:path';
import { faultAt, type PlanFault, type PlanText, quoted } from './fault.ts';
import { type MapEntry, type MapNode, nodeAt, type PathPart } from './nodes.ts';
import { readPlanText } from './plan-text.ts';
import { OPLOG_KINDS_IN_A_PLAN } from './sources/oplog.ts';
import { ALTERNATIVES } from './sources/sources.ts';
import { parsePlanText } from './yaml/read-yaml.ts';

const MAX_BASES = 10;

interface MergedReading {
  /** Undefined when a file could not be read or parsed. */
  readonly root: MapNode | undefined;
  /** The plan first, then its bases, nearest first. */
  readonly texts: readonly PlanText[];
  readonly faults: readonly PlanFault[];
}

/** `stdin`: what the plan `-` is read from; the files that it names lie relative to the working directory. */
export async function readWithBases(
  file: string,
  stdin?: AsyncIterable<Buffer | string>,
): Promise<MergedReading> {
  const reading = await readPlanText(file, stdin);
  if ('fault' in reading) return { root: undefined, texts: [], faults: [reading.fault] };
  return withBases(reading.text, []);
}

/** `chain` holds the files that led here, the plan first. */
async function withBases(text: PlanText, chain: readonly PlanText[]): Promise<MergedReading> {
  const { root, faults } = parsePlanText(text);
  const texts = [text];
  if (root === undefined) return { root, texts, faults };
  const entry = root.entries.get('extends');
  if (entry === undefined) return { root, texts, faults };

  const own = without(root, 'extends');
  const refused = (message: string, expected?: string): MergedReading => {
    const fault = faultAt(entry.value.place, 'extends', { message, expected });
    return { root: undefined, texts, faults: [...faults, fault] };
  };
  const name = entry.value.kind === 'scalar' ? entry.value.value : undefined;
  if (typeof name !== 'string' || name === '') {
    return refused('`extends` names no file', 'one file, such as ./gravity.base.yaml');
  }
  if (/\$\{/.test(name))
    return refused('`extends` holds a variable', 'a fixed path, so that a reviewer can follow it');
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(name)) return refused('`extends` names an address', 'a file');

  // A fault shows lines of the file: in a pull request, that must not be any file of the machine.
  if (!/\.ya?ml$/i.test(name))
    return refused('`extends` names a file of another kind', 'a .yaml or .yml file');

  const path = isAbsolute(name) ? name : join(dirname(text.file), name);
  const reading = await readPlanText(path);
  if ('fault' in reading) {
    return refused(
      reading.fault.message.replace('the file', `the base ${quoted(name)}`),
      reading.fault.expected,
    );
  }
  const through = [...chain, text];
  const seen = through.findIndex((earlier) => earlier.absolutePath === reading.text.absolutePath);
  if (seen >= 0) {
    const circle = [...through.slice(seen), reading.text].map((step) => step.file).join(' → ');
    return refused(`the files extend each other in a circle: ${circle}`);
  }
  if (through.length >= MAX_BASES) return refused(`more than ${MAX_BASES} files extend each other`);

  const base = await withBases(reading.text, through);
  return {
    root: base.root === undefined ? undefined : mergeMaps(base.root, own, []),
    texts: [...texts, ...base.texts],
    faults: [...faults, ...base.faults],
  };
}

function mergeMaps(base: MapNode, plan: MapNode, path: readonly PathPart[]): MapNode {
  // Of these a map has exactly one: naming another one in the plan replaces the base's.
  const alternatives =
    [...ALTERNATIVES, OPLOG_KINDS_IN_A_PLAN].find((each) => each.path.join('.') === path.join('.'))?.keys ??
    [];
  const isChosen = alternatives.some((key) => plan.entries.has(key));
  // The plan's own keys come first: a fault of the merged map as a whole then points into the plan.
  const entries = new Map<string, MapEntry>();
  for (const [key, entry] of plan.entries) {
    const below = nodeAt(base, key);
    const isBoth = below?.kind === 'map' && entry.value.kind === 'map';
    entries.set(
      key,
      isBoth ? { ...entry, value: mergeMaps(below, entry.value as MapNode, [...path, key]) } : entry,
    );
  }
  for (const [key, entry] of base.entries) {
    if (!entries.has(key) && !(isChosen && alternatives.includes(key))) entries.set(key, entry);
  }
  return { ...plan, entries };
}

function without(map: MapNode, key: string): MapNode {
  const entries = new Map(map.entries);
  entries.delete(key);
  return { ...map, entries };
}

/**
 * Reads a plan with the files it extends and merges them: maps merge and the plan wins, lists are replaced. Values keep
 * the places of the files they come from.
 */

import { readdir, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { findCredentials } from './credentials.ts';
import { faultAt, faultOfFile, type PlanFault, type PlanText, quoted } from './fault.ts';
import { nearest } from './nearest.ts';
import { type MapEntry, type MapNode, nodeAt, type PathPart } from './nodes.ts';
import { type FileRefusal, readFileOfAtMost, readStreamOfAtMost, textOf, whyNoText } from './read-file.ts';
import { oplogKeysAt } from './sources/oplog.ts';
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

/** `stdin`: what the plan `-` is read from; the files that it names lie relative to `cwd`. */
export async function readWithBases(
  file: string,
  cwd: string | undefined,
  stdin?: () => AsyncIterable<Buffer | string>,
): Promise<MergedReading> {
  const reading = await readPlanText(file, cwd, stdin);
  if ('fault' in reading) return { root: undefined, texts: [], faults: [reading.fault] };
  return withBases(reading.text, [], cwd);
}

/** `chain` holds the files that led here, the plan first. */
async function withBases(
  text: PlanText,
  chain: readonly PlanText[],
  cwd: string | undefined,
): Promise<MergedReading> {
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
  if (!YAML_NAME.test(name)) return refused('`extends` names a file of another kind', 'a .yaml or .yml file');

  const path = isAbsolute(name) ? name : join(dirname(text.file), name);
  const reading = await readPlanText(path, cwd);
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

  const base = await withBases(reading.text, through, cwd);
  return {
    root: base.root === undefined ? undefined : mergeMaps(base.root, own, []),
    texts: [...texts, ...base.texts],
    faults: [...faults, ...base.faults],
  };
}

function mergeMaps(base: MapNode, plan: MapNode, path: readonly PathPart[]): MapNode {
  // Of these a map has exactly one: naming another one in the plan replaces the base's.
  const alternatives =
    ALTERNATIVES.find((each) => each.path.join('.') === path.join('.'))?.keys ?? oplogKeysAt(path);
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

// A plan file as text: read with a size limit, refused when it is not a plain UTF-8 file, and able to turn offsets

/** Largest plan file, in bytes. A plan that lists 10,000 ids has half of it; a file beyond it is not a plan. */
const MAX_PLAN_BYTES = 768 * 1024;

type TextReading = { readonly text: PlanText } | { readonly fault: PlanFault };

const YAML_NAME = /\.ya?ml$/i;

/** The name that stands for stdin. */
export const STDIN = '-';

async function readPlanText(
  file: string,
  cwd = '',
  stdin?: () => AsyncIterable<Buffer | string>,
): Promise<TextReading> {
  const absolutePath = resolve(cwd, file);
  if (file === STDIN && stdin !== undefined) {
    const piped = await readStreamOfAtMost(stdin(), MAX_PLAN_BYTES);
    if ('bytes' in piped) return planTextOf(STDIN, piped.bytes, absolutePath);
    return { fault: refusedFile(STDIN, piped) };
  }
  if (await leadsElsewhere(absolutePath)) {
    const message = 'the file is a link to a file of another kind';
    return {
      fault: faultOfFile(file, 'file', message, 'a link to a .yaml or .yml file, or the file itself'),
    };
  }
  const reading = await readFileOfAtMost(absolutePath, MAX_PLAN_BYTES);
  if ('bytes' in reading) return planTextOf(file, reading.bytes, absolutePath);
  const fault = refusedFile(file, reading);
  const isMissing = (reading.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
  return { fault: isMissing ? { ...fault, suggestion: await similarFile(file, absolutePath) } : fault };
}

/** A pull request may bring links, too: under the name of a plan, lines of any file of the machine would be shown. */
async function leadsElsewhere(path: string): Promise<boolean> {
  if (!YAML_NAME.test(path)) return false;
  // Where there is no such file, reading it says so.
  const real = await realpath(path).catch(() => path);
  return !YAML_NAME.test(real);
}

function refusedFile(file: string, { refused, expected }: FileRefusal): PlanFault {
  const isLarge = refused.startsWith('is too large');
  return isLarge
    ? faultOfFile(
        file,
        'file',
        `the file ${refused.replace('large', 'large for a plan')}`,
        `${expected}; select by a condition, or by ids in a file of their own (ids: ./deleted-ids.txt)`,
      )
    : faultOfFile(file, 'file', `the file ${refused}`, expected);
}

/** Decodes the bytes of a plan file: UTF-8, with or without byte order mark, any line ends. */
export function planTextOf(file: string, bytes: Buffer, absolutePath = resolve(file)): TextReading {
  const why = whyNoText(bytes);
  if (why !== undefined) return { fault: faultOfFile(file, 'encoding', `the file ${why}`, 'UTF-8 text') };
  const text = textOf(bytes);
  const lineStarts = [0];
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) lineStarts.push(i + 1);
  return { text: { file, absolutePath, text, lineStarts, hidden: findCredentials(text) } };
}

/** A YAML file in the same folder with nearly that name. */
async function similarFile(file: string, absolutePath: string): Promise<string | undefined> {
  // Only a suggestion: where the folder cannot be listed either, there is none.
  const names = await readdir(dirname(absolutePath)).catch(() => []);
  const near = nearest(
    basename(file),
    names.filter((name) => YAML_NAME.test(name)),
  );
  return near === undefined || near === basename(file) ? undefined : join(dirname(file), near);
}

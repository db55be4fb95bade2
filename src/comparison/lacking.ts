/**
 * What a collection that is there lacks of the backup's one: indexes, and options that guard documents. A collection that is there
 * keeps what it has, so nobody would hear of it otherwise: one that was dropped and that an application made again by its first
 * insert has neither.
 *
 * An index is what it does, not its name: key, what it covers, how it compares, when it expires. What servers of different versions
 * fill in by themselves is no difference.
 */
import { deserialize } from 'bson';
import { CanonicalBytes } from '../bson/canonical-bytes.ts';
import { BsonFault, findElement, innerDocument } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import type { SelectedCollection } from '../selection/selection.ts';
import { numberIn, readIndex } from '../target/describe-collection.ts';
import type { CollectionBlueprint, TargetCollection, TargetIndex } from '../target/target.ts';
import { truncated } from '../text/escape.ts';
import type { Encounter } from './comparison.ts';
import { blueprintOf, LONGEST_SECONDS } from './fitness.ts';

/** Indexes that are named, and characters that they may take: a report cuts a warning at 1,000. */
const MOST_NAMED = 10;
const NAMES_TEXT = 360;
const NAME_TEXT = 40;

/**
 * A warning, without the name of the collection; undefined where it lacks nothing, and where the backup does not say what it had.
 * It costs no round trip: `there` was read already. What cannot be compared is said and refuses nothing.
 */
export async function lackOf(
  encounter: Omit<Encounter, 'reader'>,
  selected: SelectedCollection,
  there: TargetCollection,
): Promise<string | undefined> {
  if (selected.metadataFile === undefined) return undefined;
  try {
    return lackText(there, await blueprintOf(encounter, selected));
  } catch (error) {
    if (!(error instanceof RestorePlanError || error instanceof BsonFault)) throw error;
    return `whether it lacks indexes or options of the backup is not known: ${error.message}`;
  }
}

function lackText(there: TargetCollection, { options, indexes }: CollectionBlueprint): string | undefined {
  const lacked = lackedIndexes(there.indexes, indexes.map(readIndex));
  const parts = lackedOptions(there.options, options).map((option, place) =>
    place === 0 ? `the backup's ${option}` : `its ${option}`,
  );
  const remedies = ['make by hand what it shall have'];
  if (lacked.length > 0) {
    // With the one on `_id`, as a dry-run counts those that it would create.
    const all = indexes.length + 1;
    const whose = parts.length === 0 ? "the backup's" : 'its';
    parts.push(`${lacked.length} of ${whose} ${all} indexes: ${namesOf(lacked)}`);
    remedies.push('name in `indexes: { skip: […] }` of the plan what it shall do without');
  }
  const last = parts.pop();
  if (last === undefined) return undefined;
  const what = parts.length === 0 ? last : `${parts.join(', ')} and ${last}`;
  return `exists without ${what}; a collection that is there keeps what it has. Before applying, ${remedies.join(', or ')}; or drop the collection, if it is empty or may go: apply then creates it whole`;
}

interface LackedIndex {
  readonly index: TargetIndex;
  /** The collection has one of the same key. */
  readonly isOther: boolean;
}

/** Those that refuse or remove documents first. */
function lackedIndexes(there: readonly TargetIndex[], backup: readonly TargetIndex[]): LackedIndex[] {
  const forms = new Set(there.map(formOf));
  const keys = new Set(there.map(keyForm));
  return backup
    .filter((index) => !forms.has(formOf(index)))
    .map((index) => ({ index, isOther: keys.has(keyForm(index)) }))
    .sort((one, other) => weightOf(other.index) - weightOf(one.index));
}

function weightOf(index: TargetIndex): number {
  if (index.unique) return 2;
  return secondsOf(index) === undefined ? 0 : 1;
}

/** `k_1 unique partial, expires_1 TTL (there with other options), … and 3 more` */
function namesOf(lacked: readonly LackedIndex[]): string {
  const named: string[] = [];
  let room = NAMES_TEXT;
  for (const { index, isOther } of lacked.slice(0, MOST_NAMED)) {
    const kinds = new Set(index.key.flatMap(([, kind]) => (typeof kind === 'string' ? [kind] : [])));
    const words = [
      truncated(index.name, NAME_TEXT),
      ...(index.unique ? ['unique'] : []),
      ...(partOf(index, 'partialFilterExpression') === undefined ? [] : ['partial']),
      ...(secondsOf(index) === undefined ? [] : ['TTL']),
      ...[...kinds].map((kind) => truncated(kind, NAME_TEXT)),
      ...(isOther ? ['(there with other options)'] : []),
    ];
    const text = words.join(' ');
    room -= text.length;
    if (room < 0 && named.length > 0) break;
    named.push(text);
  }
  const rest = lacked.length - named.length;
  return rest === 0 ? named.join(', ') : `${named.join(', ')} and ${rest} more`;
}

// What makes two indexes the same. `v` and the versions of text and places are how a server stores them; hidden, an index guards as before.

function formOf(index: TargetIndex): string {
  return JSON.stringify([
    keyForm(index),
    index.unique,
    index.sparse,
    secondsOf(index) ?? null,
    filledForm(index, 'partialFilterExpression'),
    collationForm(index.raw),
    filledForm(index, 'wildcardProjection'),
    isText(index) ? textForm(index) : null,
    index.key.some(([, kind]) => kind === '2d') ? planeForm(index) : null,
  ]);
}

/** Of a number the sign counts. The server keeps the fields of a text index beside its key. */
function keyForm(index: TargetIndex): string {
  const key = index.key.map(([path, kind]) => [path, typeof kind === 'number' ? Math.sign(kind) : kind]);
  if (!isUnfilled(index)) return JSON.stringify(key);
  const first = key.findIndex(([, kind]) => kind === 'text');
  const around = key.filter(([, kind]) => kind !== 'text');
  around.splice(first, 0, ['_fts', 'text'], ['_ftsx', 1]);
  return JSON.stringify(around);
}

function isText({ key }: TargetIndex): boolean {
  return key.some(([, kind]) => kind === 'text');
}

/** As it is given to the server, which fills in the rest. */
function isUnfilled(index: TargetIndex): boolean {
  return isText(index) && !index.key.some(([path]) => path === '_fts');
}

function textForm(index: TargetIndex): unknown {
  const texts = index.key.filter(([path, kind]) => kind === 'text' && path !== '_fts');
  const weights = new Map<string, unknown>(texts.map(([path]) => [path, 1]));
  const told = partOf(index, 'weights');
  for (const [path, weight] of Object.entries(told === undefined ? {} : deserialize(told)))
    weights.set(path, weight);
  return [
    [...weights].sort(([one], [other]) => (one < other ? -1 : 1)),
    textIn(index.raw, 'default_language') ?? 'english',
    textIn(index.raw, 'language_override') ?? 'language',
  ];
}

function planeForm({ raw }: TargetIndex): unknown {
  return [numberAt(raw, 'bits') ?? 26, numberAt(raw, 'min') ?? -180, numberAt(raw, 'max') ?? 180];
}

/** From the longest on, and as NaN, servers take a TTL index as one that never expires anything. */
function secondsOf({ raw }: TargetIndex): number | undefined {
  const seconds = numberAt(raw, 'expireAfterSeconds');
  return seconds === undefined || seconds <= LONGEST_SECONDS ? seconds : LONGEST_SECONDS;
}

const WITHOUT_ORDER = new CanonicalBytes('sorted');

/** Equal texts: documents that say the same, whatever the order of their fields and the types of their numbers. */
function saysOf(document: Buffer): string {
  const value = { bytes: document, type: BSON.OBJECT, start: 0, end: document.length };
  const { bytes, length } = WITHOUT_ORDER.set(value);
  return bytes.toString('latin1', 0, length);
}

function filledForm(index: TargetIndex, field: string): string | null {
  const part = partOf(index, field);
  return part === undefined ? null : saysOf(part);
}

function partOf({ raw }: Pick<TargetIndex, 'raw'>, field: string): Buffer | undefined {
  return innerDocument(raw, field);
}

/** What the server adds to most locales. */
const USUAL_COLLATION: Readonly<Record<string, unknown>> = {
  caseLevel: false,
  caseFirst: 'off',
  strength: 3,
  numericOrdering: false,
  alternate: 'non-ignorable',
  maxVariable: 'punct',
  normalization: false,
  backwards: false,
};

/** Null: texts are compared byte by byte. Its version is that of the server's library. */
function collationForm(specification: Buffer): string | null {
  const collation = innerDocument(specification, 'collation');
  if (collation === undefined) return null;
  const { locale, version: _, ...rest } = deserialize(collation);
  if (locale === 'simple') return null;
  const unusual = Object.entries(rest).filter(([field, value]) => USUAL_COLLATION[field] !== value);
  return JSON.stringify([locale, unusual.sort(([one], [other]) => (one < other ? -1 : 1))]);
}

// Options.

/** From the weakest on; the last one is the server's own where nothing is said. */
const LEVELS: readonly string[] = ['off', 'moderate', 'strict'];
const ACTIONS: readonly string[] = ['warn', 'error'];

/** In words that follow a "the". */
function lackedOptions(there: Buffer, backup: Buffer): string[] {
  const lacked: string[] = [];
  const validator = validatorLack(there, backup);
  if (validator !== undefined) lacked.push(validator);
  const collation = collationForm(backup);
  if (collation !== null && collation !== collationForm(there)) lacked.push('collation');
  if (keepsImages(backup) && !keepsImages(there)) lacked.push('changeStreamPreAndPostImages');
  return lacked;
}

function validatorLack(there: Buffer, backup: Buffer): string | undefined {
  const wanted = validatorIn(backup);
  if (wanted === undefined) return undefined;
  const found = validatorIn(there);
  if (found === undefined) return 'validator';
  if (saysOf(found) !== saysOf(wanted)) return 'validator (it has another one)';
  const isWeaker =
    rankIn(there, 'validationLevel', LEVELS) < rankIn(backup, 'validationLevel', LEVELS) ||
    rankIn(there, 'validationAction', ACTIONS) < rankIn(backup, 'validationAction', ACTIONS);
  return isWeaker ? 'validator (it has it with a weaker level or action)' : undefined;
}

/** Undefined where nothing is validated. */
function validatorIn(options: Buffer): Buffer | undefined {
  const validator = innerDocument(options, 'validator');
  const isEmpty = validator === undefined || validator.length <= 5;
  return isEmpty || textIn(options, 'validationLevel') === 'off' ? undefined : validator;
}

/** What is not in the list, such as a newer server's action, is as strong as the last. */
function rankIn(options: Buffer, option: string, ranks: readonly string[]): number {
  const rank = ranks.indexOf(textIn(options, option) ?? '');
  return rank === -1 ? ranks.length - 1 : rank;
}

function keepsImages(options: Buffer): boolean {
  const images = innerDocument(options, 'changeStreamPreAndPostImages');
  const enabled = images && findElement(images, 0, Buffer.from('enabled'));
  return enabled?.type === BSON.BOOL && enabled.bytes[enabled.start] === 1;
}

function textIn(document: Buffer, field: string): string | undefined {
  const value = findElement(document, 0, Buffer.from(field));
  return value?.type === BSON.STRING
    ? value.bytes.toString('utf8', value.start + 4, value.end - 1)
    : undefined;
}

function numberAt(document: Buffer, field: string): number | undefined {
  const value = findElement(document, 0, Buffer.from(field));
  return value && numberIn(value);
}

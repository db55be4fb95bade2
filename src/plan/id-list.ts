/**
 * A file of `_id`s, one a line: 24 hexadecimal digits, or Extended JSON. Kept packed, so that a million costs little.
 *
 * What a line holds is never shown: in a pull request, `ids` could name any file of the machine.
 */
import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { elements } from '../bson/elements.ts';
import { ExtendedJsonFault, type JsonValue, parseExtendedJson } from '../bson/extended-json.ts';
import { KeySet } from '../bson/key-set.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { writeExtendedJson } from '../bson/write-extended-json.ts';
import { parseQuery } from '../query/parse-query.ts';
import { QueryFault } from '../query/query-fault.ts';
import { faultAt, faultOfFile, type PlanFault, quoted, whereIs } from './fault.ts';
import { headOf, holdsUnjudged, itemsAt, nodeAt, orderedValue, type PlanNode, shown } from './nodes.ts';
import { readFileOfAtMost, textOf, whyNoText } from './read-file.ts';

const MAX_BYTES = 64 * 1024 * 1024;
const MAX_IDS = 1_000_000;
/** Faults of lines that are told; the rest is counted. */
const MOST_FAULTS = 20;

/** `_id`s in the order of their file, each once. */
export class IdList {
  /** The file as the plan names it; empty where the plan lists the ids itself. */
  readonly file: string;
  /** `file:line:col` where the plan names it. */
  readonly where: string;
  readonly keys = new KeySet();
  /** Lines that repeat an earlier id, and the first of them. */
  repeated = 0;
  firstRepeated: number | undefined;
  /** Of each id: its line, and where its type and value end in `#bytes`. */
  readonly #lines: number[] = [];
  readonly #ends: number[] = [];
  readonly #hash = createHash('sha256');
  #bytes = Buffer.alloc(1024);
  #length = 0;
  #digest: string | undefined;

  constructor(file: string, where: string) {
    this.file = file;
    this.where = where;
  }

  get count(): number {
    return this.#lines.length;
  }

  /** sha256, hex, of the ids as typed values, in their order; comments and repetitions do not count. */
  get digest(): string {
    this.#digest ??= this.#hash.digest('hex');
    return this.#digest;
  }

  /** Copies the value. */
  add(value: RawValue, line: number): void {
    if (!this.keys.add(value)) {
      this.repeated++;
      this.firstRepeated ??= line;
      return;
    }
    const size = 1 + value.end - value.start;
    while (this.#length + size > this.#bytes.length)
      this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2);
    this.#bytes[this.#length] = value.type;
    value.bytes.copy(this.#bytes, this.#length + 1, value.start, value.end);
    this.#hash.update(this.#bytes.subarray(this.#length, this.#length + size));
    this.#length += size;
    this.#lines.push(line);
    this.#ends.push(this.#length);
  }

  *values(): Generator<{ readonly value: RawValue; readonly line: number }> {
    let at = 0;
    for (const [i, end] of this.#ends.entries()) {
      const value = { type: this.#bytes[at] as number, bytes: this.#bytes, start: at + 1, end };
      yield { value, line: this.#lines[i] as number };
      at = end;
    }
  }
}

type IdListReading = { readonly list: IdList } | { readonly faults: readonly PlanFault[] };

/** `node`: the value of `ids`, whose file lies relative to the file that names it. */
export async function readIdList(node: PlanNode): Promise<IdListReading> {
  const name = node.kind === 'scalar' && typeof node.value === 'string' ? node.value : '';
  const refused = (message: string, expected: string): IdListReading => ({
    faults: [faultAt(node.place, 'value', { message, expected })],
  });
  if (node.kind === 'scalar' && node.written !== node.value)
    return refused('`ids` holds a variable', 'a fixed path, so that a reviewer can follow it');
  if (!/\.(?:txt|ids|json|jsonl|ndjson)$/i.test(name))
    return refused(
      '`ids` names a file of another kind',
      'a .txt or .jsonl file with one _id a line, such as ./deleted-ids.txt',
    );
  const reading = await readFileOfAtMost(idListPath(node), MAX_BYTES);
  const why = 'bytes' in reading ? whyNoText(reading.bytes) : reading.refused;
  if (why !== undefined || !('bytes' in reading))
    return refused(`the ids in ${quoted(name)}: the file ${why}`, 'a file with one _id a line');
  return parseIdList(textOf(reading.bytes), new IdList(name, whereIs(node.place)), node);
}

/** Absolute. `node` names a file. */
export function idListPath(node: PlanNode): string {
  const name = node.kind === 'scalar' ? String(node.value) : '';
  return resolve(dirname(node.place.text.absolutePath), name);
}

function parseIdList(text: string, list: IdList, node: PlanNode): IdListReading {
  const faults: PlanFault[] = [];
  let wrong = 0;
  let line = 0;
  for (let start = 0; start < text.length; line++) {
    const lineEnd = text.indexOf('\n', start);
    const end = lineEnd < 0 ? text.length : lineEnd;
    const fault = readLine(text.slice(start, end).trim(), list, line + 1);
    start = end + 1;
    if (fault === undefined) continue;
    wrong++;
    if (wrong <= MOST_FAULTS) faults.push(faultInLine(list.file, line + 1, fault));
    if (list.count > MAX_IDS) break;
  }
  const inPlan = (message: string, expected?: string): PlanFault =>
    faultAt(node.place, 'value', { message, expected });
  if (wrong > MOST_FAULTS) faults.push(inPlan(`${wrong} lines of ${quoted(list.file)} are no ids`));
  if (list.count > MAX_IDS)
    faults.push(
      inPlan(`${quoted(list.file)} holds more than ${MAX_IDS} ids`, 'a condition, or several plans'),
    );
  if (faults.length === 0 && list.count === 0)
    faults.push(inPlan(`${quoted(list.file)} holds no id`, 'one _id a line'));
  return faults.length > 0 ? { faults } : { list };
}

const EXPECTED =
  '24 hexadecimal digits, or Extended JSON such as "text", 5 or { "$uuid": "…" }; a line { "_id": … } of mongoexport, or one with # as comment';

/** As mongosh prints it, alone or in a list. */
const OBJECT_ID = /^(?:(?:new )?ObjectId\(\s*(["']?)([0-9a-f]{24})\1\s*\)|([0-9a-f]{24}))$/i;

/** What is wrong with the line. */
function readLine(line: string, list: IdList, number: number): string | undefined {
  const written = line.endsWith(',') ? line.slice(0, -1).trimEnd() : line;
  if (written === '' || written === '[' || written === ']' || written.startsWith('#')) return undefined;
  const id = objectIdOf(written);
  if (id !== undefined) {
    list.add(id, number);
    return undefined;
  }
  try {
    const value = withoutField(parseExtendedJson(written));
    const [element] = elements(writeExtendedJson(new Map([['_id', value]])), 0);
    if (element === undefined || standsForNoId(element)) return 'a value that no _id has';
    list.add(element, number);
    return undefined;
  } catch (error) {
    if (error instanceof ExtendedJsonFault) return 'this is no id';
    throw error;
  }
}

/** The ObjectId of 24 hexadecimal digits, bare or as mongosh prints it. */
function objectIdOf(written: string): RawValue | undefined {
  const hex = OBJECT_ID.exec(written);
  if (hex === null) return undefined;
  const bytes = Buffer.from((hex[2] ?? hex[3]) as string, 'hex');
  return { type: BSON.OBJECT_ID, bytes, start: 0, end: bytes.length };
}

/** Of a type that no document in a backup has as its `_id`. */
function standsForNoId({ type }: RawValue): boolean {
  return NO_ID.has(type);
}

const NO_ID: ReadonlySet<number> = new Set([BSON.ARRAY, BSON.REGEX, BSON.UNDEFINED, BSON.NULL]);

/** `mongoexport --fields _id` writes documents of one field. */
function withoutField(value: JsonValue): JsonValue {
  return value instanceof Map && value.size === 1 && value.has('_id')
    ? (value.get('_id') as JsonValue)
    : value;
}

function faultInLine(file: string, line: number, message: string): PlanFault {
  return { ...faultOfFile(file, 'file', message, EXPECTED), rule: 'value', line, endLine: line };
}

interface ExceptedIds {
  readonly list: IdList;
  readonly faults: readonly PlanFault[];
}

/**
 * The `_id`s that an exception of a plan names: Extended JSON, or a value in the shell's syntax as a text. Unlike in a query every
 * value here is an `_id`, so 24 hexadecimal digits are an ObjectId, as in a file of ids. `entry`: an exception with `ids`;
 * ids with a variable that is not set are passed over.
 */
export function exceptedIds(entry: PlanNode): ExceptedIds {
  const list = new IdList('', whereIs((nodeAt(entry, 'ids') ?? entry).place));
  const faults: PlanFault[] = [];
  for (const [i, item] of itemsAt(entry, 'ids').entries()) {
    if (holdsUnjudged(item)) continue;
    const value = readId(item);
    if ('fault' in value) faults.push(value.fault);
    else list.add(value, i + 1);
  }
  return { list, faults };
}

/** `ObjectId("…")`, `new UUID("…")`, `"text"`: a value in the shell's syntax. Everything else is text as it stands. */
const SHELL_VALUE = /^(?:(?:new )?[A-Za-z][\w.]*\(.*\)|"[^"\\]*"|'[^'\\]*')$/s;

const EXPECTED_ID = 'an _id, such as 57d17993a09a6759d8000d9e, { $uuid: … } or 5';

function readId(item: PlanNode): RawValue | { readonly fault: PlanFault } {
  const refused = (message: string, expected = EXPECTED_ID) => ({
    fault: faultAt(headOf(item), 'value', { message, expected }),
  });
  const written = orderedValue(item);
  const id = typeof written === 'string' ? objectIdOf(written.trim()) : undefined;
  if (id !== undefined) return id;
  const isShell = typeof written === 'string' && SHELL_VALUE.test(written.trim());
  try {
    const document = parseQuery(isShell ? `{ _id: ${written.trim()} }` : new Map([['_id', written]]));
    const [value] = elements(document, 0);
    return value === undefined || standsForNoId(value)
      ? refused(`${shown(item)} is no value that an _id has`)
      : value;
  } catch (error) {
    if (!(error instanceof QueryFault)) throw error;
    const asText = isShell ? `, or '"…"' around what is a text` : '';
    return refused(`${shown(item)} is no id: ${error.message}`, `${EXPECTED_ID}${asText}`);
  }
}

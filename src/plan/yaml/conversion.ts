/**
 * From the nodes of the YAML library to the plan's own: aliases resolved within a bound, keys as text, and a fault for
 * each thing that the library accepts and a plan must not.
 */
import { isAlias, isMap, isScalar, isSeq, type Node, type YAMLMap } from 'yaml';
import { truncated } from '../../text/escape.ts';
import { findCredentials } from '../credentials.ts';
import {
  type FaultDetails,
  type FaultRule,
  faultAt,
  type Place,
  type PlanFault,
  type PlanText,
  quoted,
} from '../fault.ts';
import type { MapEntry, MapNode, PlanNode, Scalar } from '../nodes.ts';

/** Values that aliases may stand for, all together: bounds what a few lines can grow to. */
const MAX_ALIASED_VALUES = 10_000;

/** Keys whose value is not shown in code frames. */
const SECRET_KEY = /^(?:secret|password|passwd|token|api_?key)$/i;

/** One walk over the library's nodes: resolves aliases and collects what the library lets pass. */
export class NodeConversion {
  readonly faults: PlanFault[] = [];
  readonly #text: PlanText;
  readonly #anchors = new Map<string, PlanNode>();
  readonly #sizes = new Map<PlanNode, number>();
  #aliasedValues = 0;

  constructor(text: PlanText) {
    this.#text = text;
  }

  convert(node: Node | null): PlanNode {
    if (node === null) return scalar(this.#place(null), null);
    if (isAlias(node)) return this.#resolve(node.source, node);
    const converted = this.#convertContent(node);
    // Known only once it is complete, so that an alias inside its own anchor is not found.
    if ('anchor' in node && typeof node.anchor === 'string') {
      this.#anchors.set(node.anchor, converted);
      this.#sizes.set(converted, sizeOf(converted, this.#sizes));
    }
    return converted;
  }

  #convertContent(node: Node): PlanNode {
    if (isMap(node)) return this.#map(node);
    if (isSeq(node)) {
      const items = node.items.map((item) => this.convert(item as Node));
      return { kind: 'list', place: this.#place(node), items };
    }
    return this.#scalar(node);
  }

  #map(node: YAMLMap): MapNode {
    const entries = new Map<string, MapEntry>();
    for (const pair of node.items) {
      const keyNode = pair.key as Node;
      const keyPlace = this.#place(keyNode);
      const value = this.convert(pair.value as Node | null);
      const key = isScalar(keyNode) ? keyText(keyNode.value, keyNode.source) : undefined;
      if (key === undefined) {
        this.#fault(keyNode, 'yaml', { message: 'a key that is not text', expected: 'a plain word' });
        continue;
      }
      if (key === '<<' && isScalar(keyNode) && keyNode.type === 'PLAIN') {
        const expected = '`extends` to build on another file, or an alias for a whole value';
        this.#fault(keyNode, 'yaml', { message: 'merge keys (<<) are not part of YAML 1.2', expected });
        continue;
      }
      const first = entries.get(key);
      if (first !== undefined) {
        const message = `the key ${quoted(key)} is there twice`;
        const related = [{ place: first.keyPlace, message: 'first here' }];
        this.#fault(keyNode, 'duplicate-key', { message, expected: 'one of them', related });
        continue;
      }
      // In a block of its own the text search does not see that the value belongs to this key.
      if (SECRET_KEY.test(key)) this.#text.hidden.push({ ...value.place, what: undefined });
      const placed = pair.value === null ? { ...value, place: { ...keyPlace } } : value;
      entries.set(key, { keyPlace, value: placed });
    }
    return { kind: 'map', place: this.#place(node), entries };
  }

  #scalar(node: Node): PlanNode {
    const place = this.#place(node);
    if (!isScalar(node)) return scalar(place, null);
    const value = node.value;
    if (typeof value === 'bigint' || typeof value === 'number') {
      const number = exactNumber(value, node.source ?? String(value));
      if ('exact' in number) return scalar(place, Number(value));
      this.#fault(node, 'number', number);
      return unjudged(place, Number(value));
    }
    if (typeof value === 'string') {
      if (/\p{Surrogate}/u.test(value)) {
        this.#fault(node, 'value', { message: 'half of a surrogate pair', expected: 'whole characters' });
      }
      // An escape such as \x3a may hide a credential from the search in the text.
      const escaped = findCredentials(value).find((range) => range.what !== undefined);
      const isFound = this.#text.hidden.some(
        (range) => range.what !== undefined && range.start >= place.start && range.end <= place.end,
      );
      if (escaped !== undefined && !isFound) this.#text.hidden.push({ ...place, what: escaped.what });
    }
    return scalar(place, typeof value === 'string' || typeof value === 'boolean' ? value : null);
  }

  #resolve(name: string, node: Node): PlanNode {
    const target = this.#anchors.get(name);
    if (target === undefined) {
      const message = `the alias *${name} has no anchor &${name} before it`;
      this.#fault(node, 'yaml', { message });
      return unjudged(this.#place(node), null);
    }
    const before = this.#aliasedValues;
    this.#aliasedValues += this.#sizes.get(target) ?? 1;
    if (before > MAX_ALIASED_VALUES) return unjudged(this.#place(node), null);
    if (this.#aliasedValues > MAX_ALIASED_VALUES) {
      const message = `the aliases up to here stand for more than ${MAX_ALIASED_VALUES} values`;
      this.#fault(node, 'yaml', { message, expected: 'fewer or smaller aliases' });
      return unjudged(this.#place(node), null);
    }
    return target;
  }

  #fault(node: Node, rule: FaultRule, details: FaultDetails & { message: string }): void {
    this.faults.push(faultAt(this.#place(node), rule, details));
  }

  #place(node: Node | null): Place {
    const [start, end] = node?.range ?? [0, 0];
    return { text: this.#text, start, end };
  }
}

function scalar(place: Place, value: Scalar): PlanNode {
  return { kind: 'scalar', place, value, written: value, unjudged: false };
}

/** A value that has its fault already. */
function unjudged(place: Place, value: Scalar): PlanNode {
  return { kind: 'scalar', place, value, written: value, unjudged: true };
}

/** Keys are text whatever they look like: `1: x` has the key "1". */
function keyText(value: unknown, source: string | undefined): string | undefined {
  if (typeof value === 'string') return value;
  return source === undefined || source === '' ? undefined : source;
}

/** Values in a subtree, with what its aliases stand for; `known` holds the sizes of anchored subtrees. */
function sizeOf(node: PlanNode, known: ReadonlyMap<PlanNode, number>): number {
  const children =
    node.kind === 'list'
      ? node.items
      : node.kind === 'map'
        ? [...node.entries.values()].map((entry) => entry.value)
        : [];
  return children.reduce((sum, child) => sum + (known.get(child) ?? sizeOf(child, known)), 1);
}
/**
 * Numbers whose text does not say the value that YAML makes of it. In a query such a number would silently match
 * nothing, so it is refused, with what to write instead.
 */

/** Every integer up to here is exact in JSON, JavaScript and a double. */
const MAX_EXACT = BigInt(Number.MAX_SAFE_INTEGER);
/** Characters of a number that a message shows. */
const LONGEST_NUMBER = 80;
/** Decimal digits beyond which a double does not keep what was written. */
const MAX_DIGITS = 17;

/** `value` and `source` as the YAML library gives them: integers as bigint, the rest as number. */
export function exactNumber(
  value: bigint | number,
  source: string,
): { readonly exact: true } | { readonly message: string; readonly expected: string } {
  const digits = source.replace(/^[-+]/, '');
  const short = truncated(source, LONGEST_NUMBER);
  if (/^[\da-f]{24}$/i.test(source)) {
    return { message: `${short} is read as a number`, expected: 'quotes: it looks like an ObjectId' };
  }
  if (typeof value === 'bigint') {
    if (value > MAX_EXACT || value < -MAX_EXACT) {
      return {
        message: `the integer ${short} is too large to be exact`,
        expected: `quotes if it is text, or { $numberLong: "${short}" } in a query`,
      };
    }
    if (/^0\d/.test(digits)) {
      return {
        message: `${short} is read as the number ${value}`,
        expected: `quotes if it is text, or ${value} if it is a number`,
      };
    }
    return { exact: true };
  }
  if (/^\d/.test(digits) && !Number.isFinite(value)) {
    return {
      message: `${short} is read as a number that is too large`,
      expected: 'quotes if it is text',
    };
  }
  const significant = digits.replace(/e.*$/i, '').replace('.', '').replace(/^0+/, '');
  if (significant.length > MAX_DIGITS) {
    return {
      message: `the number ${short} has more digits than a double can hold`,
      expected: `quotes if it is text, or { $numberDecimal: "${short}" } in a query`,
    };
  }
  return { exact: true };
}

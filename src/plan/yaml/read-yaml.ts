/**
 * Turns the text of a plan file into a tree of values with places. YAML 1.2, core schema; what the library lets pass
 * with a warning or silently changes (unknown tags, large integers, merge keys) is a fault here.
 */
import {
  Composer,
  type CST,
  type Document,
  isCollection,
  isScalar,
  type Node,
  Parser,
  visit,
  type YAMLError,
} from 'yaml';
import { faultAt, type Place, type PlanFault, type PlanText } from '../fault.ts';
import type { MapNode } from '../nodes.ts';
import { NodeConversion } from './conversion.ts';

/** BSON allows 180 levels; a plan needs far fewer. */
const MAX_DEPTH = 200;

/**
 * Of a plan: what parts keys and values from each other, and a bracket twice, for a map of one is the most that so few characters say. Each
 * takes up to 2.2 kB until the plan is checked, so that it is done within 256 MB.
 */
const MOST_MARKS = 90_000;

interface YamlReading {
  /** Undefined when the text is not one YAML map. */
  readonly root: MapNode | undefined;
  readonly faults: readonly PlanFault[];
}

export function parsePlanText(text: PlanText): YamlReading {
  const all: Place = { text, start: 0, end: text.text.length };
  const crowded = firstTooMany(text.text);
  if (crowded !== undefined) {
    const place = { text, start: crowded, end: crowded + 1 };
    const message = 'too many keys and values stand before this';
    const expected = `about ${MOST_MARKS.toLocaleString('en-US')} at most; select by a condition, or by ids in a file of their own (ids: ./deleted-ids.txt)`;
    return faulty(faultAt(place, 'yaml', { message, expected }));
  }
  const tokens = [...new Parser().parse(text.text)];
  const tooDeep = firstTooDeep(tokens);
  if (tooDeep !== undefined) {
    const message = 'nested too deeply';
    const place = { text, start: tooDeep, end: tooDeep + 1 };
    return faulty(faultAt(place, 'yaml', { message, expected: `at most ${MAX_DEPTH} levels` }));
  }
  const composer = new Composer({
    version: '1.2',
    schema: 'core',
    intAsBigInt: true,
    // Duplicates are found below, with both positions.
    uniqueKeys: false,
    resolveKnownTags: false,
    prettyErrors: false,
  });
  const documents = [...composer.compose(tokens, true, text.text.length)];
  const document = documents[0]!;
  const errors = [...document.errors, ...document.warnings];
  const faults = errors.map((error) => syntaxFault(document, text, error));
  if (documents[1] !== undefined) {
    const start = documents[1].range[0];
    const message = 'a second document starts here';
    faults.push(
      faultAt({ text, start, end: start + 3 }, 'yaml', { message, expected: 'one plan in a file' }),
    );
  }
  if (faults.length > 0) return faulty(...withoutConsequences(faults));

  if (document.directives?.yaml.explicit === true && document.directives.yaml.version !== '1.2') {
    const place = { text, start: 0, end: text.text.indexOf('\n') };
    const message = `the file asks for YAML ${document.directives.yaml.version}`;
    return faulty(faultAt(place, 'yaml', { message, expected: 'YAML 1.2' }));
  }
  const contents = document.contents;
  if (contents === null || (isScalar(contents) && contents.value === null)) {
    const expected = 'a map with version, name, source, collections and targets; `plan init` writes one';
    const start = { text, start: 0, end: 0 };
    return faulty(faultAt(start, 'yaml', { message: 'the plan is empty', expected }));
  }
  const conversion = new NodeConversion(text);
  const root = conversion.convert(contents);
  if (conversion.faults.length === 0 && root.kind !== 'map') {
    const message = `the plan is ${root.kind === 'list' ? 'a list' : 'a single value'}`;
    conversion.faults.push(faultAt({ ...all, end: 1 }, 'type', { message, expected: 'a map of keys' }));
  }
  return { root: root.kind === 'map' ? root : undefined, faults: conversion.faults };
}

/** Behind a colon that is part of a word, as in an address; behind a quotation mark it ends a key all the same. */
const WORD = /[^\s,[\]{}"']/;
const QUOTE = /["']/;

/** Offset of the first mark that is one too many. */
function firstTooMany(text: string): number | undefined {
  let marks = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === ',' || character === '\n') marks++;
    else if (character === ':')
      marks += WORD.test(text[at + 1] ?? '') && !QUOTE.test(text[at - 1] ?? '') ? 0 : 1;
    else if (character === '{' || character === '[') marks += 2;
    if (marks > MOST_MARKS) return at;
  }
  return undefined;
}

/** Offset of the first token that lies too deep. Composing deeper ones would exhaust the stack, not always catchably. */
function firstTooDeep(tokens: readonly CST.Token[]): number | undefined {
  let level: (CST.Token | null | undefined)[] = [...tokens];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return level.find((token) => token != null)?.offset;
    level = level.flatMap((token) => {
      if (token == null) return [];
      if (token.type === 'document') return [token.value];
      return 'items' in token ? token.items.flatMap((item) => [item.key, item.value]) : [];
    });
  }
  return undefined;
}

function faulty(...faults: readonly PlanFault[]): YamlReading {
  return { root: undefined, faults };
}

// Faults of YAML itself, in words that help.

/** A fault of the library, in this program's words where its own would not help. */
function syntaxFault(document: Document, text: PlanText, error: YAMLError): PlanFault {
  const start = Math.min(error.pos[0], text.text.length);
  const place: Place = { text, start, end: Math.max(start, error.pos[1]) };
  const fault = (at: Place, message: string, expected?: string) => faultAt(at, 'yaml', { message, expected });

  if (text.text.slice(start - 1, start + 1) === '${') {
    return fault({ ...place, start: start - 1 }, 'a variable inside { } or [ ] needs quotes', `"\${NAME}"`);
  }
  const space = foreignIndent(place);
  if (space !== undefined) {
    const code = text.text.charCodeAt(space.start).toString(16).padStart(4, '0').toUpperCase();
    return fault(space, `a space of another kind (U+${code}) is used for indentation`, 'plain spaces');
  }
  // The library points to where the text ran out; what was opened is what the reader looks for.
  if (error.message.startsWith('Missing closing')) {
    return fault(openedBefore(document, place, isQuoted), 'a quote is opened here and not closed');
  }
  if (/ end with a [\]}]$/.test(error.message)) {
    const opened = openedBefore(document, place, (node) => isFlow(node) && !isClosed(node, text));
    return fault(
      { ...opened, end: opened.start + 1 },
      `a ${text.text[opened.start]} is opened here and not closed`,
    );
  }
  if (/^Unexpected flow-(?:seq|map)-start/.test(error.message)) {
    const expected = "quotes around it, or { $regex: '…' } for a regular expression in a query";
    return fault(
      { ...place, end: start + 1 },
      `a ${text.text[start]} inside a text without quotes`,
      expected,
    );
  }
  switch (error.code) {
    case 'TAB_AS_INDENT':
      return fault(place, 'a tab is used for indentation', 'spaces');
    case 'TAG_RESOLVE_FAILED':
      return fault(place, `a plan has no tags such as ${text.text.slice(start, place.end)}`, 'plain values');
    case 'BAD_DIRECTIVE':
      return fault(place, 'a directive that a plan does not know', 'no % directives');
    case 'BLOCK_AS_IMPLICIT_KEY':
      return fault(
        place,
        'a second key on the same line',
        'quotes around a text that holds a colon and a space',
      );
    case 'BAD_SCALAR_START':
      return fault(place, lowerFirst(error.message), 'quotes around it if it is text');
    default:
      return fault(place, `not valid YAML: ${lowerFirst(error.message.replace(/\s+/g, ' '))}`);
  }
}

/** Text from a chat or a web page may be indented by no-break spaces, which look like spaces and are letters to YAML. */
function foreignIndent({ text, start }: Place): Place | undefined {
  const lineStart = text.text.lastIndexOf('\n', start - 1) + 1;
  const [indent] = /^[ \t]*[^\S \t\r\n]/.exec(text.text.slice(lineStart)) ?? [];
  if (indent === undefined) return undefined;
  const end = lineStart + indent.length;
  return { text, start: end - 1, end };
}

const isQuoted = (node: Node) => isScalar(node) && node.type?.startsWith('QUOTE') === true;
const isFlow = (node: Node) => isCollection(node) && node.flow === true;

function isClosed(node: Node, text: PlanText): boolean {
  return /[\]}]/.test(text.text[(node.range?.[1] ?? 0) - 1] ?? '');
}

/** The last such node that begins before the place and reaches it; the place itself when there is none. */
function openedBefore(document: Document, place: Place, isSuch: (node: Node) => boolean): Place {
  let found = place;
  visit(document, {
    Node(_, node) {
      const [from, , to] = node.range ?? [0, 0, 0];
      if (isSuch(node) && from < place.start && to >= place.start)
        found = { ...place, start: from, end: from + 1 };
    },
  });
  return found;
}

/** One mistake makes the library stumble several times; the first on each line, and what it still understood, is kept. */
function withoutConsequences(faults: readonly PlanFault[]): PlanFault[] {
  return faults.filter(
    (fault, i) =>
      i === 0 ||
      (!/in YAML stream/.test(fault.message) &&
        !faults.slice(0, i).some((earlier) => earlier.line === fault.line)),
  );
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

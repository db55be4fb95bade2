/**
 * Turns the text of a plan file into a tree of values with places. YAML 1.2, core schema; what the library lets pass
 * with a warning or silently changes (unknown tags, large integers, merge keys) is a fault here.
 */
import { Composer, type CST, isScalar, Parser } from 'yaml';
import { faultAt, type Place, type PlanFault, type PlanText } from './fault.ts';
import type { MapNode } from './nodes.ts';
import { NodeConversion } from './yaml-conversion.ts';
import { syntaxFault, withoutConsequences } from './yaml-syntax.ts';

/** BSON allows 180 levels; a plan needs far fewer. */
const MAX_DEPTH = 200;

export interface YamlReading {
  /** Undefined when the text is not one YAML map. */
  readonly root: MapNode | undefined;
  readonly faults: readonly PlanFault[];
}

export function parsePlanText(text: PlanText): YamlReading {
  const all: Place = { text, start: 0, end: text.text.length };
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

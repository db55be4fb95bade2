/** Rules about `source` that a schema cannot say: one location, and a name that can be found. */
import { type FaultDetails, faultAt, noteAt, type Place, type PlanFault } from '../fault.ts';
import {
  isAbbreviation,
  isStillToCome,
  isTimeZone,
  momentIn,
  nearTimeZone,
  parseDuration,
  parseInstant,
} from '../instant.ts';
import { parseLocationTemplate } from '../location-template.ts';
import { type MapNode, nodeAt, type PathPart, pathText, placeAt, type ScalarNode, textAt } from '../nodes.ts';
import { jsonlRules } from '../sources/jsonl.ts';
import { preImagesRules, snapshotRules } from '../sources/mongodb.ts';
import { aloneRules, isOplogAlone, oplogFileRules, oplogMaps, oplogRules } from '../sources/oplog.ts';
import type { StoreKind, Templated } from '../sources/source-kind.ts';
import { ALTERNATIVES } from '../sources/sources.ts';
import { type DraftLocation, STORES, type StoreLocation } from '../sources/stores.ts';
import { exactlyOne } from './structure.ts';
import { hasWindows } from './window-rules.ts';

export function sourceRules(root: MapNode): PlanFault[] {
  if (nodeAt(root, 'source')?.kind !== 'map') return [];
  const isAlone = isOplogAlone(nodeAt(root, 'source'), ALTERNATIVES[0].keys);
  const faults = ALTERNATIVES.flatMap(({ path, keys }) =>
    nodeAt(root, ...path)?.kind === 'map' && !(isAlone && path.length === 1)
      ? exactlyOne(root, path, { keys, what: 'location' })
      : [],
  );
  const places = storesIn(root);
  const templates = places.flatMap(({ parent, store }) => {
    const path = [...parent, ...store.template];
    const node = nodeAt(root, ...path);
    return node?.kind === 'scalar' && typeof node.value === 'string' && !node.unjudged
      ? [{ parent, store, path, node }]
      : [];
  });
  for (const each of templates) faults.push(...templateRules(root, each));
  const timed = templates.filter(({ node }) => hasTime(node));
  const isBackupTimed = timed.some(({ parent }) => parent[1] !== 'oplog');
  return [
    ...faults,
    ...oplogRules(root),
    ...(isAlone ? aloneRules(root) : []),
    ...snapshotRules(root),
    ...preImagesRules(root),
    ...timeRules(root, { isTimed: timed.length > 0, isBackupTimed, places }),
  ];
}

interface StoreInPlan {
  /** The map in which the key of the store stands. */
  readonly parent: readonly string[];
  readonly store: StoreKind<StoreLocation, DraftLocation>;
}

/** Where a store may stand in a plan. */
function storesIn(root: MapNode): readonly StoreInPlan[] {
  return [...ALTERNATIVES, ...oplogMaps(root)].flatMap(({ path: parent }) =>
    Object.values(STORES).map((store) => ({ parent, store })),
  );
}

interface WrittenTemplate extends StoreInPlan {
  readonly path: readonly string[];
  readonly node: ScalarNode;
}

/** Also when its time cannot be understood: one was meant. */
function hasTime(node: ScalarNode): boolean {
  const template = parseLocationTemplate(String(node.value));
  return 'fault' in template || template.fields.length > 0;
}

function templateRules(root: MapNode, written: WrittenTemplate): PlanFault[] {
  const { parent, store, path, node } = written;
  const place = (start: number, end: number) => partOf(node, start, end);
  const template = parseLocationTemplate(String(node.value));
  if ('fault' in template) {
    const { message, expected, start, end } = template.fault;
    return [faultAt(place(start, end), 'source', { message, expected })];
  }
  const templated = { root, path, node, template, partOf: place };
  return [
    ...(parent[1] === 'jsonl' ? jsonlRules(templated) : []),
    ...(parent[1] === 'oplog' ? oplogFileRules(templated) : []),
    ...(store.rules?.(templated) ?? []),
    ...zoneRules(templated, written),
  ];
}

function zoneRules({ root, path, node, template }: Templated, { parent, store }: StoreInPlan): PlanFault[] {
  if (template.fields.length === 0) return [];
  const faults: PlanFault[] = [];
  const own = store.timezone && [...parent, ...store.timezone];
  const hasZone =
    (own && nodeAt(root, ...own)) !== undefined || nodeAt(root, 'source', 'timezone') !== undefined;
  if (!hasZone) {
    const zone = own === undefined ? 'source.timezone' : pathText(own);
    const message = `${pathText(path)} has a {time:…}, but nothing says in which time zone`;
    const expected = `${zone}, an IANA time zone such as America/New_York`;
    faults.push(faultAt(timeOf(node), 'missing-key', { message, expected }));
  }
  if (nodeAt(root, 'source', 'at') === undefined && !hasWindows(root)) {
    const message = `${pathText(path)} has a {time:…}, but nothing says which backup to take`;
    const expected = 'source.at, an instant with its offset such as 2016-09-13T09:00:00-04:00';
    faults.push(faultAt(timeOf(node), 'missing-key', { message, expected }));
  }
  return faults;
}

/** The `{time:…}` inside the template's text. */
function timeOf(node: ScalarNode): Place {
  const text = String(node.value);
  const start = text.indexOf('{time:');
  return partOf(node, start, text.indexOf('}', start) + 1);
}

/** A part of a value; the whole value where the file has it in other characters (escapes, variables, several lines). */
function partOf(node: ScalarNode, start: number, end: number): Place {
  const { text } = node.place;
  const value = String(node.value);
  const at = text.text.slice(node.place.start, node.place.end).indexOf(value);
  if (at < 0) return node.place;
  return { text, start: node.place.start + at + start, end: node.place.start + at + end };
}

// Rules about when: the moment, the age and the time zones of a source.

/** Whether the location of anything has a `{time:…}`, and whether that of the backup has. */
interface Timed {
  readonly isTimed: boolean;
  readonly isBackupTimed: boolean;
  readonly places: readonly StoreInPlan[];
}

function timeRules(root: MapNode, { isTimed, isBackupTimed, places }: Timed): PlanFault[] {
  return [
    ...momentRules(root),
    ...ageRules(root, isBackupTimed),
    ...zonesOf(places).flatMap((path) => zoneNameRules(root, path, isTimed)),
  ];
}

function momentRules(root: MapNode): PlanFault[] {
  const at = textAt(root, 'source', 'at');
  const reading = at === undefined ? undefined : parseInstant(at);
  return reading === undefined || 'instant' in reading ? [] : [atValue(root, ['source', 'at'], reading)];
}

/** The last good moment has passed when somebody restores; a slip in the year would take the newest backup, also one from after the loss. */
export function futureMoment(
  root: MapNode,
  { now, isFault }: { readonly now: number; readonly isFault: boolean },
): PlanFault[] {
  const at = momentIn(nodeAt(root, 'source'));
  if (at === undefined || !isStillToCome(at, now)) return [];
  const place = nodeAt(root, 'source', 'at')?.place ?? placeAt(root, 'source', 'at');
  const message = `source.at ${at.text} is still to come: every backup is older, also one from after the loss`;
  const expected = 'the last moment at which the data was known to be good';
  return [
    isFault ? faultAt(place, 'time', { message, expected }) : noteAt(place, 'time', { message, expected }),
  ];
}

function ageRules(root: MapNode, isTimed: boolean): PlanFault[] {
  const path = ['source', 'maxAge'];
  const maxAge = textAt(root, ...path);
  if (maxAge === undefined) return [];
  const faults: PlanFault[] = [];
  const expected = 'a duration such as 26h or 1h30m';
  const milliseconds = parseDuration(maxAge);
  if (milliseconds === undefined)
    faults.push(atValue(root, path, { message: 'this is no duration', expected }));
  if (milliseconds === 0)
    faults.push(atValue(root, path, { message: 'no backup is young enough', expected }));
  if (nodeAt(root, 'source', 'at') === undefined && !hasWindows(root)) {
    const message = 'source.maxAge counts back from source.at, which is missing';
    faults.push(faultAt(placeAt(root, ...path), 'missing-key', { message, expected: 'both or neither' }));
  } else if (!isTimed) {
    const message =
      'source.maxAge has no effect: without a {time:…} in the location, the age of the backup is not known';
    faults.push(noteAt(placeAt(root, ...path), 'time', { message }));
  }
  return faults;
}

/** Where a time zone may stand. */
function zonesOf(places: readonly StoreInPlan[]): readonly (readonly PathPart[])[] {
  const own = places.flatMap(({ parent, store }) => (store.timezone ? [[...parent, ...store.timezone]] : []));
  return [['source', 'timezone'], ...own];
}

function zoneNameRules(root: MapNode, path: readonly PathPart[], isTimed: boolean): PlanFault[] {
  const zone = textAt(root, ...path);
  if (zone === undefined) return [];
  if (isTimeZone(zone)) {
    const message = `${pathText(path)} has no effect: the location has no {time:…}`;
    return isTimed ? [] : [noteAt(placeAt(root, ...path), 'time', { message })];
  }
  const expected = 'an IANA time zone such as America/New_York';
  const isOffset = /^[+-]|\d:\d/.test(zone);
  if (isOffset) {
    const message = 'an offset does not say when daylight saving begins and ends';
    return [atValue(root, path, { message, expected })];
  }
  if (isAbbreviation(zone)) {
    return [atValue(root, path, { message: 'an abbreviation can mean several time zones', expected })];
  }
  const suggestion = nearTimeZone(zone);
  return [atValue(root, path, { message: 'there is no such time zone', suggestion, expected })];
}

function atValue(
  root: MapNode,
  path: readonly PathPart[],
  details: FaultDetails & { readonly message: string },
): PlanFault {
  const node = nodeAt(root, ...path);
  return faultAt(node?.place ?? placeAt(root, ...path), 'time', details);
}

/** Rules about `source` that a schema cannot say: one location, and a name that can be found. */
import { type FaultDetails, faultAt, noteAt, type Place, type PlanFault } from '../fault.ts';
import { isAbbreviation, isTimeZone, nearTimeZone, parseDuration, parseInstant } from '../instant.ts';
import { type LocationTemplate, parseLocationTemplate } from '../location-template.ts';
import { type MapNode, nodeAt, type PathPart, pathText, placeAt, type ScalarNode, textAt } from '../nodes.ts';
import { collectionEntries, exactlyOne } from './structure.ts';

export function sourceRules(root: MapNode): PlanFault[] {
  if (nodeAt(root, 'source')?.kind !== 'map') return [];
  const faults = exactlyOne(root, ['source'], { keys: ['s3', 'path', 'mongodb', 'jsonl'], what: 'location' });
  if (nodeAt(root, 'source', 'jsonl')?.kind === 'map') {
    faults.push(...exactlyOne(root, ['source', 'jsonl'], { keys: ['path', 's3'], what: 'location' }));
  }
  const templates = TEMPLATES.flatMap((path) => {
    const node = nodeAt(root, ...path);
    return node?.kind === 'scalar' && typeof node.value === 'string' && !node.unjudged
      ? [{ path, node }]
      : [];
  });
  for (const { path, node } of templates) faults.push(...templateRules(root, path, node));
  const isTimed = templates.some(({ node }) => hasTime(node));
  return [...faults, ...timeRules(root, isTimed)];
}

/** Where a template may stand. */
const TEMPLATES: readonly (readonly PathPart[])[] = [
  ['source', 's3', 'key'],
  ['source', 'path'],
  ['source', 'jsonl', 's3', 'key'],
  ['source', 'jsonl', 'path'],
];

function readTemplate(node: ScalarNode): ReturnType<typeof parseLocationTemplate> {
  return parseLocationTemplate(String(node.value));
}

/** Also when its time cannot be understood: one was meant. */
function hasTime(node: ScalarNode): boolean {
  const template = readTemplate(node);
  return 'fault' in template || template.fields.length > 0;
}

function templateRules(root: MapNode, path: readonly PathPart[], node: ScalarNode): PlanFault[] {
  const template = readTemplate(node);
  if ('fault' in template) {
    const { message, expected, start, end } = template.fault;
    return [faultAt(partOf(node, start, end), 'source', { message, expected })];
  }
  const templated = { node, template };
  return [
    ...collectionRules(root, path, templated),
    ...versionRules(path, node),
    ...zoneRules(root, path, { node, template }),
  ];
}

interface Templated {
  readonly node: ScalarNode;
  readonly template: LocationTemplate;
}

function collectionRules(
  root: MapNode,
  path: readonly PathPart[],
  { node, template }: Templated,
): PlanFault[] {
  const names = template.parts.some((part) => part.kind === 'collection');
  const isJsonl = path.includes('jsonl');
  const wanted = new Set(collectionEntries(root).map((entry) => entry.name));
  if (!isJsonl || names || wanted.size <= 1) return [];
  const message = `one file cannot hold the ${wanted.size} collections of this plan`;
  const expected = '{collection} in the name of the files';
  return [faultAt(node.place, 'source', { message, expected })];
}

function zoneRules(root: MapNode, path: readonly PathPart[], { node, template }: Templated): PlanFault[] {
  if (template.fields.length === 0) return [];
  const faults: PlanFault[] = [];
  const own = [...path.slice(0, -1), 'timezone'];
  const hasZone = nodeAt(root, ...own) !== undefined || nodeAt(root, 'source', 'timezone') !== undefined;
  if (!hasZone) {
    const zone = path.includes('s3') ? pathText(own) : 'source.timezone';
    const message = `${pathText(path)} has a {time:…}, but nothing says in which time zone`;
    const expected = `${zone}, an IANA time zone such as America/New_York`;
    faults.push(faultAt(timeOf(node), 'missing-key', { message, expected }));
  }
  if (nodeAt(root, 'source', 'at') === undefined) {
    const message = `${pathText(path)} has a {time:…}, but nothing says which backup to take`;
    const expected = 'source.at, an instant with its offset such as 2016-09-13T09:00:00-04:00';
    faults.push(faultAt(timeOf(node), 'missing-key', { message, expected }));
  }
  return faults;
}

/** As the AWS tools write a version of an object; S3 would look for a key of that name. */
function versionRules(path: readonly PathPart[], node: ScalarNode): PlanFault[] {
  const [query = '', version = ''] = /\?versionId=([^&]*)$/.exec(String(node.value)) ?? [];
  if (query === '' || !path.includes('s3')) return [];
  const message = `${pathText(path)} cannot name a version of an object`;
  const expected =
    'the key alone, for the version that is current; an older one is fetched first and named as source.path: ' +
    `aws s3api get-object --bucket … --key … --version-id ${version} <file>`;
  const start = String(node.value).length - query.length;
  return [faultAt(partOf(node, start, start + query.length), 'source', { message, expected })];
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

/** `isTimed`: the location has a `{time:…}`. */
function timeRules(root: MapNode, isTimed: boolean): PlanFault[] {
  return [
    ...momentRules(root),
    ...ageRules(root, isTimed),
    ...ZONES.flatMap((path) => zoneNameRules(root, path, isTimed)),
  ];
}

function momentRules(root: MapNode): PlanFault[] {
  const at = textAt(root, 'source', 'at');
  const reading = at === undefined ? undefined : parseInstant(at);
  return reading === undefined || 'instant' in reading ? [] : [atValue(root, ['source', 'at'], reading)];
}

/** Clocks differ, and a plan may be written at the moment it names. */
const CLOCK_MS = 5 * 60_000;

/** The last good moment has passed when somebody restores; a slip in the year would take the newest backup, also one from after the loss. */
export function futureMoment(
  root: MapNode,
  { now, isFault }: { readonly now: number; readonly isFault: boolean },
): PlanFault[] {
  const at = textAt(root, 'source', 'at');
  const reading = at === undefined ? undefined : parseInstant(at);
  if (reading === undefined || !('instant' in reading) || reading.instant.epochMs <= now + CLOCK_MS)
    return [];
  const place = nodeAt(root, 'source', 'at')?.place ?? placeAt(root, 'source', 'at');
  const message = `source.at ${at} is still to come: every backup is older, also one from after the loss`;
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
  if (nodeAt(root, 'source', 'at') === undefined) {
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
const ZONES: readonly (readonly PathPart[])[] = [
  ['source', 'timezone'],
  ['source', 's3', 'timezone'],
  ['source', 'jsonl', 's3', 'timezone'],
];

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

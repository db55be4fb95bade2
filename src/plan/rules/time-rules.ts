/** Rules about when: the moment, the age and the time zones of a source. */
import { type FaultDetails, faultAt, noteAt, type PlanFault } from '../fault.ts';
import { parseDuration, parseInstant } from '../instant.ts';
import { type MapNode, nodeAt, type PathPart, pathText, placeAt, textAt } from '../nodes.ts';
import { isAbbreviation, isTimeZone, nearTimeZone } from '../time-zone.ts';

/** `isTimed`: the location has a `{time:…}`. */
export function timeRules(root: MapNode, isTimed: boolean): PlanFault[] {
  return [
    ...momentRules(root),
    ...ageRules(root, isTimed),
    ...ZONES.flatMap((path) => zoneRules(root, path, isTimed)),
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

function zoneRules(root: MapNode, path: readonly PathPart[], isTimed: boolean): PlanFault[] {
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

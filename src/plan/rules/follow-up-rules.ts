/** Rules about follow-ups: one action each, names that lead somewhere, an order that ends, secrets from variables. */
import { faultAt, type PlanFault, quoted } from '../fault.ts';
import type { FollowUpKind } from '../follow-ups/kind.ts';
import { FOLLOW_UP_KINDS } from '../follow-ups/kinds.ts';
import { parseDuration } from '../instant.ts';
import { nearest } from '../nearest.ts';
import { itemsAt, type MapNode, nodeAt, type PathPart, type PlanNode, placeAt, textAt } from '../nodes.ts';
import { exactlyOne, repeats, wayBetween } from './structure.ts';

const KINDS: readonly (readonly [string, Pick<FollowUpKind<never>, 'options' | 'rules'>])[] =
  Object.entries(FOLLOW_UP_KINDS);

interface Entry {
  readonly name: string;
  readonly node: PlanNode;
  readonly path: readonly PathPart[];
}

export function followUpRules(root: MapNode): PlanFault[] {
  const items = itemsAt(root, 'followUps').map((node, i) => ({
    node,
    path: ['followUps', i],
    name: textAt(node, 'name') ?? '',
  }));
  const named = items.filter(({ name }) => name !== '');
  return [
    ...items.flatMap(({ path }) => [
      ...exactlyOne(root, path, { keys: Object.keys(FOLLOW_UP_KINDS), what: 'action' }),
      ...optionRules(root, path),
      ...KINDS.flatMap(([, kind]) => kind.rules?.(root, path) ?? []),
    ]),
    ...sameName(root, named),
    ...named.flatMap((entry) => needRules(root, entry, named)),
    ...circles(root, named),
    ...targetRules(root, named),
  ];
}

/** Options that only some actions have. */
function optionRules(root: MapNode, path: readonly PathPart[]): PlanFault[] {
  const has = (key: string) => nodeAt(root, ...path, key) !== undefined;
  const faults: PlanFault[] = [];
  for (const key of new Set(KINDS.flatMap(([, kind]) => kind.options))) {
    const actions = KINDS.filter(([, kind]) => kind.options.includes(key)).map(([name]) => name);
    if (!has(key) || actions.some(has)) continue;
    const expected = `\`${key}\` only with ${actions.join(' or ')}`;
    const message = `\`${key}\` has no meaning here`;
    faults.push(faultAt(placeAt(root, ...path, key), 'follow-ups', { message, expected }));
  }
  const timeout = textAt(root, ...path, 'timeout');
  if (timeout !== undefined && !parseDuration(timeout)) {
    const message = timeout === '0s' ? 'a time-out of nothing' : 'this is no duration';
    faults.push(
      faultAt(nodeAt(root, ...path, 'timeout')!.place, 'time', {
        message,
        expected: 'a duration such as 2m',
      }),
    );
  }
  return faults;
}

function sameName(root: MapNode, entries: readonly Entry[]): PlanFault[] {
  return repeats(entries, ({ name }) => name).map(({ entry, first }) => {
    const message = `two follow-ups are called ${quoted(entry.name)}`;
    const related = [{ place: placeAt(root, ...first.path, 'name'), message: 'first here' }];
    const expected = 'a name of its own';
    return faultAt(placeAt(root, ...entry.path, 'name'), 'follow-ups', { message, expected, related });
  });
}

/** Names that a message lists. */
const MOST_NAMES = 20;

function needRules(root: MapNode, entry: Entry, all: readonly Entry[]): PlanFault[] {
  return itemsAt(entry.node, 'needs').flatMap((node, i) => {
    const need = textAt(entry.node, 'needs', i);
    if (need === undefined || need === '') return [];
    const needed = all.find((other) => other.name === need);
    if (needed === undefined) {
      const names = all.map((other) => other.name).filter((name) => name !== entry.name);
      const some = names.slice(0, MOST_NAMES).map(quoted).join(', ');
      const more = names.length > MOST_NAMES ? ' …' : '';
      const expected = names.length === 0 ? 'the name of another follow-up' : `one of ${some}${more}`;
      const message = `there is no follow-up called ${quoted(need)}`;
      return [faultAt(node.place, 'follow-ups', { message, expected, suggestion: nearest(need, names) })];
    }
    const missing = targetsOf(entry).filter((target) => !targetsOf(needed).includes(target));
    if (missing.length === 0 || targetsOf(needed).length === 0) return [];
    const message = `${quoted(need)} is not due on ${missing.join(' and ')}, so this would wait for ever`;
    const related = [{ place: placeAt(root, ...needed.path, 'on'), message: `${need} is due here` }];
    return [
      faultAt(node.place, 'follow-ups', { message, expected: 'a follow-up of the same targets', related }),
    ];
  });
}

function targetsOf(entry: Entry): string[] {
  const on = textAt(entry.node, 'on');
  if (on === 'both') return ['staging', 'production'];
  return on === 'staging' || on === 'production' ? [on] : [];
}

function textsAt(node: PlanNode, key: string): string[] {
  return itemsAt(node, key).flatMap((_, i) => textAt(node, key, i) ?? []);
}

/** Each circle is reported once, at the follow-up that stands first. */
function circles(root: MapNode, entries: readonly Entry[]): PlanFault[] {
  const reported = new Set<string>();
  const needs = new Map(
    // Of two with the same name the first one counts.
    entries.toReversed().map(({ name, node }) => [name, textsAt(node, 'needs')] as const),
  );
  return entries.flatMap((entry) => {
    const way = reported.has(entry.name)
      ? undefined
      : wayBetween(entry.name, entry.name, (name) => needs.get(name) ?? []);
    if (way === undefined) return [];
    for (const name of way) reported.add(name);
    const message = `these follow-ups wait for each other: ${way.join(' → ')}`;
    return [
      faultAt(placeAt(root, ...entry.path, 'needs'), 'follow-ups', {
        message,
        expected: 'needs without a circle',
      }),
    ];
  });
}

function targetRules(root: MapNode, entries: readonly Entry[]): PlanFault[] {
  if (nodeAt(root, 'targets', 'production') !== undefined || nodeAt(root, 'targets') === undefined) return [];
  return entries.flatMap((entry) => {
    if (textAt(entry.node, 'on') !== 'production') return [];
    const message = 'this plan has no production target, so this would never be due';
    return [
      faultAt(nodeAt(entry.node, 'on')!.place, 'follow-ups', {
        message,
        expected: 'staging, or a production target',
      }),
    ];
  });
}

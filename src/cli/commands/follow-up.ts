/** `plan follow-up list|run|done`: the loose ends of a plan. */

import { advice } from '../../advice.ts';
import { RestorePlanError } from '../../errors.ts';
import type { TargetName } from '../../events.ts';
import type { FollowUpStatus } from '../../follow-ups/follow-up-status.ts';
import { nearest } from '../../plan/nearest.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Restore } from '../../restore/restore.ts';
import { neutral } from '../../text/escape.ts';
import type { ExitName, OptionValue, OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { show } from '../view.ts';
import { followUpExit, followUpView } from '../views/follow-up.ts';

interface Work {
  readonly context: CommandContext;
  readonly restore: Restore;
  /** Name of the follow-up. */
  readonly name: string | undefined;
  readonly options: OptionValues;
}

type Action = (work: Work, target: TargetName) => Promise<readonly FollowUpStatus[]>;

const ACTIONS: Readonly<Record<string, Action>> = { list, run: runThem, done };

export async function run(
  context: CommandContext,
  [word = '', file = '', name]: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  const action = Object.hasOwn(ACTIONS, word) ? ACTIONS[word] : undefined;
  if (action === undefined) {
    const near = nearest(word, Object.keys(ACTIONS));
    throw new RestorePlanError('USAGE', `plan follow-up knows no ${word}`, {
      hint: near === undefined ? 'It knows list, run and done.' : `Did you mean ${near}?`,
    });
  }
  refuseIdle({ word, name, options });
  const restore = await openPlan(context, file);
  const { plan } = restore;
  requireKnownName(plan, word, name);
  const targets = targetsOf(plan, { word, name }, options['target'] as TargetName | undefined);
  restore.require(...targets);
  await context.follow(['follow-ups']);
  const statuses: FollowUpStatus[] = [];
  for (const target of targets)
    statuses.push(...concerning(await action({ context, restore, name, options }, target), name));
  await show(context, followUpView(statuses, context.given, noneLine(name, options['target'])));
  return word === 'run' ? followUpExit(statuses) : 'OK';
}

/** An option that would do nothing is a mistake that nobody should find out later. */
function refuseIdle({ word, name, options }: { word: string } & Pick<Work, 'name' | 'options'>): void {
  if (options['again'] === true && (word !== 'run' || name === undefined)) {
    throw new RestorePlanError(
      'USAGE',
      '--again goes with `plan follow-up run` and the name of one follow-up',
      {
        hint: advice`${{ command: 'follow-up list' }} shows the names.`,
      },
    );
  }
  if (options['note'] !== undefined && word !== 'done') {
    throw new RestorePlanError('USAGE', '--note goes with `plan follow-up done`', {
      hint: 'It is kept beside what was ticked off.',
    });
  }
}

/** The named one with those that it waits for: how others stand says nothing of what was asked. */
function concerning(
  statuses: readonly FollowUpStatus[],
  name: string | undefined,
): readonly FollowUpStatus[] {
  if (name === undefined) return statuses;
  const named = statuses.find(({ followUp }) => followUp.name === name);
  return statuses.filter((each) => each === named || named?.waitsFor.includes(each.followUp.name));
}

function noneLine(name: string | undefined, target: OptionValue): string {
  const what = name === undefined ? 'no follow-ups' : `no follow-up "${neutral(name)}"`;
  return `The plan has ${what}${typeof target === 'string' ? ` for ${target}` : ''}.`;
}

async function list({ restore }: Work, name: TargetName): Promise<readonly FollowUpStatus[]> {
  return restore.followUpStatuses(name);
}

async function runThem(
  { restore, name, options }: Work,
  target: TargetName,
): Promise<readonly FollowUpStatus[]> {
  return restore.followUps(target, { only: name, again: options['again'] === true });
}

async function done(work: Work, target: TargetName): Promise<readonly FollowUpStatus[]> {
  const { context, restore, name = '', options } = work;
  const note = typeof options['note'] === 'string' ? options['note'] : undefined;
  const isRecorded = await restore.tickOff(target, name, note);
  if (!isRecorded) {
    const dropped = note === undefined ? '' : ', and the note is not kept';
    const message = `follow-up "${name}" of ${target} was done before: nothing was recorded${dropped}`;
    context.emit({ type: 'warning', message });
  }
  return list(work, target);
}

function requireKnownName(plan: Plan, word: string, name: string | undefined): void {
  if (word === 'done' && name === undefined) {
    throw new RestorePlanError('USAGE', 'plan follow-up done needs the name of the follow-up', {
      hint: advice`${{ command: 'follow-up list' }} shows them.`,
    });
  }
  const names = plan.followUps.map((followUp) => followUp.name);
  if (name === undefined || names.includes(name)) return;
  const suggestion = nearest(name, names);
  throw new RestorePlanError('USAGE', `the plan has no follow-up "${name}"`, {
    hint:
      suggestion !== undefined
        ? `Did you mean "${suggestion}"?`
        : names.length === 0
          ? 'It has none.'
          : `It has ${names.map((each) => `"${each}"`).join(', ')}.`,
  });
}

/** The targets that follow-ups of the plan, or the named one, concern. To tick one off that concerns both, one must be named. */
function targetsOf(
  plan: Plan,
  { word, name }: { readonly word: string; readonly name: string | undefined },
  chosen: TargetName | undefined,
): readonly TargetName[] {
  if (chosen !== undefined) return [chosen];
  const concerned = plan.followUps.filter((followUp) => name === undefined || followUp.name === name);
  const targets = (['staging', 'production'] as const).filter(
    (target) =>
      plan.targets[target] !== undefined && concerned.some(({ on }) => on === target || on === 'both'),
  );
  if (word !== 'list' && targets.length > 1) {
    throw new RestorePlanError('USAGE', 'say which target is meant', {
      hint: 'Add --target staging or --target production.',
    });
  }
  return targets;
}

/**
 * Does the loose ends of a plan that can be done without a person, in one target.
 *
 * It is done once for each run of the plan that it is due for, oldest first, with the ids of that run. Each is claimed in the ledger
 * before it is begun and its end is recorded: one that succeeded is never begun again for the same run. Not guaranteed: that one which was cut off in the middle did nothing; its end is unknown, and
 * only an operator's word (`again`, or ticking it off) brings it out of that state.
 */
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { advice, together } from '../advice.ts';
import { showValue } from '../bson/show.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { makeDirectory, PRIVATE_FILE, removeUnused, workDirectoryFault } from '../files.ts';
import {
  ALIVE_MS,
  type FollowUpClaim,
  type FollowUpEnd,
  FollowUpWrites,
} from '../ledger/follow-up-record.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Actor, FollowUpRecord, RunRecord } from '../ledger/run-record.ts';
import { readRuns, runsOfPlan } from '../ledger/runs.ts';
import { type RestoredId, restoredIds } from '../ledger/written.ts';
import type { ActionEnd, ActionFault, Attempt } from '../plan/follow-ups/kind.ts';
import { kindOf } from '../plan/follow-ups/kinds.ts';
import type { Environment } from '../plan/interpolate.ts';
import type { FollowUpPlan, Plan } from '../plan/plan.ts';
import { oplogSecrets } from '../plan/sources/oplog.ts';
import { sourceKindOf } from '../plan/sources/sources.ts';
import type { Run } from '../run.ts';
import { redact, type Secret } from '../secret.ts';
import { accessTo, type Target } from '../target/target.ts';
import { type FollowUpStatus, followUpStatuses, restoresOf } from './follow-up-status.ts';

export interface FollowUpRequest {
  readonly plan: Plan;
  readonly target: Target;
  readonly actor: Actor;
  /** The operator's environment. */
  readonly environment: Environment;
  /** Only this one; undefined = all that are due. */
  readonly only?: string | undefined;
  /**
   * Also begin one whose end is not known, unless the process that began it is still at it, and one that counts as done because it was
   * done for an earlier run. Only with `only`.
   */
  readonly again?: boolean;
}

/**
 * Returns where every follow-up of the target stands afterwards. One that fails is recorded as failed, those that need it wait,
 * others go on. Throws RestorePlanError: LEDGER_UNSAVED when the end of one could not be recorded, LOCKED when one that is to be
 * begun `again` is still going on, the signal's reason when stopped.
 */
export async function runFollowUps(run: Run, request: FollowUpRequest): Promise<FollowUpStatus[]> {
  const { signal } = run;
  const { plan, target, actor } = request;
  await openLedger(target).migrate(plan.name, actor);
  const tried = new Set<string>();
  for (;;) {
    const runs = runsOfPlan(await readRuns(target.reader), plan, target.reader);
    const statuses = followUpStatuses(plan.followUps, target.name, runs);
    const next = statuses
      .flatMap((status) => runsToDo(status, request).map((restore) => ({ status, restore })))
      .find((due) => !tried.has(keyOf(due)));
    if (next === undefined) return statuses;
    signal.throwIfAborted();
    tried.add(keyOf(next));
    await attempt(run, request, next);
    signal.throwIfAborted();
  }
}

/** A follow-up to begin, and the run for which. */
interface Due {
  readonly status: FollowUpStatus;
  readonly restore: RunRecord;
}

const keyOf = ({ status, restore }: Due): string => `${restore.journalKey} ${status.followUp.name}`;

/** The runs for which it is to be begun now, oldest first. */
function runsToDo(
  { followUp, state, run, due, covered }: FollowUpStatus,
  { only, again = false }: FollowUpRequest,
): readonly RunRecord[] {
  if (kindOf(followUp.action).isForPeople || (only !== undefined && followUp.name !== only)) return [];
  const isAgain = only !== undefined && again;
  if (state === 'open' || state === 'failed') return due;
  if (state === 'unknown' && isAgain && run !== undefined) return [run];
  return state === 'done' && isAgain ? covered.slice(-1) : [];
}

async function attempt(run: Run, request: FollowUpRequest, { restore, status }: Due): Promise<void> {
  const { emit, signal } = run;
  const { target, actor } = request;
  const { name } = status.followUp;
  const record = restore.followUps.find((each) => each.name === name);
  const writes = new FollowUpWrites(accessTo(target).commands, restore.key);
  const id = randomUUID();
  const inSpiteOf = record?.state === 'started' ? record.attempt : undefined;
  const claim = { name, attempt: id, actor, inSpiteOf, status: restore.status };
  const look = async (): Promise<FollowUpRecord | undefined> => {
    const now = await openLedger(target).runs.find(restore.key);
    return now?.followUps.find((record) => record.name === name);
  };
  // Lost to another process that begins it at this moment: it will be seen in the ledger.
  const isOurs =
    inSpiteOf === undefined
      ? await writes.claim(claim)
      : await claimWhenDead({ writes, claim, look, signal });
  if (!isOurs) return;
  emit({ type: 'follow-up', target: target.name, name, state: 'started', detail: undefined });
  const end = await showingLife(
    () => writes.live({ name, attempt: id }),
    () => act(run, request, { restore, status }, id).catch(endOfFault),
  );
  try {
    await writes.end({ name, attempt: id }, end);
  } catch (cause) {
    throw new RestorePlanError(
      'LEDGER_UNSAVED',
      `follow-up "${name}" on ${target.name} is ${end.state}, but the ledger could not be told`,
      {
        hint:
          end.state === 'done'
            ? advice`The ledger will show it as unknown. Record it once the ledger can be written: ${{ command: 'follow-up done', name, target: target.name }}`
            : advice`The ledger will show it as unknown. Run it again with ${{ command: 'follow-up run', name, target: target.name, options: { again: true } }}`,
        cause,
      },
    );
  }
  emit({ type: 'follow-up', target: target.name, name, state: end.state, detail: end.detail });
}

async function act(
  run: Run,
  { plan, target, environment }: FollowUpRequest,
  { restore, status: { followUp } }: Due,
  id: string,
): Promise<FollowUpEnd> {
  const { action } = followUp;
  const unset = unsetVariables(plan, followUp);
  if (unset.length > 0) return failed(`not set: ${unset.join(', ')}`);
  const idLines = (): AsyncIterable<string> => idLinesOf(target, restore);
  const attempt: Attempt = {
    ...{ id, idLines, environment, followUp: followUp.name, isSecret: secretTest(plan) },
    plan: { name: plan.name, digest: plan.digest, reason: plan.reason },
    ...{ target: target.name, database: target.reader.database, uri: target.plan.uri },
    selection: restore.key.selection,
    collections: restore.collections.map(
      ({ collection, into, selected, inserted, replaced, identical, kept }) => ({
        ...{ collection, into, selected, inserted, replaced, identical, kept },
      }),
    ),
    withIdsFile: (work) => withIdsFile(run.workDirectory, { id, idLines }, work),
  };
  return endOf(await kindOf(action).act(run, action, attempt));
}

/** Writes the lines to a private file, hands over its path, and removes it when the work is done. */
async function withIdsFile<T>(
  workDirectory: string,
  { id, idLines }: Pick<Attempt, 'id' | 'idLines'>,
  work: (path: string) => Promise<T>,
): Promise<T> {
  const folder = join(workDirectory, 'follow-ups');
  const path = join(folder, `${id}.ndjson`);
  try {
    try {
      await makeDirectory(folder);
      const file = createWriteStream(path, { flags: 'wx', mode: PRIVATE_FILE });
      await pipeline(Readable.from(withNewlines(idLines())), file);
    } catch (error) {
      throw workDirectoryFault(error, path);
    }
    return await work(path);
  } finally {
    await removeUnused(path);
  }
}

async function* withNewlines(lines: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  for await (const line of lines) yield `${line}\n`;
}

/** Without its secret a webhook would go out unsigned, and a command would get a variable's name for its value. */
function unsetVariables(plan: Plan, followUp: FollowUpPlan): string[] {
  const place = `followUps[${plan.followUps.indexOf(followUp)}].`;
  const unset = plan.unsetVariables.filter(({ path }) => path.startsWith(place));
  return [...new Set(unset.map(({ name }) => name))];
}

async function* idLinesOf(target: Target, run: RunRecord): AsyncGenerator<string, void, undefined> {
  for await (const id of restoredIds(openLedger(target).journal(run.journalKey))) yield idLine(id);
}

/** One line of NDJSON without its newline: `{"collection":"artworks","_id":{"$oid":"…"}}`, canonical Extended JSON. */
function idLine({ into, id }: RestoredId): string {
  return `{"collection":${JSON.stringify(into)},"_id":${showValue(id)}}`;
}

function endOf({ succeeded, detail, output }: ActionEnd): FollowUpEnd {
  return { state: succeeded ? 'done' : 'failed', detail, output: output === '' ? undefined : output };
}

/** What kept it from being done at all: the journal could not be read, the file of ids not be written. */
function endOfFault(error: unknown): FollowUpEnd {
  const hint = error instanceof RestorePlanError && error.hint !== undefined ? `. ${error.hint}` : '';
  return failed(redact(error instanceof Error ? `${error.message}${hint}` : String(error)));
}

function failed(detail: string): FollowUpEnd {
  return { state: 'failed', detail, output: undefined };
}

const LOOK_AGAIN_MS = 500;

/** Runs `work` and has the ledger told meanwhile that it is going on. One message that is lost is no failure: the next one says the same. */
async function showingLife<T>(tell: () => Promise<void>, work: () => Promise<T>): Promise<T> {
  let isTelling = false;
  const timer = setInterval(() => {
    if (isTelling) return;
    isTelling = true;
    void tell()
      .catch(() => undefined)
      .finally(() => {
        isTelling = false;
      });
  }, ALIVE_MS / 4);
  timer.unref();
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

interface TakeOver {
  readonly writes: FollowUpWrites;
  readonly claim: FollowUpClaim;
  /** The follow-up's record as the ledger has it now. */
  readonly look: () => Promise<FollowUpRecord | undefined>;
  readonly signal: AbortSignal;
}

/**
 * Claims a follow-up whose end is not known. One whose process died is waited for until its last sign of life is too old; false
 * when it has ended meanwhile, or another one has it. Throws LOCKED when its process is at it.
 */
async function claimWhenDead({ writes, claim, look, signal }: TakeOver): Promise<boolean> {
  let first: number | undefined;
  for (;;) {
    if (await writes.claim(claim)) return true;
    const record = await look();
    if (record?.state !== 'started' || record.attempt !== claim.inSpiteOf) return false;
    const aliveUntil = record.aliveUntil?.getTime() ?? 0;
    first ??= aliveUntil;
    if (aliveUntil > first) throw goingOn(record);
    signal.throwIfAborted();
    await delay(LOOK_AGAIN_MS);
  }
}

function goingOn({ name, by, startedAt }: FollowUpRecord): RestorePlanError {
  const who = `${by.user}@${by.host}`;
  return new RestorePlanError(
    'LOCKED',
    `follow-up "${name}" is going on: begun by ${who} at ${startedAt.toISOString()}`,
    {
      hint: advice`Wait for it to end; then see ${{ command: 'follow-up list' }}. To begin it once more, end that process first.`,
      facts: { followUp: name, by: who },
    },
  );
}

// What a person did.

/**
 * Records that a person did a follow-up, or knows that it was done, for every run of the plan that it is due for. Returns false when
 * that was recorded before. Throws RestorePlanError USAGE when the target has no such follow-up, or no run of the plan is verified there.
 */
export async function tickOff(
  name: string,
  note: string | undefined,
  { plan, target, actor }: Pick<FollowUpRequest, 'plan' | 'target' | 'actor'>,
): Promise<boolean> {
  await openLedger(target).migrate(plan.name, actor);
  const runs = runsOfPlan(await readRuns(target.reader), plan, target.reader);
  const statuses = followUpStatuses(plan.followUps, target.name, runs);
  const status = statuses.find(({ followUp }) => followUp.name === name);
  if (status === undefined) {
    const names = statuses.map(({ followUp }) => `"${followUp.name}"`).join(', ');
    throw new RestorePlanError('USAGE', `the plan has no follow-up "${name}" for ${target.name}`, {
      hint: names === '' ? `It has none at all for ${target.name}.` : `It has ${names}.`,
    });
  }
  if (status.state === 'done') return false;
  const [restored] = restoresOf(runs);
  if (restored === undefined) {
    throw new RestorePlanError('USAGE', `"${name}" is not due: the plan is not verified in ${target.name}`, {
      hint: advice`First restore it: ${{ command: 'apply', target: target.name }}`,
    });
  }
  const begun = status.state === 'unknown' ? status.run : undefined;
  const concerned = new Set([...(begun === undefined ? [] : [begun]), ...status.due]);
  let isRecorded = false;
  for (const run of concerned.size === 0 ? [restored] : concerned) {
    const record = run.followUps.find((each) => each.name === name);
    const inSpiteOf = record?.state === 'started' ? record.attempt : undefined;
    const writes = new FollowUpWrites(accessTo(target).commands, run.key);
    const attempt = randomUUID();
    const claim = { name, attempt, actor, inSpiteOf, status: run.status, evenIfAlive: true };
    if (!(await writes.claim(claim))) continue;
    const text = note === undefined ? undefined : redact(note);
    await writes.end({ name, attempt }, { state: 'done', detail: undefined, output: undefined, note: text });
    isRecorded = true;
  }
  return isRecorded;
}

// What would keep a follow-up from being done, known before anything is written.

export interface CommandFault extends ActionFault {
  readonly followUp: string;
  readonly target: TargetName;
}

/** Of all follow-ups of these targets, in the operator's environment; each once, for the first target that it concerns. */
export async function commandFaults(
  plan: Plan,
  targets: readonly TargetName[],
  environment: Environment,
): Promise<CommandFault[]> {
  const isSecret = secretTest(plan);
  const faults: CommandFault[] = [];
  for (const { name, on, action } of plan.followUps) {
    const target = targets.find((each) => on === each || on === 'both');
    if (target === undefined) continue;
    const found = await kindOf(action).faultsOf(action, environment, isSecret);
    faults.push(...found.map((fault) => ({ followUp: name, target, ...fault })));
  }
  return faults;
}

/** Throws PLAN_INVALID, naming all of it: a restore whose loose ends cannot be done is better mended before it is begun. */
export async function requireCommands(...about: Parameters<typeof commandFaults>): Promise<void> {
  const faults = await commandFaults(...about);
  const [first] = faults;
  if (first === undefined) return;
  const lines = faults.map(({ followUp, fact }) => `  follow-up "${followUp}": ${fact}`);
  throw new RestorePlanError(
    'PLAN_INVALID',
    `nothing was written: ${faults.length === 1 ? 'a follow-up' : 'follow-ups'} could not run here afterwards\n${lines.join('\n')}`,
    {
      hint: together(faults.map(({ remedy }) => remedy)),
      facts: { followUps: [...new Set(faults.map(({ followUp }) => followUp))] },
    },
  );
}

/** Whether a value holds a connection string, or something that the plan takes from a secret variable. */
export function secretTest(plan: Plan): (value: string) => boolean {
  const secrets = planSecrets(plan).map((secret) => secret.reveal());
  return (value) => /mongodb(?:\+srv)?:\/\//i.test(value) || secrets.some((secret) => value.includes(secret));
}

/** Everything in a plan that came from a secret variable. */
function planSecrets({ source, targets, followUps }: Plan): Secret[] {
  const found = [
    targets.staging.uri,
    targets.production?.uri,
    ...(sourceKindOf(source.location).secrets?.(source.location) ?? []),
    ...oplogSecrets(source.oplog),
    ...followUps.flatMap(({ action }) => kindOf(action).secretsOf(action)),
  ];
  return found.filter((secret) => secret !== undefined && secret.reveal() !== '') as Secret[];
}

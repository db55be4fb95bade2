/**
 * What is there before the first document: the collection, left as it is where it exists, created from the backup's metadata where
 * not; and what the ledger is told of the run.
 */
import { advice } from '../advice.ts';
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import type { Encounter } from '../comparison/comparison.ts';
import {
  blueprintOf,
  type RefusedIndex,
  refusedIndexes,
  requireCreatable,
  requireFit,
  requireMergeable,
  uncreatableIndexes,
} from '../comparison/fitness.ts';
import { indexText } from '../comparison/index-keys.ts';
import { lackOf } from '../comparison/lacking.ts';
import { RestorePlanError } from '../errors.ts';
import type { Creation, RecordedSource, RunRecord } from '../ledger/run-record.ts';
import { type RunStart, recordedServer, runsOfPlan } from '../ledger/runs.ts';
import type { OplogRecord } from '../oplog/roll-forward.ts';
import type { Plan, Source } from '../plan/plan.ts';
import { sourceKindOf } from '../plan/sources/sources.ts';
import type { Checkpoint } from '../run.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { CommandFailure } from '../target/command-failure.ts';
import { readIndex } from '../target/describe-collection.ts';
import {
  accessTo,
  type CollectionBlueprint,
  type Target,
  type TargetCollection,
  type TargetReader,
} from '../target/target.ts';
import { VERSION } from '../version.ts';
import type { ApplyRequest, OtherSource } from './apply-run.ts';
import { rulesOfPlan } from './gate-rules.ts';

export interface Preparation {
  readonly plan: Plan;
  readonly target: Target;
  readonly selection: Selection;
  /** What earlier runs of this selection began to create, by name in the target. */
  readonly creations: ReadonlyMap<string, Creation>;
  /** Records a creation, before it begins, when the collection is there, and when it is done. */
  readonly recordCreation: (creation: Creation) => Promise<void>;
  readonly checkpoint: Checkpoint;
  readonly onCreated: (collection: string, indexes: number) => void;
  readonly warn: (message: string) => void;
}

/** Throws RestorePlanError TARGET for a collection that is unfit, or that would have to be created and cannot be. Writes nothing. */
export async function requirePreparable(encounter: Encounter, selected: SelectedCollection): Promise<void> {
  const { reader } = encounter;
  const existing = await reader.collection(selected.into);
  if (existing !== undefined) {
    requireFit(reader, existing);
    requireMergeable(reader, existing, selected);
  } else await requireCreatable(reader, selected.into, await blueprintOf(encounter, selected));
}

/** Names in the target of those that it lacks. */
export async function missingOf(
  reader: TargetReader,
  collections: readonly SelectedCollection[],
): Promise<string[]> {
  const missing: string[] = [];
  for (const { into } of collections) if ((await reader.collection(into)) === undefined) missing.push(into);
  return missing;
}

/**
 * Throws RestorePlanError TARGET where documents cannot be inserted safely and repeatedly. Warns of what the collection lacks of the
 * backup's, also of one that the last dry-run did not see and of one that somebody else made in this very moment.
 */
export async function prepareCollection(
  preparation: Preparation,
  selected: SelectedCollection,
): Promise<TargetCollection> {
  const collection = await thereOrCreated(preparation, selected);
  const lack = await lackOf(preparation, selected, collection);
  // As the page of a dry-run has it.
  if (lack !== undefined) preparation.warn(`${preparation.target.name}.${selected.into}: ${lack}`);
  return collection;
}

async function thereOrCreated(
  preparation: Preparation,
  selected: SelectedCollection,
): Promise<TargetCollection> {
  const { target, creations } = preparation;
  const { into } = selected;
  const existing = await target.reader.collection(into);
  if (existing !== undefined) requireFit(target.reader, existing);
  const begun = creations.get(into);
  if (existing !== undefined && begun?.done !== false) return existing;
  const kept = existing && begun && (await keptAsIs(preparation, existing, begun));
  if (kept !== undefined) return kept;
  await create(preparation, selected, existing);
  const created = await target.reader.collection(into);
  if (created === undefined) {
    throw new RestorePlanError('TARGET', `${target.name}: ${into} vanished right after it was created`, {
      hint: 'Something else drops collections in this database; stop it, then run again.',
    });
  }
  preparation.onCreated(into, created.indexes.length);
  requireFit(target.reader, created);
  return created;
}

/**
 * A prepared collection as it is now, to be written to. `uuid`, hex: the one that it had, by which the server refuses to write to
 * another one of its name. Throws RestorePlanError TARGET where it is gone, and where it has become unfit.
 */
export async function preparedCollection(
  reader: TargetReader,
  into: string,
  uuid: string | undefined,
): Promise<TargetCollection> {
  const collection = await reader.collection(into);
  if (collection === undefined) {
    throw new RestorePlanError(
      'TARGET',
      `${reader.name}: ${into} was dropped or renamed after it was prepared`,
      {
        hint: 'Something else drops collections in this database; stop it, then run again.',
      },
    );
  }
  requireFit(reader, collection);
  return { ...collection, uuid: uuid === undefined ? collection.uuid : Buffer.from(uuid, 'hex') };
}

/** The collection where somebody else has made it since a run of ours was cut off, or uses it; it is left as it is. */
async function keptAsIs(
  preparation: Preparation,
  existing: TargetCollection,
  { into, uuid }: Creation,
): Promise<TargetCollection | undefined> {
  const isAnother = uuid !== undefined && existing.uuid !== undefined && uuid !== hexOf(existing);
  // Documents of ours come after all creations.
  if (!isAnother && !(await holdsDocuments(preparation.target.reader, into))) return undefined;
  const state = isAnother ? 'was made by somebody else since' : 'holds documents by now';
  preparation.warn(
    `${into} was to be created by a run that was cut off, and ${state}: its indexes are left as they are`,
  );
  await preparation.recordCreation({ into, done: true });
  return existing;
}

async function holdsDocuments(reader: TargetReader, collection: string): Promise<boolean> {
  return (await reader.find(collection, EMPTY_DOCUMENT, { limit: 1 })).length > 0;
}

/** `begun`: the empty collection of a run that was cut off. */
async function create(
  preparation: Preparation,
  selected: SelectedCollection,
  begun: TargetCollection | undefined,
): Promise<void> {
  const { target, checkpoint, recordCreation } = preparation;
  const { into } = selected;
  const blueprint = await blueprintOf(preparation, selected);
  const { reader } = target;
  const { writer } = accessTo(target);
  if (begun === undefined) {
    await requireCreatable(reader, into, blueprint);
    await recordCreation({ into, done: false });
    await checkpoint('collection-intended');
    await refusedAsIs(`${target.name}: ${reader.database}.${into}`, () =>
      writer.createCollection(into, blueprint),
    );
    await checkpoint('collection-created');
    const made = await reader.collection(into);
    if (made?.uuid !== undefined) await recordCreation({ into, done: false, uuid: hexOf(made) });
  }
  await createIndexes(preparation, into, await withoutRefused(preparation, blueprint, begun));
  await checkpoint('indexes-created');
  await recordCreation({ into, done: true });
}

/**
 * A run of before this tool foretold refusals may have ended at them, or somebody made the collection by hand after it: what the
 * server does not take is said and left out, so that nobody has to make the collection twice.
 */
async function withoutRefused(
  { target, creations, warn }: Preparation,
  blueprint: CollectionBlueprint,
  begun: TargetCollection | undefined,
): Promise<CollectionBlueprint> {
  if (begun === undefined) return blueprint;
  const there = new Set(begun.indexes.map(({ name }) => name));
  const missing = blueprint.indexes.filter((index) => !there.has(readIndex(index).name));
  const refused = await refusedIndexes(target.reader, missing);
  const where = `${target.name}: ${target.reader.database}.${begun.name} was begun by an earlier run`;
  const isOurs = creations.get(begun.name)?.uuid !== undefined;
  if (refused.length > 0 && isOurs) throw uncreatableIndexes(where, refused);
  for (const { text, reason } of refused) warn(`${begun.name} is used without the ${text}: ${reason}`);
  const names = new Set(refused.map(({ name }) => name));
  return { ...blueprint, indexes: missing.filter((index) => !names.has(readIndex(index).name)) };
}

/** What nobody foresaw is found out index by index, so that it has a name. */
async function createIndexes(
  { target }: Preparation,
  into: string,
  blueprint: CollectionBlueprint,
): Promise<void> {
  const { writer } = accessTo(target);
  try {
    await writer.createIndexes(into, blueprint);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const refused: RefusedIndex[] = [];
    for (const specification of blueprint.indexes) {
      const index = readIndex(specification);
      await writer
        .createIndexes(into, { ...blueprint, indexes: [specification] })
        .catch((failure: unknown) => {
          if (!isRefusal(failure)) throw failure;
          refused.push({ name: index.name, text: indexText(index), reason: failure.serverWords });
        });
    }
    if (refused.length === 0) return;
    throw uncreatableIndexes(
      `${target.name}: ${target.reader.database}.${into} was created, without documents`,
      refused,
    );
  }
}

async function refusedAsIs(where: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw new RestorePlanError(
      'TARGET',
      `${where} is missing, and the server does not create it as the backup had it: ${error.serverWords}`,
      {
        cause: error,
        hint: 'Create the collection by hand, as it shall be, then run again: a collection that is there is used as it is.',
      },
    );
  }
}

/** The server read the command and does not want it: neither trying again nor another user would help. */
function isRefusal(error: unknown): error is CommandFailure {
  return (
    error instanceof CommandFailure &&
    error.serverCode !== undefined &&
    !error.transient &&
    !error.lacksPrivilege
  );
}

function hexOf({ uuid }: TargetCollection): string {
  return uuid?.toString('hex') ?? '';
}

// What the ledger is told of a run before anything is written, and whether its plan is the one that its name stands for in the
// target. Runs belong to plans by their name, and names are given by people: two incidents may end up with one. Where the newest run
// of the name took its documents from elsewhere, somebody is asked.

export async function runStart({
  plan,
  selection,
  target,
  actor,
  exclusive = false,
}: Pick<ApplyRequest, 'plan' | 'selection' | 'target' | 'actor' | 'exclusive'>): Promise<RunStart> {
  const { backup, digest, oplog } = selection.manifest;
  return {
    key: { plan: plan.name, selection: digest },
    target: target.name,
    toolVersion: VERSION,
    planDigest: plan.digest,
    server: recordedServer(target.reader),
    source: recordedSource(plan.source),
    gate: rulesOfPlan(plan),
    backup: {
      location: backup.location,
      kind: oplog === undefined ? backup.kind : `${backup.kind}, ${rolledBy(oplog)}`,
      fingerprint: backup.fingerprint,
    },
    actor: { user: actor.user, host: actor.host, serverUser: await target.reader.authenticatedUser() },
    exclusive,
  };
}

/** In the words that a record keeps: by which oplog, from where to where, and what nothing proves. */
function rolledBy({ source, begin, beginSaid, cut, sha256 }: OplogRecord): string {
  const unproven = beginSaid === 'plan' ? '; exact if the dump began after that' : '';
  return `rolled forward by ${source} from ${begin}${unproven} to ${cut} (entries ${sha256})`;
}

/** Undefined when there was no such run, its record does not say (format 1), or it was of the same source. `runs`: newest first. */
export function otherSource(
  plan: Pick<Plan, 'name' | 'source'>,
  runs: readonly RunRecord[],
  here: Pick<TargetReader, 'database' | 'identity'>,
): OtherSource | undefined {
  const [run] = runsOfPlan(runs, plan, here);
  const now = recordedSource(plan.source);
  const { source: then } = run ?? {};
  if (run === undefined || then === undefined) return undefined;
  if (then.template === now.template && then.database === now.database) return undefined;
  return {
    run,
    fact: `${run.target}: a plan named ${plan.name} was applied before from ${shown(then)}; this one restores from ${shown(now)}`,
  };
}

/** For a caller who has no way to ask. */
export function refuseOtherSource({ fact, run }: OtherSource): RestorePlanError {
  return new RestorePlanError('USAGE', fact, {
    hint: advice`Nothing was written. Is it another plan? Then give it a name of its own: status, revert and the gate would take both for one. Is it the same? Then give ${{ option: 'confirm-plan', value: run.key.plan }}.`,
  });
}

/** As a run's record keeps it. */
function recordedSource({ location, database }: Source): RecordedSource {
  return { template: sourceKindOf(location).recorded(location), database };
}

function shown({ template, database }: RecordedSource): string {
  return `${template} (database ${database})`;
}

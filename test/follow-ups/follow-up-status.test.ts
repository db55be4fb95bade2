import * as assert from 'uvu/assert';
import { followUpStatuses } from '../../src/follow-ups/follow-up-status.ts';
import { journalKeyOf } from '../../src/ledger/layout.ts';
import type { FollowUpRecord, RunRecord } from '../../src/ledger/run-record.ts';
import type { FollowUpPlan } from '../../src/plan/plan.ts';
import { test } from '../harness.ts';

const BY = { user: 'anna', host: 'ops-1' };
const NOW = new Date(0);

const followUp = (name: string, more: Partial<FollowUpPlan> = {}): FollowUpPlan => ({
  name,
  on: 'both',
  when: 'inserted',
  needs: [],
  action: { kind: 'manual', text: 'mail somebody' },
  ...more,
});

function runWith(records: readonly FollowUpRecord[], more: Partial<RunRecord> = {}): RunRecord {
  const counts = { selected: 2, inserted: 2, identical: 0, replaced: 0, kept: 0, conflict: 0, refused: 0 };
  const later = { heldBack: 0, excepted: 0, doubtful: 0 };
  const key = { plan: 'p', selection: 'a'.repeat(64) };
  return {
    ...{ key, format: 2, journalKey: journalKeyOf(key), isMigrated: false },
    ...{ server: undefined, source: undefined, gate: undefined },
    target: 'staging',
    toolVersion: '0',
    plan: { name: 'p', digest: 'd' },
    backup: { location: 'l', kind: 'k', fingerprint: 'f' },
    status: 'verified',
    fencing: 1,
    appliedBy: [],
    startedAt: NOW,
    updatedAt: NOW,
    verifiedAt: NOW,
    collections: [{ collection: 'artworks', into: 'artworks', ...counts, ...later }],
    ...{ left: 0, creations: [], accepted: 0, acceptedDigest: undefined, acceptedBy: [] },
    approvals: [],
    followUps: records,
    ...more,
  };
}

const record = (name: string, state: FollowUpRecord['state']): FollowUpRecord => ({
  name,
  state,
  attempt: 'x',
  by: BY,
  startedAt: NOW,
  ...{ aliveUntil: undefined, endedAt: undefined, detail: undefined, output: undefined, note: undefined },
});

function statesOf(
  followUps: readonly FollowUpPlan[],
  run: RunRecord | undefined,
  target: 'staging' | 'production' = 'staging',
) {
  const runs = run === undefined ? [] : [run];
  return followUpStatuses(followUps, target, runs).map(({ followUp: { name }, state, waitsFor }) =>
    [name, state, ...waitsFor].join(' '),
  );
}

test('a follow-up is open when its target is verified, and not due before', () => {
  assert.equal(statesOf([followUp('a')], undefined), ['a not due']);
  for (const status of ['applying', 'applied', 'incomplete', 'reverted'] as const) {
    assert.equal(statesOf([followUp('a')], runWith([], { status })), ['a not due'], status);
  }
  assert.equal(statesOf([followUp('a')], runWith([])), ['a open']);
});

test('each target has the follow-ups that name it', () => {
  const all = [followUp('s', { on: 'staging' }), followUp('p', { on: 'production' }), followUp('b')];
  assert.equal(statesOf(all, runWith([])), ['s open', 'b open']);
  assert.equal(statesOf(all, runWith([]), 'production'), ['p open', 'b open']);
});

test('the ledger says what was done, what failed, and what was begun and never ended', () => {
  const all = ['a', 'b', 'c', 'd'].map((name) => followUp(name));
  const run = runWith([
    record('a', 'done'),
    record('b', 'failed'),
    record('c', 'started'),
    record('gone', 'done'),
  ]);
  assert.equal(statesOf(all, run), ['a done', 'b failed', 'c unknown', 'd open']);
});

test('where nothing was written, only those that are always wanted are open', () => {
  const [collection] = runWith([]).collections;
  const collections = [{ ...(collection as RunRecord['collections'][number]), inserted: 0, identical: 2 }];
  const all = [
    followUp('a'),
    followUp('b', { when: 'always' }),
    followUp('c', { when: 'always', needs: ['a'] }),
  ];
  assert.equal(statesOf(all, runWith([], { collections })), ['a not needed', 'b open', 'c open']);
});

test('what others need comes first, and they wait until it is done', () => {
  const all = [
    followUp('last', { needs: ['middle'] }),
    followUp('middle', { needs: ['first'] }),
    followUp('first'),
  ];
  assert.equal(statesOf(all, runWith([])), ['first open', 'middle waiting first', 'last waiting middle']);
  const done = (name: string) => record(name, 'done');
  assert.equal(statesOf(all, runWith([done('first')])), ['first done', 'middle open', 'last waiting middle']);
  assert.equal(statesOf(all, runWith([record('first', 'failed')])), [
    'first failed',
    'middle waiting first',
    'last waiting middle',
  ]);
});

test('a need that concerns the other target only is not waited for', () => {
  const all = [followUp('a', { needs: ['b'] }), followUp('b', { on: 'production' })];
  assert.equal(statesOf(all, runWith([])), ['a open']);
});

const at = (minute: number): Date => new Date(NOW.getTime() + minute * 60_000);

/** A run of a selection of its own, begun at a minute. */
function runAt(name: string, minute: number, more: Partial<RunRecord> & { readonly wrote?: number } = {}) {
  const { wrote = 2, ...rest } = more;
  const run = runWith([], { startedAt: at(minute), ...rest });
  const collections = run.collections.map((each) => ({ ...each, inserted: wrote, identical: 2 - wrote }));
  return { ...run, key: { ...run.key, selection: name.repeat(64) }, collections };
}

const doneAt = (name: string, minute: number): FollowUpRecord => ({
  ...record(name, 'done'),
  endedAt: at(minute),
});

function standing(followUps: readonly FollowUpPlan[], runs: readonly RunRecord[]) {
  return followUpStatuses(followUps, 'staging', runs).map(
    ({ followUp: { name }, state, run, due }) =>
      `${name} ${state} of ${run?.key.selection[0] ?? '-'}, due for ${due.map(({ key }) => key.selection[0]).join('')}`,
  );
}

test('a follow-up is due for every run of the plan that wrote something, whatever was applied last', () => {
  const a = runAt('a', 1);
  const later = runAt('b', 2, { wrote: 0 });
  assert.equal(standing([followUp('x')], [later, a]), ['x open of a, due for a']);
  const stuck = { ...a, status: 'incomplete' as const };
  assert.equal(standing([followUp('x')], [later, stuck]), ['x open of a, due for a']);
  assert.equal(standing([followUp('x')], [stuck]), ['x not due of a, due for ']);
  const taken = { ...a, status: 'reverted' as const };
  assert.equal(standing([followUp('x')], [later, taken]), ['x not needed of b, due for ']);
  assert.equal(standing([followUp('x')], [runAt('b', 2), a]), ['x open of a, due for ab']);
});

test('what was done for an earlier run counts for those begun after it, and for no others', () => {
  const a = runAt('a', 1, { followUps: [doneAt('x', 5)] });
  const run = followUp('x', {
    action: { kind: 'run', command: ['x'], directory: '/', timeoutMs: 1, passUri: false, env: [] },
  });
  assert.equal(standing([run], [runAt('b', 6), a]), ['x done of a, due for ']);
  assert.equal(standing([run], [runAt('b', 4), a]), ['x open of b, due for b']);
  // A person is told of no documents, and did it once for all that was there.
  assert.equal(standing([followUp('x')], [runAt('b', 4), a]), ['x done of a, due for ']);
  const taken = { ...a, status: 'reverted' as const };
  assert.equal(standing([run], [runAt('b', 6), taken]), ['x open of b, due for b']);
});

test.run();

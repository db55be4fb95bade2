import * as assert from 'uvu/assert';
import { LineView } from '../../src/cli/progress.ts';
import { NdjsonView } from '../../src/cli/session.ts';
import { TaskListView } from '../../src/cli/task-list.ts';
import type { RunEvent } from '../../src/events.ts';
import { showBytes, showDuration } from '../../src/text/quantities.ts';
import { columnsOf } from '../../src/text/terminal.ts';
import { test } from '../harness.ts';

/** A run of a hundred seconds, of which every event says its second. */
const RUN: readonly (readonly [second: number, event: RunEvent])[] = [
  [0, { type: 'plan-read', name: 'partner', digest: 'd'.repeat(64) }],
  [0, { type: 'selection-started', collections: ['artworks'], totalBytes: 1_000_000_000 }],
  [1, { type: 'selection-progress', bytesRead: 100_000_000, scanned: 1000, selected: 1 }],
  [2, { type: 'selection-progress', bytesRead: 200_000_000, scanned: 2000, selected: 2 }],
  [30, { type: 'retry', what: 'reading the backup', attempt: 2, delayMs: 2000, reason: 'reset' }],
  [50, { type: 'selection-progress', bytesRead: 500_000_000, scanned: 5000, selected: 5 }],
  [99, { type: 'selection-finished', digest: 'e'.repeat(64), selected: 9, bytes: 900, bytesRead: 1e9 }],
  [100, { type: 'target-skipped', target: 'production', reason: 'nobody answers\u001b[2J' }],
];

class Recorder {
  text = '';
  readonly columns = 60;
  write(text: string): void {
    this.text += text;
  }
}

function play(open: (out: Recorder, now: () => number) => { emit(event: RunEvent): void }): Recorder {
  const out = new Recorder();
  let second = 0;
  const view = open(out, () => second * 1000);
  for (const [at, event] of RUN) {
    second = at;
    view.emit(event);
  }
  return out;
}

test('in a log, stages and remarks have lines of their own and progress one in ten seconds', () => {
  const { text } = play((out, now) => new LineView(out, now));
  assert.equal(text.split('\n'), [
    'Plan partner',
    'Select from artworks',
    'reading the backup: reset; trying again in 2 s (attempt 3)',
    'Select: 500 MB of 1.0 GB, 50 %, 10 MB/s, 50 s left, 5 documents chosen',
    'Selected 9 documents (900 B) from 1.0 GB read',
    'Not compared with production: nobody answers\\u001b[2J',
    '',
  ]);
});

test('NDJSON begins with the version, thins out progress and ends with the exit, whatever comes after it', () => {
  let view: NdjsonView | undefined;
  const out = play((recorder, now) => {
    view = new NdjsonView(recorder, now);
    return view;
  });
  view?.exit('OK');
  view?.emit({ type: 'warning', message: 'production does not answer from here' }); // which nobody waited for
  const lines = out.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.is(lines[0].type, 'version');
  assert.equal(lines.at(-1), { type: 'exit', code: 0, name: 'OK' });
  assert.is(lines.filter(({ type }) => type === 'selection-progress').length, 3);
});

test('on a terminal, the task list shows each stage, what was skipped, and leaves out what never began', async () => {
  let list: TaskListView | undefined;
  const out = play((recorder, now) => {
    list = new TaskListView(recorder, {
      stages: ['backup', 'selection', 'comparison with staging', 'comparison with production', 'writing'],
      now,
    });
    return list;
  });
  await list?.end('done');
  const last = out.text.split('\u001b[G').at(-1) ?? '';
  assert.match(last, /Selected 9 documents \(900 B\) from 1.0 GB read/);
  assert.match(last, /reading the backup: reset/);
  assert.match(last, /Not compared with production/);
  assert.not.match(last, /Write|undefined/);
  assert.ok(out.text.includes('\u001b[?25h'), 'the cursor is shown again');
  assert.equal(list?.remaining, ['writing']);
});

test('a follow-up that ends at once is shown with its end', async () => {
  const out = new Recorder();
  const list = new TaskListView(out, { stages: ['follow-ups'], now: () => 0 });
  const followUp = { type: 'follow-up', target: 'staging', name: 'caches' } as const;
  list.emit({ ...followUp, state: 'started', detail: undefined });
  list.emit({ ...followUp, state: 'failed', detail: 'exit code 3' });
  await list.end('done');
  assert.match(out.text.split('\u001b[G').at(-1) ?? '', 'failed (exit code 3)');
});

test('a line of a task list is cut by columns, so that wide characters do not break it', async () => {
  const out = new Recorder();
  const list = new TaskListView(out, { stages: ['writing'], now: Date.now });
  list.emit({ type: 'collection-created', target: 'staging', collection: '作'.repeat(200), indexes: 1 });
  list.emit({ type: 'apply-finished', target: 'staging', written: 1 });
  await list.end('done');
  const longest = Math.max(...[...out.text.matchAll(/作+/g)].map(([name]) => 2 * name.length));
  assert.ok(longest > 20 && longest <= out.columns, `${longest} columns`);
});

test('a line of a task list is broken where it does not fit, so that its end is seen', async () => {
  const out = new Recorder();
  let second = 0;
  const list = new TaskListView(out, { stages: ['selection'], now: () => second * 1000 });
  list.emit({ type: 'selection-started', collections: ['artworks'], totalBytes: 1e9 });
  second = 50;
  list.emit({ type: 'selection-progress', bytesRead: 5e8, scanned: 5000, selected: 1_234_567 });
  list.emit({ type: 'warning', message: `${'a long reason '.repeat(8)}and its end` });
  await list.end('failed');
  assert.match(
    out.text,
    /Select: 500 MB of 1\.0 GB, 50 %, 10 MB\/s, 50 s left,\s+1,234,567 documents chosen/,
  );
  assert.match(out.text, /and its end/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what moves the cursor is no text
  const rows = out.text.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '').split('\n');
  assert.ok(Math.max(...rows.map(columnsOf)) <= out.columns, String(rows));
});

test('a task list does not listen to signals: listr2 would exit 127', async () => {
  const before = process.listenerCount('SIGINT');
  const list = new TaskListView(new Recorder(), { stages: ['backup'], now: Date.now });
  assert.is(process.listenerCount('SIGINT'), before);
  await list.end('failed');
});

test('amounts read naturally', () => {
  assert.equal([0, 999, 1000, 1_550, 999_499, 999_500, 1_100_000_000].map(showBytes), [
    ...['0 B', '999 B', '1.0 kB', '1.6 kB', '999 kB', '1.0 MB', '1.1 GB'],
  ]);
  assert.equal(
    [0, 1400, 60_000, 61_000, 3_600_000, 90_061_000].map((each) => showDuration(each)),
    [...['0 s', '1 s', '1 min', '1 min 1 s', '1 h', '25 h 1 min']],
  );
});

test.run();

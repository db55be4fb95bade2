import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { guardProcess } from '../lab/guard.ts';
import { CANARY_PASSWORD } from '../lab/lab.ts';
import { CANARY_SECRET_KEY } from '../lab/s3.ts';
import { scriptArguments } from '../lab/script.ts';

interface Demo {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | NodeJS.Signals>;
}

function startDemo(...args: string[]): Demo {
  const script = join(import.meta.dirname, 'demo.ts');
  const child = spawn(process.execPath, [...scriptArguments(script), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that the test can press Ctrl-C: a signal to the whole group.
    detached: true,
  });
  guardProcess(child);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  const ended = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once('close', (code, signal) => resolve(signal ?? code ?? -1)),
  );
  return { child, output: () => text, ended };
}

/** The port of the demo's S3 server, from the plan it prints. */
const s3Port = (output: string): number => Number(/endpoint: http:\/\/127\.0\.0\.1:(\d+)/.exec(output)?.[1]);

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

test(
  'the demo restores everything, byte for byte, shows no secret, can be kept to play on, and Ctrl-C ends everything',
  async () => {
    const demo = startDemo('--keep');
    while (!demo.output().includes('Ctrl-C here ends')) {
      assert.is(demo.child.exitCode, null, demo.output());
      await sleep(50);
    }
    const commands = [...demo.output().matchAll(/^\$ (plan .*)$/gm)].map((match) => match[1]);
    assert.equal(commands, [
      'plan validate plan.yaml',
      'plan dry-run plan.yaml',
      'plan apply plan.yaml --target production',
      'plan apply plan.yaml --target staging',
      'plan apply plan.yaml --target production --confirm gravity',
      commands[5],
      'plan dry-run gone.yaml',
      'plan apply gone.yaml --target staging',
    ]);
    const since = / --since \d{4}-\d\d-\d\dT[\d:.]+Z$/;
    assert.is(
      commands[5]?.replace(since, ''),
      'plan history --uri-env PRODUCTION_MONGODB_URI --database gravity',
      'a time, and neither an id nor a query',
    );
    assert.match(demo.output(), 'Every document is back, byte for byte, and nothing else changed.');
    assert.match(
      demo.output().replaceAll(/\s+/g, ' '),
      '1 document rolled forward, 1 inserted after the backup',
    );
    assert.match(demo.output(), '"Added after the backup", "Changed after the backup"');
    // What is printed to play with holds them, for these servers of the moment.
    const [story = ''] = demo.output().split('\nexport ');
    for (const secret of [CANARY_PASSWORD, CANARY_SECRET_KEY]) assert.not.match(story, secret);
    assert.match(demo.output(), /^export STAGING_MONGODB_URI=/m);
    assert.ok(await answers(s3Port(demo.output())));
    process.kill(-(demo.child.pid as number), 'SIGINT');
    assert.is(await demo.ended, 0);
    assert.not(await answers(s3Port(demo.output())));
  },
  { deadlineMs: 60_000 },
);

test(
  'Ctrl-C in the middle of the demo leaves nothing running',
  async () => {
    const demo = startDemo();
    while (!demo.output().includes('$ plan dry-run')) {
      assert.is(demo.child.exitCode, null, demo.output());
      await sleep(10);
    }
    process.kill(-(demo.child.pid as number), 'SIGINT');
    assert.is(await demo.ended, 'SIGINT');
    while (await answers(s3Port(demo.output()))) await sleep(20);
  },
  { deadlineMs: 60_000 },
);

test.run();

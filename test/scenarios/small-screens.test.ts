/** What is left on a small screen when a command has ended, seen through a real terminal: tmux. */
import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { programArguments } from '../lab/plan-command.ts';
import { createIncident, type Incident } from './incident.ts';

let lab: Lab;
let incident: Incident;
test.before(async () => {
  lab = await openLab();
  incident = await createIncident(lab);
});
test.after(async () => {
  incident.close();
  await lab.close();
});

const ROWS = 24;
const END = 'the command has ended';

/** The lines that a screen shows at the end. */
async function lastScreen(args: readonly string[], columns: number): Promise<string[]> {
  const socket = `restore-plan-${process.pid}-${columns}-${args[0]}`;
  const tmux = (...words: string[]): string => {
    const { status, stdout, stderr } = spawnSync('tmux', ['-L', socket, '-f', '/dev/null', ...words], {
      encoding: 'utf8',
    });
    assert.is(status, 0, stderr);
    return stdout;
  };
  const command = [process.execPath, ...programArguments(false), ...args].map((word) => `'${word}'`);
  const env = Object.entries(incident.env).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
  const line = `${command.join(' ')}; printf '%s' '${END}'; cat`;
  const size = ['-x', String(columns), '-y', String(ROWS)];
  tmux('new-session', '-d', ...size, ...env, '-c', incident.folder, 'sh', '-c', line);
  try {
    for (;;) {
      const screen = tmux('capture-pane', '-p').split('\n');
      if (screen.join('').includes(END)) return screen;
      await delay(100);
    }
  } finally {
    tmux('kill-server');
  }
}

const why = spawnSync('tmux', ['-V']).error;
for (const [command, outcome] of [
  ['dry-run', '+140 inserts'],
  ['apply', '=140 there already'],
] as const) {
  for (const columns of [80, 40]) {
    const name = `${columns} × ${ROWS}: the sum of ${command} is on the last screen`;
    if (why !== undefined) test.skip(name, `tmux cannot be run here: ${why.message}`);
    else
      test(
        name,
        async () => {
          if (command === 'apply') await incident.call(['apply', 'plan.yaml', '--target', 'staging']);
          const screen = await lastScreen([command, 'plan.yaml', '--target', 'staging'], columns);
          assert.ok(screen.every((line) => line.length <= columns));
          const text = screen.join('').replaceAll(/\s+/g, '');
          const sum = `staging ${incident.staging.databaseName}:`.replaceAll(' ', '');
          assert.ok(text.includes(sum), screen.join('\n'));
          assert.ok(text.includes(outcome.replaceAll(' ', '')), screen.join('\n'));
        },
        { deadlineMs: 120_000 },
      );
  }
}

test.run();

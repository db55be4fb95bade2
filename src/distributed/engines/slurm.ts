/**
 * Slurm: `sbatch --array`, and `squeue` to see how far it is. `sbatch --wait` would look only every half minute or so, and would know
 * nothing of a job that an earlier coordinator has submitted.
 *
 * A job gets nothing of the environment of whoever submits it (`--export=NIL`): Slurm would keep it on its controller's disk, credentials included.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeDirectory } from '../../files.ts';
import type { Run } from '../../run.ts';
import {
  type ArrayJob,
  call,
  type Engine,
  type JobState,
  type LastSteps,
  shellWord,
  untilOver,
} from './engine.ts';

/** Between two looks whether tasks that were cancelled have ended, milliseconds. */
const PAUSE_MS = 250;

/** What the scripts of all jobs have in common. */
interface JobTemplate {
  /** How this program is started, on every node the same. */
  readonly program: readonly string[];
  /** Set in every job. */
  readonly variables: readonly (readonly [name: string, value: string])[];
  /** Folder of the exchange that all nodes see: there is kept, with the rest of a selection, what workers write. Undefined: nobody keeps it. */
  readonly logs: string | undefined;
}

export class Slurm implements Engine {
  readonly name = 'slurm';
  readonly #template: JobTemplate;

  constructor(template: JobTemplate) {
    this.#template = template;
  }

  async run(run: Run, job: ArrayJob, told: (state: JobState) => void): Promise<void> {
    const ask = () => stateOf(job.name);
    if ((await ask()) === undefined) {
      const folder = this.#logs(job);
      if (folder !== undefined) await makeDirectory(folder);
      await call('sbatch', this.#options(job, job.indexes), this.#script(job));
    }
    await untilOver(run, ask, told);
  }

  async clean(isOurs: (name: string) => boolean): Promise<void> {
    const ours = async (): Promise<string[]> => {
      const names = (await call('squeue', ['--me', '--noheader', '--format=%j'])).split('\n');
      return [...new Set(names.filter(isOurs))];
    };
    for (const name of await ours()) await call('scancel', ['--me', `--name=${name}`]);
    while ((await ours()).length > 0) await sleep(PAUSE_MS);
  }

  print(
    steps: readonly (ArrayJob | Omit<ArrayJob, 'indexes'>)[],
    { join: joining, clean }: LastSteps,
  ): string {
    const program = (args: readonly string[]): string =>
      [...this.#template.program, ...args].map(shellWord).join(' ');
    const written = steps.map((step) => {
      if (!('indexes' in step)) return `# ${step.title}\n${program(step.arguments)}\n`;
      const options = ['--wait', ...this.#options(step, step.indexes)].map(shellWord).join(' ');
      const folder = this.#logs(step);
      const made = folder === undefined ? '' : `mkdir -p -m 700 ${shellWord(folder)}\n`;
      return `# ${step.title}\n${made}sbatch ${options} <<'END'\n${this.#script(step)}END\n`;
    });
    return [
      '#!/bin/sh',
      '# Runs on a machine that submits to Slurm. Each step needs the one before it.',
      'set -e',
      '',
      ...written,
      `# The selection, on this machine`,
      program(joining),
      '',
      '# Documents of the database lie in the exchange',
      program(clean),
      '',
    ].join('\n');
  }

  /** `<exchange>/rp-incident-4711-8c330229-…/logs` of the job `rp-incident-4711-…-l0` */
  #logs({ name }: Pick<ArrayJob, 'name'>): string | undefined {
    const { logs } = this.#template;
    return logs && join(logs, name.replace(/-l\d+$/, ''), 'logs');
  }

  #options(job: Pick<ArrayJob, 'name'>, indexes: readonly number[]): string[] {
    const logs = this.#logs(job);
    // What a site asks for beside (partition, account, time, memory) stands in its SBATCH_* variables.
    return [
      '--parsable',
      `--array=${ranges(indexes)}`,
      `--job-name=${job.name}`,
      '--export=NIL',
      '--open-mode=append',
      `--output=${logs === undefined ? '/dev/null' : `${logs}/%x-%a.log`}`,
    ];
  }

  #script({ title, arguments: args }: Pick<ArrayJob, 'title' | 'arguments'>): string {
    const { program, variables } = this.#template;
    return [
      '#!/bin/sh',
      `# restore-plan: ${title}`,
      ...variables.map(([name, value]) => `export ${name}=${shellWord(value)}`),
      `exec ${[...program, ...args].map(shellWord).join(' ')}`,
      '',
    ].join('\n');
  }
}

/** Undefined when no task of this user has that name any more. A pending array is one line of several tasks. */
async function stateOf(name: string): Promise<JobState | undefined> {
  const answer = await call('squeue', ['--me', '--noheader', '--array', `--name=${name}`, '--format=%T']);
  const states = answer.split('\n').filter((line) => line !== '');
  if (states.length === 0) return undefined;
  const waiting = states.filter((state) => state === 'PENDING').length;
  return { running: states.length - waiting, waiting };
}

/** `[0, 1, 2, 5]` → `0-2,5` */
function ranges(indexes: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const index of indexes) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] + 1 === index) run[1] = index;
    else runs.push([index, index]);
  }
  return runs.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(',');
}

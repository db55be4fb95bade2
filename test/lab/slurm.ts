/**
 * A real Slurm on this machine: one controller and one node of as many processors as are asked for, all beneath a folder of its own, on ports of its
 * own. The node lives in a process namespace, so that what jobs have started ends with it, however it ends. Linux, as root.
 */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { guardProcess, temporaryFolder } from './guard.ts';
import { freePort, startServerProcess } from './server-process.ts';

/** Debian's packages. */
export const SLURM_PACKAGES = ['slurm-wlm', 'munge'] as const;
const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'squeue', 'scancel', 'unshare'];

export interface Slurm {
  /** What a program needs to reach it. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs one of its programs to its end and returns what it wrote; throws where it failed. */
  call(program: string, ...args: readonly string[]): string;
  /** Ends it and all its jobs. */
  stop(): Promise<void>;
}

/** Why this machine cannot have one; undefined where it can. */
export function whyNoSlurm(): string | undefined {
  if (process.platform !== 'linux') return 'Slurm runs on Linux alone';
  if (process.getuid?.() !== 0) return 'its daemons have to be started as root';
  const missing = PROGRAMS.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  if (missing.length > 0)
    return `${missing.join(', ')} not found: apt-get install ${SLURM_PACKAGES.join(' ')}, or npm run distributed -- --install`;
  const namespace = spawnSync('unshare', [...NAMESPACE, 'true'], { encoding: 'utf8' });
  return namespace.status === 0 ? undefined : `no process namespace can be made: ${namespace.stderr.trim()}`;
}

/** Its processes are killed with the one that made it. */
const NAMESPACE = ['--pid', '--fork', '--kill-child', '--mount-proc'];

export async function startSlurm({ processors = 2 }: { readonly processors?: number } = {}): Promise<Slurm> {
  const folder = temporaryFolder('slurm');
  const at = (...names: readonly string[]): string => join(folder.path, ...names);
  for (const name of ['run', 'state', 'spool']) mkdirSync(at(name), { mode: 0o755 });
  writeFileSync(at('munge.key'), randomBytes(1024), { mode: 0o600 });
  const ports = { controller: await freePort(), node: await freePort() };
  const node = hostname().split('.')[0] as string;
  writeFileSync(
    at('slurm.conf'),
    [
      'ClusterName=lab',
      `SlurmctldHost=${node}(127.0.0.1)`,
      `SlurmctldPort=${ports.controller}`,
      `SlurmdPort=${ports.node}`,
      'AuthType=auth/munge',
      `AuthInfo=socket=${at('run', 'munge.socket')}`,
      'SlurmUser=root',
      `StateSaveLocation=${at('state')}`,
      `SlurmdSpoolDir=${at('spool')}`,
      `SlurmctldPidFile=${at('slurmctld.pid')}`,
      `SlurmdPidFile=${at('slurmd.pid')}`,
      `SlurmctldLogFile=${at('slurmctld.log')}`,
      `SlurmdLogFile=${at('slurmd.log')}`,
      'ProctrackType=proctrack/linuxproc',
      'TaskPlugin=task/none',
      'SelectType=select/cons_tres',
      'SelectTypeParameters=CR_CPU',
      'MpiDefault=none',
      'ReturnToService=2',
      'JobAcctGatherType=jobacct_gather/none',
      'SchedulerParameters=batch_sched_delay=0,sched_interval=1',
      // The node may have more processors than the machine.
      'SlurmdParameters=config_overrides',
      `NodeName=${node} NodeAddr=127.0.0.1 CPUs=${processors} State=UNKNOWN`,
      'PartitionName=main Nodes=ALL Default=YES State=UP',
      '',
    ].join('\n'),
  );
  const env = { SLURM_CONF: at('slurm.conf') };
  const call = (program: string, ...args: readonly string[]): string => {
    const { status, stdout, stderr, error } = spawnSync(program, args, {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', ...env },
    });
    if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`);
    return stdout;
  };
  const munge = await startMunge(at);
  const controller = await startServerProcess({
    name: 'slurmctld',
    binary: 'slurmctld',
    arguments: ['-D'],
    env,
    logFile: at('slurmctld.log'),
    port: ports.controller,
  });
  const worker = await startServerProcess({
    name: 'slurmd',
    binary: 'unshare',
    arguments: [...NAMESPACE, 'slurmd', '-D'],
    env,
    logFile: at('slurmd.log'),
    port: ports.node,
  });
  await until(
    () => call('sinfo', '--noheader', '--format=%T').includes('idle'),
    'the node of Slurm is not idle',
  );
  return {
    env,
    call,
    stop: async () => {
      await worker.kill();
      await controller.kill();
      await munge();
      folder.remove();
    },
  };
}

/** Listens on a socket of its own, and on no port. Returns what ends it. */
async function startMunge(at: (...names: string[]) => string): Promise<() => Promise<void>> {
  const log = openSync(at('munged.log'), 'a');
  const files = [
    'key-file=munge.key',
    'socket=run/munge.socket',
    'pid-file=munged.pid',
    'seed-file=munged.seed',
  ];
  const args = files
    .map((each) => each.split('=') as [string, string])
    .map(([name, file]) => `--${name}=${at(file)}`);
  const child = spawn('munged', ['--foreground', '--force', `--log-file=${at('munge.log')}`, ...args], {
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  guardProcess(child);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve()).once('error', () => resolve());
  });
  const answers = (): boolean =>
    spawnSync('munge', ['--no-input', `--socket=${at('run/munge.socket')}`]).status === 0;
  await until(answers, () => `munged does not answer:\n${readFileSync(at('munged.log'), 'utf8')}`);
  child.unref();
  return async () => {
    child.ref();
    child.kill('SIGKILL');
    await ended;
  };
}

const DEADLINE_MS = 30_000;

async function until(isSo: () => boolean, otherwise: string | (() => string)): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(typeof otherwise === 'string' ? otherwise : otherwise());
    await sleep(50);
  }
}

/** Installs it with the system's packages. Throws where that fails. */
export function installSlurm(): void {
  const apt = (...args: readonly string[]): void => {
    const { status } = spawnSync('apt-get', args, {
      stdio: 'inherit',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    if (status !== 0) throw new Error(`apt-get ${args.join(' ')} failed`);
  };
  apt('update');
  apt('install', '--yes', '--no-install-recommends', ...SLURM_PACKAGES);
}

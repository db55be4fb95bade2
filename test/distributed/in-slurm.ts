/** A dump in an S3 server, a Slurm to read it, and a plan; for the test and for the long campaign. */
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { type LargeDumpSize, writeLargeDump } from '../bench/large-dump.ts';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { type PlanRun, type RunningPlan, runPlan, startPlan } from '../lab/plan-command.ts';
import { createBucket, type S3Server, s3Client, s3Environment, startS3Server } from '../lab/s3.ts';
import { type Slurm, startSlurm } from '../lab/slurm.ts';
import { tarFolder } from '../lab/tar.ts';

export interface SlurmGround {
  readonly slurm: Slurm;
  readonly s3: S3Server;
  /** Absolute; holds `plan.yaml`, `other.yaml` and the folder `shared`. */
  readonly folder: string;
  /** Bytes of the tar. */
  readonly size: number;
  /** Address of a bucket for parts. */
  readonly exchange: string;
  /** `plan select` with credentials from an env file and none in the environment. Words may name another plan, and set variables (`NAME=db`). */
  select(...args: readonly string[]): Promise<PlanRun>;
  start(...args: readonly string[]): RunningPlan;
  /** What lies in the bucket for parts. */
  parts(): Promise<string[]>;
  stop(): Promise<void>;
}

/** `processors`: of Slurm's node, of which each worker takes one. */
export async function openGround(
  size: LargeDumpSize,
  { processors, keepTar = false }: { readonly processors: number; readonly keepTar?: boolean },
): Promise<SlurmGround> {
  const { path: folder, remove } = temporaryFolder('in-slurm');
  const [s3, slurm] = await Promise.all([startS3Server(), startSlurm({ processors })]);
  const client = s3Client(s3);
  const backups = await createBucket(client, 'backups');
  await createBucket(client, 'exchange');
  writeLargeDump(join(folder, 'dump'), 'gravity', size);
  const tar = join(folder, 'db.tar');
  await tarFolder(join(folder, 'dump'), tar);
  const bytes = statSync(tar).size;
  rmSync(join(folder, 'dump'), { recursive: true });
  await backups.putFile('db/db.tar', tar);
  if (!keepTar) rmSync(tar);
  mkdirSync(join(folder, 'shared'), { mode: 0o700 });
  for (const [file, name] of [
    ['plan.yaml', 'incident-4711'],
    ['other.yaml', 'incident-4712'],
  ] as const)
    writeFileSync(join(folder, file), planOf(name, s3.endpoint));
  const variables = Object.entries(s3Environment(s3)).map(([variable, value]) => `${variable}=${value}\n`);
  writeFileSync(join(folder, 'store.env'), variables.join(''), { mode: 0o600 });
  const isPlan = (each: string): boolean => each.endsWith('.yaml');
  const isVariable = (each: string): boolean => /^[A-Z]+=/.test(each);
  const line = (args: readonly string[]): string[] => [
    ...['select', args.find(isPlan) ?? 'plan.yaml', '--env-file', 'store.env'],
    ...args.filter((each) => !isPlan(each) && !isVariable(each)),
  ];
  const options = (args: readonly string[]) => {
    const set = args.filter(isVariable).map((each) => each.split('=') as [string, string]);
    return { cwd: folder, env: { ...slurm.env, ...Object.fromEntries(set) }, deadlineMs: 3_600_000 };
  };
  return {
    slurm,
    s3,
    folder,
    size: bytes,
    exchange: 's3://exchange/parts',
    select: (...args) => runPlan(line(args), options(args)),
    start: (...args) => startPlan(line(args), options(args)),
    parts: async () => {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'exchange' }));
      return Contents.map(({ Key = '' }) => Key);
    },
    stop: async () => {
      await slurm.stop();
      client.destroy();
      await s3.stop();
      remove();
    },
  };
}

function planOf(name: string, endpoint: string): string {
  return `version: 1
name: ${name}
reason: A test.
source:
  database: gravity
  s3: { bucket: backups, key: db/db.tar, endpoint: "${endpoint}", forcePathStyle: true }
collections:
  - collection: artworks
    query: { partner_id: { $oid: ${LOST_PARTNER.toHexString()} } }
    dependents: [{ collection: sale_artworks, foreignKey: artwork_id }]
targets: { staging: { uri: "\${STAGING}", database: gravity-staging } }
`;
}

/** Waits until a task of an array runs, and returns its name for scancel: `12_3`. */
export async function untilRunning({ slurm }: SlurmGround, over: () => boolean): Promise<string | undefined> {
  while (!over()) {
    const [first] = slurm
      .call('squeue', '--noheader', '--array', '--states=RUNNING', '--format=%i')
      .split('\n');
    if (first !== undefined && first !== '') return first;
    await sleep(50);
  }
  return undefined;
}

/** Has the worker killed as a node does that runs out of memory. False where it had ended by itself. */
export function killWorker({ slurm }: SlurmGround, task: string): boolean {
  try {
    slurm.call('scancel', '--signal=KILL', '--full', task);
    return true;
  } catch {
    return false; // it ended in between
  }
}

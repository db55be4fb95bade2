/** `npm run demo`: an accident and its repair, on real servers, in under a minute. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { artMarket, fillArtMarket, LOST_PARTNER } from '../lab/art-market.ts';
import { guardProcess, temporaryFolder } from '../lab/guard.ts';
import { startLab } from '../lab/lab.ts';
import { createBucket, s3Client, s3Environment } from '../lab/s3.ts';
import { scriptOptions } from '../lab/script-options.ts';
import {
  deleteArtworks,
  destroyPartner,
  takeBackup,
  titlesAfterBackup,
  workAfterBackup,
} from './accident.ts';
import { emptyPlan, planFile } from './plan-file.ts';
import { compareSnapshots, takeSnapshot } from './snapshot.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'dist', 'main.cjs');
const BUCKET = 'gravity-production-db-backup';
const HOUR_MS = 3_600_000;
const FILL_AGO_MS = 2_100;
/** Behind what was restored before, by any clock. */
const START_OF_STORY_MS = 1_100;

const say = (text: string): boolean => process.stdout.write(`${text}\n`);
const step = (text: string): boolean => say(`\n── ${text}`);

async function demo(keep: boolean): Promise<void> {
  const started = performance.now();
  step('Starting a staging and a production MongoDB and an S3 server');
  const lab = await startLab();
  const folder = temporaryFolder('demo');
  const { stagingUri, productionUri, s3 } = lab.addresses;
  const clients = await Promise.all([stagingUri, productionUri].map((uri) => new MongoClient(uri).connect()));
  const staging = (clients[0] as MongoClient).db('gravity-staging');
  const production = (clients[1] as MongoClient).db('gravity');
  const objects = s3Client(s3);
  const stop = async (): Promise<void> => {
    objects.destroy();
    await Promise.all(clients.map((client) => client.close()));
    await lab.stop();
    folder.remove();
  };
  const environment = {
    STAGING_MONGODB_URI: stagingUri,
    PRODUCTION_MONGODB_URI: productionUri,
    ...s3Environment(s3),
  };
  const surroundings = { cwd: folder.path, environment };
  const plan = (args: readonly string[], expected: number): Promise<string> =>
    runPlan(args, { ...surroundings, expected });

  try {
    step('Filling both with an art market, and taking backups with mongodump');
    const market = artMarket();
    await Promise.all([fillArtMarket(production, market), fillArtMarket(staging, market)]);
    const bucket = await createBucket(objects, BUCKET);
    const source = { uri: productionUri, database: 'gravity', folder: join(folder.path, 'backup') };
    mkdirSync(source.folder);
    const now = Date.now();
    let begins = new Date(now);
    for (const hoursAgo of [24, 0]) {
      // A dump begins up to two seconds after the moment that counts: what the fill inserted would be applied once more.
      await sleep(Math.max(0, now + (hoursAgo === 0 ? FILL_AGO_MS : 0) - Date.now()));
      begins = new Date(Math.floor(Date.now() / 1000) * 1000);
      const startedAt = hoursAgo === 0 ? begins : new Date(now - hoursAgo * HOUR_MS);
      say(`s3://${BUCKET}/${await takeBackup(source, bucket, startedAt)}`);
    }

    step('The application goes on: one artwork of partner 57d17993 is changed, another one is added');
    await Promise.all([workAfterBackup(production), workAfterBackup(staging)]);
    const before = { production: await takeSnapshot(production), staging: await takeSnapshot(staging) };

    step('The accident: a support script destroys partner 57d17993');
    // S3 keeps whole seconds; the data is known good until the second after the last backup was stored.
    const at = new Date(Math.ceil(Date.now() / 1000) * 1000);
    await sleep(at.getTime() - Date.now() + 20);
    say(
      `production lost ${await destroyPartner(production)} documents, staging ${await destroyPartner(staging)}`,
    );
    say('The next backup runs as always, and no longer holds them:');
    const last = new Date(Math.floor(Date.now() / 1000) * 1000);
    say(`s3://${BUCKET}/${await takeBackup(source, bucket, new Date(at.getTime() + 1000))}`);

    step('The plan, as it would be reviewed in a pull request: plan.yaml');
    const facts = {
      at,
      begins,
      bucket: BUCKET,
      endpoint: s3.endpoint,
      partnerId: LOST_PARTNER.toHexString(),
    };
    writeFileSync(join(folder.path, 'plan.yaml'), planFile(facts));
    say(planFile(facts));

    await plan(['validate', 'plan.yaml'], 0);
    await plan(['dry-run', 'plan.yaml'], 0);
    step('Production before staging? The gate refuses (exit code 18):');
    await plan(['apply', 'plan.yaml', '--target', 'production'], 18);
    step('Staging first, then production:');
    await plan(['apply', 'plan.yaml', '--target', 'staging'], 0);
    await plan(['apply', 'plan.yaml', '--target', 'production', '--confirm', 'gravity'], 0);

    step('Proof, by reading every document of both databases with the driver');
    for (const [name, snapshot, database] of [
      ['staging', before.staging, staging],
      ['production', before.production, production],
    ] as const) {
      const { missing, added, changed } = compareSnapshots(snapshot, await takeSnapshot(database));
      say(
        `${name}: ${snapshot.size} documents before the accident; now ${missing.length} missing, ${added.length} too many, ${changed.length} changed`,
      );
      if (missing.length + added.length + changed.length > 0) throw new Error(`${name} is not as it was`);
    }
    const titles = await titlesAfterBackup(production);
    if (titles.length !== 2) throw new Error(`of what came after the backup there is only ${titles.join()}`);
    say(`Also what no backup holds, by the oplog: ${titles.map((title) => `"${title}"`).join(', ')}`);

    step('Later: something is gone. Nobody knows what, or by which query; only that it was a moment ago');
    await sleep(START_OF_STORY_MS);
    const since = new Date();
    const stands = await takeSnapshot(staging);
    const lost = { medium: 'Oil on canvas' };
    for (const each of [production, staging]) await deleteArtworks(each, lost);
    // The application goes on.
    await production.collection('visits').insertOne({ at: new Date() });
    const server = ['--uri-env', 'PRODUCTION_MONGODB_URI', '--database', 'gravity'];
    const told = await runPlan(['history', ...server, '--since', since.toISOString()], {
      ...surroundings,
      ...{ expected: 0, isRead: true },
    });
    step('Its entries, pasted into a plan that names the backups and the targets: gone.yaml');
    const entries = told.match(/^ {2}- collection: .*\n {4}deleted: .*$/gm) ?? [];
    writeFileSync(
      join(folder.path, 'gone.yaml'),
      `${emptyPlan({ begins: last, bucket: BUCKET, endpoint: s3.endpoint })}${entries.join('\n')}\n`,
    );
    say(entries.join('\n'));
    await plan(['dry-run', 'gone.yaml'], 0);
    await plan(['apply', 'gone.yaml', '--target', 'staging'], 0);
    const { missing, added, changed } = compareSnapshots(stands, await takeSnapshot(staging));
    if (missing.length + added.length + changed.length > 0) throw new Error('staging is not as it stood');

    say(
      `\nEvery document is back, byte for byte, and nothing else changed. (${((performance.now() - started) / 1000).toFixed(0)} s)`,
    );
    if (keep) await playground(folder.path, environment);
  } finally {
    await stop();
  }
}

interface Command {
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Exit code without which the demo has failed. */
  readonly expected: number;
  /** Its results are wanted, and so not written straight to the terminal. */
  readonly isRead?: boolean;
}

/** Prints the command line, runs it with this terminal, and checks its exit code. Returns its results where they are read. */
async function runPlan(
  args: readonly string[],
  { cwd, environment, expected, isRead = false }: Command,
): Promise<string> {
  say(`\n$ plan ${args.join(' ')}`);
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd,
    env: { ...process.env, ...environment },
    stdio: ['ignore', isRead ? 'pipe' : 'inherit', 'inherit'],
  });
  guardProcess(child);
  let results = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    results += text;
    process.stdout.write(text);
  });
  const exitCode = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  if (exitCode !== expected) throw new Error(`plan ${args[0]} ended with ${exitCode}, not ${expected}`);
  return results;
}

/** Waits for Ctrl-C. */
async function playground(folder: string, environment: Readonly<Record<string, string>>): Promise<void> {
  step('The servers stay up. In another terminal:');
  say(`cd ${folder}`);
  for (const [name, value] of Object.entries(environment)) say(`export ${name}='${value}'`);
  say(`alias plan='${process.execPath} ${PROGRAM}'`);
  say('plan status plan.yaml\n\nCtrl-C here ends the servers and removes everything.');
  const timer = setInterval(() => undefined, HOUR_MS);
  await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  clearInterval(timer);
}

const { values } = scriptOptions({
  usage: `npm run demo -- [--keep]
  --keep   leaves the servers up and prints the environment to play on; Ctrl-C then ends everything`,
  defaults: { keep: false },
});
demo(values.keep).catch((error: Error) => {
  process.stderr.write(`\nThe demo failed: ${error.message}\n`);
  process.exitCode = 1;
});

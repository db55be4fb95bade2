/** The differential tests at length: what each asks stands in `USAGE`. Prints every mismatch; exit code 1 when there is one. */
import { ownServers } from '../faults/own-servers.ts';
import { startStandalone } from '../lab/mongod.ts';
import { startReplicaSet } from '../lab/replica-set.ts';
import { scriptOptions } from '../lab/script-options.ts';
import { runCampaign } from './campaign.ts';
import { runExpressionCampaign } from './expression-campaign.ts';
import { runForetellingCampaign } from './foretelling-campaign.ts';
import { runOplogCampaign } from './oplog-campaign.ts';
import { RawConnection } from './raw-connection.ts';
import { runSlicesCampaign } from './slices-campaign.ts';

const USAGE = `npm run differential -- [--pairs 100000 | --collections 2000 | --oplog 100000 | --slices 500] [--seed 1]
  --pairs         so many random queries with a document each, and a tenth as many expressions: engine against mongod
  --collections   so many random collections, compared and applied, instead
  --oplog         so many random writes, followed through the oplog, instead
  --slices        so many ways of cutting random dumps into slices, instead`;

const {
  values: { seed, pairs, collections, oplog, slices },
} = scriptOptions({
  usage: USAGE,
  defaults: { pairs: 100_000, collections: 0, oplog: 0, slices: 0, seed: 1 },
});
const say = (text: string): boolean => process.stdout.write(`${text}\n`);
const mismatches = await run();
for (const mismatch of mismatches) say(`\n${mismatch}`);
say(`${mismatches.length} mismatches`);
process.exitCode = mismatches.length === 0 ? 0 : 1;

function run(): Promise<readonly string[]> {
  if (slices > 0) return cutSlices(slices);
  if (oplog > 0) return followOplog(oplog);
  if (collections > 0) return foretell(collections);
  return askQuestions(pairs);
}

async function cutSlices(cuttings: number): Promise<readonly string[]> {
  const result = await runSlicesCampaign({ seed, cuttings });
  say(`\n${result.cuttings} ways of cutting, seed ${seed}, ${result.faults} of them of damaged dumps`);
  return result.mismatches;
}

async function askQuestions(asked: number): Promise<readonly string[]> {
  const server = await startStandalone();
  const connection = await RawConnection.open(server.port);
  const result = await runCampaign(connection, { seed, pairs: asked });
  const expressions = await runExpressionCampaign(connection, { seed, count: Math.ceil(asked / 10) });
  connection.close();
  await server.stop();
  say(`\n${result.pairs} pairs, seed ${seed}`);
  say(`${result.agreed} with the same answer, ${result.selecting} of them some but not all documents`);
  say(`${result.bothRefused} refused by both`);
  say(`${expressions.agreed} expressions with the same values, ${expressions.bothRefused} refused by both`);
  for (const [words, count] of [...result.unsupported, ...expressions.unsupported]) {
    say(`${count} refused by the engine alone: ${words}`);
  }
  return [...result.mismatches, ...expressions.mismatches];
}

async function foretell(count: number): Promise<readonly string[]> {
  const servers = await ownServers();
  // What expires between a dry-run and its apply is neither's mistake.
  await servers.staging.client.db('admin').command({ setParameter: 1, ttlMonitorEnabled: false });
  const result = await runForetellingCampaign(servers, { seed, collections: count });
  await servers.stop();
  say(`\n${result.collections} collections, seed ${seed}: ${result.uncreatable} that neither creates`);
  say(`${result.documents} documents: ${JSON.stringify(result.classes)}`);
  say(`${result.unforetold} in collections of which the dry-run said that it does not foretell all`);
  return result.mismatches;
}

/** In runs of 20,000, each with a seed and a collection of its own. */
async function followOplog(writes: number): Promise<readonly string[]> {
  const set = await startReplicaSet();
  const mismatches: string[] = [];
  for (let run = 0; run * 20_000 < writes; run++) {
    const updates = Math.min(20_000, writes - run * 20_000);
    const result = await runOplogCampaign(set, { seed: seed + run, updates });
    say(`seed ${seed + run}: ${result.sent} writes, ${result.refusedByServer} of them refused by the server`);
    say(`${result.entries} entries: ${JSON.stringify(result.kinds)}; ${result.compared} documents compared`);
    mismatches.push(...result.mismatches);
  }
  await set.stop();
  return mismatches;
}

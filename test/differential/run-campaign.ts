/**
 * `npm run differential -- --seed 7 --pairs 100000`: the differential test with any number of questions, and a tenth as many
 * expressions. `--collections 2000`: so many random collections, compared and applied, instead. `--oplog 100000`: so many random writes,
 * followed through the oplog, instead. `--slices 500`: so many ways of cutting random dumps into slices, instead.
 */
import { parseArgs } from 'node:util';
import { ownServers } from '../faults/own-servers.ts';
import { startStandalone } from '../lab/mongod.ts';
import { startReplicaSet } from '../lab/replica-set.ts';
import { runCampaign } from './campaign.ts';
import { runExpressionCampaign } from './expression-campaign.ts';
import { runForetellingCampaign } from './foretelling-campaign.ts';
import { runOplogCampaign } from './oplog-campaign.ts';
import { RawConnection } from './raw-connection.ts';
import { runSlicesCampaign } from './slices-campaign.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    pairs: { type: 'string', default: '100000' },
    collections: { type: 'string' },
    oplog: { type: 'string' },
    slices: { type: 'string' },
  },
});
const say = (text: string): boolean => process.stdout.write(`${text}\n`);
const seed = Number(values.seed);
const mismatches = await run();
for (const mismatch of mismatches) say(`\n${mismatch}`);
say(`${mismatches.length} mismatches`);
process.exitCode = mismatches.length === 0 ? 0 : 1;

function run(): Promise<readonly string[]> {
  if (values.slices !== undefined) return cutSlices(Number(values.slices));
  if (values.oplog !== undefined) return followOplog(Number(values.oplog));
  if (values.collections !== undefined) return foretell(Number(values.collections));
  return askQuestions(Number(values.pairs));
}

async function cutSlices(cuttings: number): Promise<readonly string[]> {
  const result = await runSlicesCampaign({ seed, cuttings });
  say(`\n${result.cuttings} ways of cutting, seed ${seed}, ${result.faults} of them of damaged dumps`);
  return result.mismatches;
}

async function askQuestions(pairs: number): Promise<readonly string[]> {
  const server = await startStandalone();
  const connection = await RawConnection.open(server.port);
  const result = await runCampaign(connection, { seed, pairs });
  const expressions = await runExpressionCampaign(connection, { seed, count: Math.ceil(pairs / 10) });
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

async function foretell(collections: number): Promise<readonly string[]> {
  const servers = await ownServers();
  // What expires between a dry-run and its apply is neither's mistake.
  await servers.staging.client.db('admin').command({ setParameter: 1, ttlMonitorEnabled: false });
  const result = await runForetellingCampaign(servers, { seed, collections });
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

/** `npm run differential -- --seed 7 --pairs 100000`: the differential test with any number of questions. */
import { parseArgs } from 'node:util';
import { startStandalone } from '../lab/mongod.ts';
import { runCampaign } from './campaign.ts';
import { RawConnection } from './raw-connection.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, pairs: { type: 'string', default: '100000' } },
});
const server = await startStandalone();
const connection = await RawConnection.open(server.port);
const result = await runCampaign(connection, { seed: Number(values.seed), pairs: Number(values.pairs) });
connection.close();
await server.stop();
const say = (text: string): boolean => process.stdout.write(`${text}\n`);
for (const mismatch of result.mismatches) say(`\n${mismatch}`);
say(`\n${result.pairs} pairs, seed ${values.seed}`);
say(`${result.agreed} with the same answer, ${result.selecting} of them some but not all documents`);
say(`${result.bothRefused} refused by both`);
for (const [words, count] of result.unsupported) say(`${count} refused by the engine alone: ${words}`);
say(`${result.mismatches.length} mismatches`);
process.exitCode = result.mismatches.length === 0 ? 0 : 1;

/** `npm run differential -- --seed 7 --pairs 100000`: the differential test with any number of questions,
 * and a tenth as many expressions. */
import { parseArgs } from 'node:util';
import { startStandalone } from '../lab/mongod.ts';
import { runCampaign } from './campaign.ts';
import { runExpressionCampaign } from './expression-campaign.ts';
import { RawConnection } from './raw-connection.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, pairs: { type: 'string', default: '100000' } },
});
const server = await startStandalone();
const connection = await RawConnection.open(server.port);
const [seed, pairs] = [Number(values.seed), Number(values.pairs)];
const result = await runCampaign(connection, { seed, pairs });
const expressions = await runExpressionCampaign(connection, { seed, count: Math.ceil(pairs / 10) });
connection.close();
await server.stop();
const say = (text: string): boolean => process.stdout.write(`${text}\n`);
const mismatches = [...result.mismatches, ...expressions.mismatches];
for (const mismatch of mismatches) say(`\n${mismatch}`);
say(`\n${result.pairs} pairs, seed ${values.seed}`);
say(`${result.agreed} with the same answer, ${result.selecting} of them some but not all documents`);
say(`${result.bothRefused} refused by both`);
say(`${expressions.agreed} expressions with the same values, ${expressions.bothRefused} refused by both`);
for (const [words, count] of [...result.unsupported, ...expressions.unsupported]) {
  say(`${count} refused by the engine alone: ${words}`);
}
say(`${mismatches.length} mismatches`);
process.exitCode = mismatches.length === 0 ? 0 : 1;

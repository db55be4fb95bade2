/**
 * The long fault runs: `npm run faults -- [kills] [--seed 4711] [--documents 50000] [--no-checkpoints] [--failover 200000]
 * [--cut-every 16] [--races 20000] [--night-kills 50] [--save-kills 50] [--select-kills 50]
 * [--merge-kills 50]`; 0 leaves one out.
 *
 * 1. An apply is killed with -9 at every checkpoint and at random moments (200 by default), each followed by one rerun; the
 *    target must hold the bytes that an undisturbed run leaves, with nothing left open in the journal.
 * 2. The primary of a three-member set is killed every few seconds while 200,000 documents are applied.
 * 3. Backups of every layout are cut off at every 16 bytes; each is refused, or what was cut off was not needed.
 * 4. Documents are removed, replaced and merged while somebody changes them in type, scale, case or order alone, until 20,000 changes were
 *    acknowledged by a set of three members, and as many by a mongos; none may be lost.
 * 5. Whole nights with the program, each step that writes killed until 50 kills came in time; the bytes must be the same.
 * 6. `plan oplog save` killed 50 times in time, and run again: the same file.
 * 7. `plan select` with an oplog killed 50 times in time, and run again: the same documents.
 * 8. A merge and its revert, each killed 50 times in time, and run again: the same bytes.
 */
import { parseArgs } from 'node:util';
import { killPrimaries } from './failover-campaign.ts';
import { killAtRandom } from './kill-campaign.ts';
import { mergesUnderKills } from './merge-campaign.ts';
import { nightsOfKills } from './night-campaign.ts';
import { savesUnderKills, selectionsUnderKills } from './oplog-save-campaign.ts';
import { raceUntil } from './race-campaign.ts';
import { cutEveryLayout } from './truncation.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    seed: { type: 'string', default: '4711' },
    documents: { type: 'string', default: '50000' },
    checkpoints: { type: 'boolean', default: true },
    failover: { type: 'string', default: '200000' },
    'cut-every': { type: 'string', default: '16' },
    races: { type: 'string', default: '20000' },
    'night-kills': { type: 'string', default: '50' },
    'save-kills': { type: 'string', default: '50' },
    'select-kills': { type: 'string', default: '50' },
    'merge-kills': { type: 'string', default: '50' },
  },
});
const kills = Number(positionals[0] ?? 200);
const started = performance.now();
const say = (text: string): void => {
  process.stdout.write(`${((performance.now() - started) / 1_000).toFixed(0).padStart(5)} s  ${text}\n`);
};

if (kills > 0 || values.checkpoints) {
  await killAtRandom({
    kills,
    seed: Number(values.seed),
    documents: Number(values.documents),
    atCheckpoints: values.checkpoints,
    say,
  });
}
if (Number(values.failover) > 0) await killPrimaries({ documents: Number(values.failover), say });
if (Number(values['cut-every']) > 0) await cutEveryLayout(Number(values['cut-every']), say);
if (Number(values.races) > 0) await raceUntil(Number(values.races), say);
if (Number(values['night-kills']) > 0)
  await nightsOfKills(Number(values['night-kills']), { seed: Number(values.seed), say });
if (Number(values['save-kills']) > 0)
  await savesUnderKills(Number(values['save-kills']), { seed: Number(values.seed), say });
if (Number(values['select-kills']) > 0)
  await selectionsUnderKills(Number(values['select-kills']), { seed: Number(values.seed), say });
if (Number(values['merge-kills']) > 0)
  await mergesUnderKills(Number(values['merge-kills']), { seed: Number(values.seed), say });

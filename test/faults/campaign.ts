/** The long fault runs, one after the other: what each does stands in `USAGE`. The end of a run says what it found. */
import { scriptOptions } from '../lab/script-options.ts';
import { killPrimaries } from './failover-campaign.ts';
import { killAtRandom } from './kill-campaign.ts';
import { mergesUnderKills } from './merge-campaign.ts';
import { nightsOfKills } from './night-campaign.ts';
import { savesUnderKills, selectionsUnderKills } from './oplog-save-campaign.ts';
import { raceUntil } from './race-campaign.ts';
import { cutEveryLayout } from './truncation.ts';

const USAGE = `npm run faults -- [options]; 0 leaves a run out
  --kills 200          an apply is killed with -9 so often at random moments, each followed by one rerun: the target must hold the bytes
                       that an undisturbed run leaves, with nothing left open in the journal
  --no-checkpoints     not also at every checkpoint
  --documents 50000    so many in these applies
  --failover 200000    so many are applied to a three-member set, whose primary is killed every few seconds
  --cut-every 16       backups of every layout are cut off at every 16 bytes: refused, or what was cut off was not needed
  --races 20000        documents are removed, replaced and merged while somebody changes them in type, scale, case or order alone, until so
                       many changes were acknowledged by a set of three members, and as many by a mongos: none may be lost
  --night-kills 50     whole nights with the program, each step that writes killed so often in time: the same bytes
  --save-kills 50      \`plan oplog save\` killed so often in time, and run again: the same file
  --select-kills 50    \`plan select\` with an oplog killed so often in time, and run again: the same documents
  --merge-kills 50     a merge and its revert, each killed so often in time, and run again: the same bytes
  --seed 4711          of all that is random`;

const { values } = scriptOptions({
  usage: USAGE,
  defaults: {
    kills: 200,
    checkpoints: true,
    documents: 50_000,
    failover: 200_000,
    'cut-every': 16,
    races: 20_000,
    'night-kills': 50,
    'save-kills': 50,
    'select-kills': 50,
    'merge-kills': 50,
    seed: 4711,
  },
});
const { seed } = values;
const started = performance.now();
const say = (text: string): void => {
  process.stdout.write(`${((performance.now() - started) / 1_000).toFixed(0).padStart(5)} s  ${text}\n`);
};

if (values.kills > 0 || values.checkpoints) {
  const { kills, documents, checkpoints: atCheckpoints } = values;
  await killAtRandom({ kills, seed, documents, atCheckpoints, say });
}
if (values.failover > 0) await killPrimaries({ documents: values.failover, say });
if (values['cut-every'] > 0) await cutEveryLayout(values['cut-every'], say);
if (values.races > 0) await raceUntil(values.races, say);
if (values['night-kills'] > 0) await nightsOfKills(values['night-kills'], { seed, say });
if (values['save-kills'] > 0) await savesUnderKills(values['save-kills'], { seed, say });
if (values['select-kills'] > 0) await selectionsUnderKills(values['select-kills'], { seed, say });
if (values['merge-kills'] > 0) await mergesUnderKills(values['merge-kills'], { seed, say });

/** Restores a plan to staging, then to production: `example.ts <plan> <work directory>`. */
import { openRestore, RestorePlanError, type RunEvent } from 'restore-plan';

const [plan = 'plan.yaml', workDirectory = '/var/tmp/restore-plan'] = process.argv.slice(2);
const emit = ({ type }: RunEvent) => console.error(type);
try {
  const restore = await openRestore(plan, { env: process.env, workDirectory, emit });
  try {
    const { collections } = await restore.compare('staging'); // a dry-run: writes nothing
    for (const { into, counts } of collections) console.log(`${into}: ${counts.insert} to insert`);

    await restore.apply('staging'); // writes, reads back, records
    const { verified } = await restore.apply('production'); // only behind its gate
    console.log(`production: ${verified ? 'verified' : 'not verified'}`);

    const { failures } = await restore.verify('production'); // any time later
    console.log(`documents missing or different: ${failures}`);
  } finally {
    await restore.close();
  }
} catch (error) {
  if (!(error instanceof RestorePlanError)) throw error;
  console.error(`${error.code}: ${error.message} ${error.hint ?? ''}`);
  process.exitCode = error.exitCode;
}

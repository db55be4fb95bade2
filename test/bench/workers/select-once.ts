/** Selects the documents of one plan through the library and prints what that took, without the start of the process. */
import { join } from 'node:path';

const DIST = join(import.meta.dirname, '..', '..', '..', 'dist');
const { readPlan } = (await import(
  join(DIST, 'plan', 'read-plan.js')
)) as typeof import('../../../src/plan/read-plan.ts');
const { openBackup } = (await import(
  join(DIST, 'backup', 'open-backup.js')
)) as typeof import('../../../src/backup/open-backup.ts');
const { selectDocuments } = (await import(
  join(DIST, 'selection', 'select-documents.js')
)) as typeof import('../../../src/selection/select-documents.ts');

const [planFile, workDirectory] = process.argv.slice(2) as [string, string];
const reading = await readPlan(planFile, { env: process.env });
if (reading.plan === undefined) throw new Error(JSON.stringify(reading.faults));
const { plan } = reading;
const wanted = new Set(plan.collections.map(({ collection }) => collection));
const { signal } = new AbortController();
const emit = (): void => undefined;
const started = performance.now();
const backup = await openBackup(plan.source, { wanted, emit });
const selection = await selectDocuments({ plan, backup, workDirectory, toolVersion: 'bench', emit, signal });
await backup.close();
const ms = performance.now() - started;
const selected = selection.manifest.collections.reduce((total, { count }) => total + count, 0);
process.stdout.write(JSON.stringify({ ms, selected }));

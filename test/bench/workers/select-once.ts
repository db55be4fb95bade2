/**
 * Selects the documents of one plan through the library and prints what that took, without the start of the process. The S3 client and the
 * driver are loaded before the clock starts, as they are in the plain GET and the bare query that this is measured against.
 */
import 'mongodb';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { keepFreedMemory, V8_FLAGS } from '../../../src/process-memory.ts';

// As the program does at its start.
setFlagsFromString(V8_FLAGS);
keepFreedMemory();

const DIST = join(import.meta.dirname, '..', '..', '..', 'dist');
await import(join(DIST, 'backup', 's3', 's3-client.js'));
const { openRestore } = (await import(join(DIST, 'index.js'))) as typeof import('../../../src/index.ts');

const [planFile, workDirectory, threads] = process.argv.slice(2) as [string, string, string?];
const restore = await openRestore(planFile, {
  env: process.env,
  workDirectory,
  ...(threads !== undefined && { threads: Number(threads) }),
});
const started = performance.now();
const { manifest } = await restore.select();
const ms = performance.now() - started;
const selected = manifest.collections.reduce((total, { count }) => total + count, 0);
process.stdout.write(JSON.stringify({ ms, selected }));

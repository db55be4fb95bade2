/** Inflates a file with zlib as it is, drops the bytes, and prints what that took. */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';

const file = process.argv[2] as string;
const started = performance.now();
let bytes = 0;
const inflated = createReadStream(file, { highWaterMark: 1 << 20 }).pipe(
  createGunzip({ chunkSize: 1 << 20 }),
);
for await (const chunk of inflated) bytes += (chunk as Buffer).length;
process.stdout.write(JSON.stringify({ ms: performance.now() - started, bytes }));

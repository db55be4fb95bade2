/** Reads the first bytes of an S3 object in one plain GET with the same SDK, drops them, and prints what that took. */
import type { Readable } from 'node:stream';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { s3Client } from '../../lab/s3.ts';

const [endpoint, bucket, key, length] = process.argv.slice(2) as [string, string, string, string];
const client = s3Client({
  endpoint,
  accessKeyId: process.env['AWS_ACCESS_KEY_ID'] ?? '',
  secretAccessKey: process.env['AWS_SECRET_ACCESS_KEY'] ?? '',
});
const started = performance.now();
const Range = `bytes=0-${Number(length) - 1}`;
const object = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, Range }));
let bytes = 0;
for await (const chunk of object.Body as Readable) bytes += (chunk as Buffer).length;
const ms = performance.now() - started;
client.destroy();
if (bytes !== Number(length)) throw new Error(`got ${bytes} of ${length} bytes`);
process.stdout.write(JSON.stringify({ ms }));

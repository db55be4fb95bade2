import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** Bytes per read. */
const HASHED_AT_A_TIME = 1024 * 1024;

/** sha256, hex, of the bytes of a file. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: HASHED_AT_A_TIME })) hash.update(chunk);
  return hash.digest('hex');
}

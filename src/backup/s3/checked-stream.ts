import { RestorePlanError } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { type ObjectChecksum, type RunningChecksum, runningChecksum } from './object-checksum.ts';

export interface CheckOptions {
  /** Asks S3 what it knows of the object; asked beside the first bytes. */
  readonly ask: () => Promise<ObjectChecksum | undefined>;
  readonly emit: Emit;
}

/**
 * All bytes of an object, compared at the end with what S3 knows of them. Throws BACKUP where they differ.
 *
 * A wrong ETag alone is no proof of damage: some servers compute it in ways of their own. Then the object is read once
 * more. Bytes that come the same way twice were not damaged on the way; others were.
 */
export async function* checkedStream(source: ByteSource, options: CheckOptions): AsyncGenerator<Buffer> {
  const asked = options.ask();
  asked.catch(() => undefined); // thrown where it is awaited
  const all = source.stream(0, source.size);
  let checksum: ObjectChecksum | undefined;
  let running: RunningChecksum | undefined;
  try {
    for await (const chunk of all) {
      if (running === undefined) {
        checksum = await asked;
        running = checksum && runningChecksum(checksum);
      }
      const working = running?.update(chunk);
      working?.catch(() => undefined);
      yield chunk;
      await working;
    }
    if (checksum === undefined || running === undefined) return;
    const found = await running.digest();
    if (found === checksum.expected) return;
    if (checksum.kind !== 'etag' || (await digestOf(source, checksum)) !== found)
      throw damaged(source, checksum);
    options.emit({
      type: 'warning',
      message: `${source.location}: its ETag is no MD5 of its bytes, as with some servers. It was read twice, with the same bytes.`,
    });
  } finally {
    running?.close();
  }
}

async function digestOf(source: ByteSource, checksum: ObjectChecksum): Promise<string> {
  const running = runningChecksum(checksum);
  try {
    for await (const chunk of source.stream(0, source.size)) await running.update(chunk);
    return await running.digest();
  } finally {
    running.close();
  }
}

function damaged({ location }: ByteSource, { kind }: ObjectChecksum): RestorePlanError {
  const name = { crc32: 'CRC32', crc64nvme: 'CRC64NVME', etag: 'ETag' }[kind];
  return new RestorePlanError(
    'BACKUP',
    `${location} arrived damaged: its bytes do not have the ${name} that S3 names.`,
    {
      hint: 'Nothing of it was used. Run again; if it happens again, something on the way to S3 changes bytes: use https.',
    },
  );
}

import { RestorePlanError } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import type { ByteSource } from '../storage/byte-source.ts';

/** What a server says that the bytes of an object add up to. */
export interface Checksum {
  /** `CRC32` */
  readonly name: string;
  readonly expected: string;
  start(): RunningChecksum;
  /** Says that it may be wrong though every byte is right; absent: it is not. */
  readonly doubt?: string;
}

/** Computes a checksum beside the reading. */
export interface RunningChecksum {
  /** Takes the next bytes, which are lent for the call; where a promise comes back, the next ones must wait for it. */
  update(chunk: Buffer): Promise<unknown> | undefined;
  /** In the form of `expected`. */
  digest(): Promise<string>;
  close(): void;
}

/**
 * All bytes of an object, compared at the end with what the server (`name`) knows of them, which is asked for beside the first
 * bytes. Throws BACKUP where they differ.
 *
 * A wrong checksum that may be wrong by itself is no proof of damage. Then the object is read once more. Bytes that come the same way twice were not damaged on the way; others were.
 */
export async function* checkedStream(
  source: ByteSource,
  ask: () => Promise<Checksum | undefined>,
  { name, emit }: { readonly name: string; readonly emit: Emit },
): AsyncGenerator<Buffer> {
  const asked = ask();
  asked.catch(() => undefined); // thrown where it is awaited
  const all = source.stream(0, source.size);
  let checksum: Checksum | undefined;
  let running: RunningChecksum | undefined;
  try {
    for await (const chunk of all) {
      if (running === undefined) {
        checksum = await asked;
        running = checksum?.start();
      }
      const working = running?.update(chunk);
      working?.catch(() => undefined);
      yield chunk;
      await working;
    }
    if (checksum === undefined || running === undefined) return;
    const found = await running.digest();
    if (found === checksum.expected) return;
    if (checksum.doubt === undefined || (await digestOf(source, checksum)) !== found)
      throw damaged(source, checksum, name);
    emit({
      type: 'warning',
      message: `${source.location}: ${checksum.doubt}. It was read twice, with the same bytes.`,
    });
  } finally {
    running?.close();
  }
}

async function digestOf(source: ByteSource, checksum: Checksum): Promise<string> {
  const running = checksum.start();
  try {
    for await (const chunk of source.stream(0, source.size)) await running.update(chunk);
    return await running.digest();
  } finally {
    running.close();
  }
}

function damaged({ location }: ByteSource, { name }: Checksum, server: string): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${location} arrived damaged: its bytes do not have the ${name} that ${server} names.`,
    {
      hint: `Nothing of it was used. Run again; if it happens again, something on the way to ${server} changes bytes: use https.`,
    },
  );
}

/**
 * A plan file as text: read with a size limit, refused when it is not a plain UTF-8 file, and able to turn offsets
 * into lines and columns.
 */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { findCredentials } from './credentials.ts';
import { faultOfFile, type PlanFault, type PlanText } from './fault.ts';
import { nearest } from './nearest.ts';
import { type FileRefusal, readFileOfAtMost, readStreamOfAtMost, textOf, whyNoText } from './read-file.ts';

/** Largest plan file, in bytes. A plan that lists 10,000 ids has half of it; a file beyond it is not a plan. */
const MAX_PLAN_BYTES = 768 * 1024;

type TextReading = { readonly text: PlanText } | { readonly fault: PlanFault };

/** The name that stands for stdin. */
export const STDIN = '-';

/** `stdin`: what `-` is read from. */
export async function readPlanText(
  file: string,
  stdin?: AsyncIterable<Buffer | string>,
): Promise<TextReading> {
  if (file === STDIN && stdin !== undefined) {
    const piped = await readStreamOfAtMost(stdin, MAX_PLAN_BYTES);
    return 'bytes' in piped ? planTextOf(STDIN, piped.bytes) : { fault: refusedFile(STDIN, piped) };
  }
  const reading = await readFileOfAtMost(file, MAX_PLAN_BYTES);
  if ('bytes' in reading) return planTextOf(file, reading.bytes);
  const fault = refusedFile(file, reading);
  const isMissing = (reading.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
  return { fault: isMissing ? { ...fault, suggestion: await similarFile(file) } : fault };
}

function refusedFile(file: string, { refused, expected }: FileRefusal): PlanFault {
  const isLarge = refused.startsWith('is too large');
  return isLarge
    ? faultOfFile(
        file,
        'file',
        `the file ${refused.replace('large', 'large for a plan')}`,
        `${expected}; select by a condition, or by ids in a file of their own (ids: ./deleted-ids.txt)`,
      )
    : faultOfFile(file, 'file', `the file ${refused}`, expected);
}

/** Decodes the bytes of a plan file: UTF-8, with or without byte order mark, any line ends. */
export function planTextOf(file: string, bytes: Buffer): TextReading {
  const why = whyNoText(bytes);
  if (why !== undefined) return { fault: faultOfFile(file, 'encoding', `the file ${why}`, 'UTF-8 text') };
  const text = textOf(bytes);
  const lineStarts = [0];
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) lineStarts.push(i + 1);
  return { text: { file, absolutePath: resolve(file), text, lineStarts, hidden: findCredentials(text) } };
}

/** A YAML file in the same folder with nearly that name. */
async function similarFile(file: string): Promise<string | undefined> {
  const folder = dirname(file);
  // Only a suggestion: where the folder cannot be listed either, there is none.
  const names = await readdir(folder).catch(() => []);
  const near = nearest(
    basename(file),
    names.filter((name) => /\.ya?ml$/.test(name)),
  );
  return near === undefined || near === basename(file) ? undefined : join(folder, near);
}

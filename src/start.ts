#!/usr/bin/env node
/**
 * Where the built program starts: runs main.ts, which the build packs into one file, from what V8 compiled of it before.
 *
 * Compiling takes a third of a small `plan apply`. So the functions that a command used are kept, compiled, beside the program:
 * whoever can write there could change the program itself just as well. Where nobody can, every run compiles anew.
 */
import { accessSync, constants, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cachedDataVersionTag, setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';
import { crc32 } from 'node:zlib';
import { V8_FLAGS } from './v8-flags.ts';

/** The packed program beside this file; its name changes with its content. Put in by the build. */
declare const PROGRAM: string;

interface Kept {
  /** How many modules the run had loaded that it was made of. */
  readonly loads: number;
  readonly compiled: Buffer;
}

/** Little-endian: checksum, loads, then what V8 made. */
const HEADER_BYTES = 8;

/** Undefined when nothing is kept, or not all of it. */
function readKept(file: string): Kept | undefined {
  try {
    const bytes = readFileSync(file);
    const compiled = bytes.subarray(HEADER_BYTES);
    if (bytes.readUInt32LE(0) !== crc32(compiled)) return undefined;
    return { loads: bytes.readUInt32LE(4), compiled };
  } catch {
    return undefined;
  }
}

/** Whole or not at all: another run may read it at any time. */
function keep(file: string, { loads, compiled }: Kept): void {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(crc32(compiled), 0);
  header.writeUInt32LE(loads, 4);
  const partial = `${file}.${process.pid}.${Date.now()}`;
  try {
    writeFileSync(partial, Buffer.concat([header, compiled]));
    renameSync(partial, file);
  } catch {
    rmSync(partial, { force: true });
  }
}

function canWrite(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

// V8 takes what was compiled by the same version under the same flags; its tag stands for all of that.
setFlagsFromString(V8_FLAGS);
const program = fileURLToPath(new URL(PROGRAM, import.meta.url));
const command = process.argv[2]?.match(/^[a-z][a-z-]*$/)?.[0] ?? '';
const file = `${program}.${command}.${cachedDataVersionTag().toString(16)}.compiled`;

const kept = readKept(file);
// The build writes ASCII, which is read fastest as latin1.
const source = `(function (require, __filename) {${readFileSync(program, 'latin1')}\n})`;
const script = new Script(source, { filename: program, ...(kept && { cachedData: kept.compiled }) });

let loads = 0;
const require = createRequire(program);
const run: (load: (name: string) => unknown, path: string) => void = script.runInThisContext();
run((name) => {
  loads++;
  return require(name);
}, program);

// One run of a command needs more of the program than another: the first from S3 more than one from a file.
process.once('exit', (code) => {
  const isEnough = script.cachedDataRejected === false && kept !== undefined && loads <= kept.loads;
  if (code !== 0 || isEnough || !canWrite(dirname(program))) return;
  setFlagsFromString(V8_FLAGS); // they may have been changed since
  keep(file, { loads, compiled: script.createCachedData() });
});

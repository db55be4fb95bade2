/**
 * One selection that many machines make, as it lies in an exchange:
 *
 *     rp-<plan>-<digits>-<key>/level-0/3-67108864-<sha256>.part  what a worker made of the slice of member 3 that begins there
 *     rp-<plan>-<digits>-<key>/level-1/keys-<sha256>.keys        keys of the parents that the slices of level 1 are asked about
 *     rp-<plan>-<digits>-<key>/level-1/worker-3-<sha256>.failure why worker 3 gave up
 *
 * `<plan>` is as much of the plan's name as a cluster's names have room for, and `<digits>` are of the SHA-256 of all of it.
 * Names hold the SHA-256 of the whole content, so that whoever writes the same twice, or at once, changes nothing. Each file says of which plan, backup,
 * version, level and slice it is; anything else is refused by its name.
 */
import { createHash } from 'node:crypto';
import { advice } from '../advice.ts';
import type { BackupIdentity } from '../backup/backup.ts';
import { RestorePlanError } from '../errors.ts';
import type { Plan } from '../plan/plan.ts';
import type { Slice } from '../selection/slices/slice.ts';
import { VERSION } from '../version.ts';
import type { Exchange, ExchangedFile } from './exchange.ts';

const FORMAT = 'restore-plan exchange 1';
/** Hexadecimal digits of a key. */
const KEY_DIGITS = 16;
/** Of a plan's name in the names of jobs, which a cluster bounds: together at most 52 (engines/engine.ts). */
const MOST_NAME = 18;
/** Of the SHA-256 of a plan's name: names that begin alike, or differ in what a cluster's names cannot hold, stay apart. */
const NAME_DIGITS = 8;

const KEY = `[0-9a-f]{${KEY_DIGITS}}`;
const IS_KEY = new RegExp(`^${KEY}$`);
/** Behind a family's name: a key, and perhaps what belongs to it. */
const IS_KEYED = new RegExp(`^${KEY}(?:-(?:[lj]\\d+|plan))?$`);

/** What a file of the exchange is: of a level of the plan, and one of its slices or workers. */
export interface Mark {
  readonly kind: 'part' | 'keys' | 'failure';
  readonly level: number;
  /** Of the slice (`sliceId`) or the worker (its index); empty for keys. */
  readonly id: string;
}

/** A file of the exchange with what its name says. */
export interface MarkedFile extends Mark {
  readonly file: ExchangedFile;
}

export class Undertaking {
  /** Begins all names of this plan: `rp-incident-4711-8c330229`. */
  readonly family: string;
  /** Tells selections of the plan apart: by what it selects, from which backup, and in which slices. */
  readonly key: string;
  /** Bytes of a slice. */
  readonly sliceBytes: number;
  readonly #about: { readonly plan: string; readonly backup: string };

  private constructor(
    plan: Pick<Plan, 'name' | 'selectsDigest'>,
    {
      key,
      backup,
      sliceBytes,
    }: { readonly key: string; readonly backup: string; readonly sliceBytes: number },
  ) {
    this.family = familyOf(plan);
    this.key = key;
    this.sliceBytes = sliceBytes;
    this.#about = { plan: plan.selectsDigest, backup };
  }

  static of(
    plan: Pick<Plan, 'name' | 'selectsDigest'>,
    identity: BackupIdentity,
    sliceBytes: number,
  ): Undertaking {
    const backup = sha256(Buffer.from(sharedFingerprint(identity)));
    const text = [FORMAT, plan.selectsDigest, backup, sliceBytes].join('\n');
    return new Undertaking(plan, { key: sha256(Buffer.from(text)).slice(0, KEY_DIGITS), backup, sliceBytes });
  }

  /** One that somebody else has begun, by its key: to tell them what went wrong, and for nothing else. Throws USAGE for what is no key. */
  static named(plan: Pick<Plan, 'name' | 'selectsDigest'>, key: string): Undertaking {
    if (!IS_KEY.test(key))
      throw new RestorePlanError('USAGE', `--selection ${key} is no key of a selection`, {
        hint: `It has ${KEY_DIGITS} digits, 0 to 9 and a to f: give what the coordinator gave, or leave it out.`,
      });
    return new Undertaking(plan, { key, backup: '', sliceBytes: 0 });
  }

  /** Of its jobs and its folder. */
  get name(): string {
    return `${this.family}-${this.key}`;
  }

  get folder(): string {
    return `${this.name}/`;
  }

  jobName(level: number): string {
    return `${this.name}-l${level}`;
  }

  /** Puts content where its kind belongs; it is copied at once. The same content again changes nothing. */
  async put(exchange: Exchange, mark: Mark, content: readonly Uint8Array[]): Promise<void> {
    const head = { format: FORMAT, version: VERSION, ...this.#about, ...mark };
    const bytes = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...content]);
    const hash = sha256(bytes);
    await exchange.put(this.folder + nameOf(mark, hash), { bytes, sha256: hash });
  }

  /** What lies in a level. Files of other names, such as halves of a writer that died, are passed over. */
  async list(exchange: Exchange, level: number): Promise<MarkedFile[]> {
    const files = await exchange.list(`${this.folder}level-${level}/`);
    return files.flatMap((file) => {
      const mark = markOf(file.name.slice(this.folder.length));
      return mark === undefined ? [] : [{ ...mark, file }];
    });
  }

  /** The keys among the files of a level; undefined: there are none. Of two, nobody knows which are right: parts of the others lack documents. */
  keysIn(exchange: Exchange, files: readonly MarkedFile[]): MarkedFile | undefined {
    const [keys, other] = files.filter(({ kind }) => kind === 'keys');
    if (keys !== undefined && other !== undefined)
      throw refused(exchange, other.file, `says otherwise of the same level than ${keys.file.name}`);
    return keys;
  }

  /** The content of a file, proven to be what its name says. Throws WORK_DIRECTORY with its name. */
  async get(exchange: Exchange, { file, ...mark }: MarkedFile): Promise<Buffer> {
    const bytes = await exchange.get(file);
    if (!file.name.includes(sha256(bytes)))
      throw refused(exchange, file, 'is damaged: its content is not what its name says');
    const end = bytes.indexOf('\n');
    const head = headOf(bytes.toString('utf8', 0, Math.max(end, 0)));
    if (head?.['format'] !== FORMAT) throw refused(exchange, file, 'is no file of this kind of exchange');
    if (head['version'] !== VERSION)
      throw refused(
        exchange,
        file,
        `was made by version ${String(head['version'])}, and this is ${VERSION}`,
        'Have the same version on all machines, and in the image. Then remove what the other has made',
      );
    // What stopped a worker may be just that.
    const isOther = (what: 'plan' | 'backup'): boolean =>
      mark.kind !== 'failure' && head[what] !== this.#about[what];
    if (isOther('plan')) throw refused(exchange, file, 'was made for another plan');
    if (isOther('backup')) throw refused(exchange, file, 'was made from another backup');
    for (const key of ['kind', 'level', 'id'] as const)
      if (head[key] !== mark[key])
        throw refused(exchange, file, `is of another ${key} (${String(head[key])})`);
    return bytes.subarray(end + 1);
  }
}

/** Begins the names of everything that a plan has in an exchange, whatever it selected. */
export function familyOf({ name }: Pick<Plan, 'name'>): string {
  const words = name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  const cut = words.slice(0, MOST_NAME).replace(/^-+|-+$/g, '') || 'plan';
  return `rp-${cut}-${sha256(Buffer.from(name)).slice(0, NAME_DIGITS)}`;
}

/** Folders of an exchange that are a plan's. */
export async function foldersOf(exchange: Exchange, family: string): Promise<string[]> {
  const folders = await exchange.folders(`${family}-`);
  return folders.filter((folder) => isOfFamily(folder.slice(0, -1), family));
}

/** Whether a folder, a job or what belongs to it is the family's: its name with a key, and perhaps an ending, behind it. */
export function isOfFamily(name: string, family: string): boolean {
  return name.startsWith(`${family}-`) && IS_KEYED.test(name.slice(family.length + 1));
}

/** The same on every machine that sees the file: a device has another number on each, and so may inodes. */
function sharedFingerprint({ fingerprint }: BackupIdentity): string {
  return fingerprint.replace(/\bdisk:\d+-\d+-/g, 'disk:');
}

/** Names a slice within a level, whichever others are read with it. */
export function sliceId({ member, from }: Slice): string {
  return `${member.id}-${from}`;
}

const HASH = '[0-9a-f]{64}';
const ENDINGS: Readonly<Record<Mark['kind'], { name(id: string, hash: string): string; pattern: RegExp }>> = {
  part: { name: (id, hash) => `${id}-${hash}.part`, pattern: new RegExp(`^(\\d+-\\d+)-${HASH}\\.part$`) },
  keys: { name: (_, hash) => `keys-${hash}.keys`, pattern: new RegExp(`^keys()-${HASH}\\.keys$`) },
  failure: {
    name: (id, hash) => `worker-${id}-${hash}.failure`,
    pattern: new RegExp(`^worker-(\\d+)-${HASH}\\.failure$`),
  },
};

function nameOf({ kind, level, id }: Mark, hash: string): string {
  return `level-${level}/${ENDINGS[kind].name(id, hash)}`;
}

function markOf(name: string): Mark | undefined {
  const [, level, file = ''] = /^level-(\d+)\/(.+)$/.exec(name) ?? [];
  for (const kind of ['part', 'keys', 'failure'] as const) {
    const id = ENDINGS[kind].pattern.exec(file)?.[1];
    if (id !== undefined) return { kind, level: Number(level), id };
  }
  return undefined;
}

function headOf(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined; // no line of ours
  }
}

/** A file that is not used, by its name. */
export function refused(
  { address }: Exchange,
  { name }: ExchangedFile,
  why: string,
  remedy = 'Remove it, or all that this plan has there',
): RestorePlanError {
  const at = `${address.replace(/\/$/, '')}/${name}`;
  return new RestorePlanError('WORK_DIRECTORY', `${at} ${why}; it is not used`, {
    hint: advice`${remedy} (${{ command: 'select', options: { clean: true, exchange: address } }}), and run the same command again.`,
    facts: { file: at },
  });
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

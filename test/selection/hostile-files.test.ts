/**
 * What the work directory keeps may have any shape by the next run: cut off by a crash, of another version, edited, somebody else's. It is
 * right, or passed over with a word, or refused with a remedy; it is never a failure of the program.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { serialize } from 'bson';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { isTime } from '../../src/bson/extended-json-types.ts';
import { checkDocument } from '../../src/bson/storable.ts';
import { TargetMemory } from '../../src/comparison/target-memory.ts';
import { RestorePlanError } from '../../src/errors.ts';
import { suggestFollowUps } from '../../src/follow-ups/suggestions/suggest.ts';
import { suggestionText } from '../../src/follow-ups/suggestions/suggestion.ts';
import { findLocalRecord } from '../../src/ledger/ledger.ts';
import type { DocumentPast } from '../../src/oplog/later.ts';
import { PastReader, PastWriter } from '../../src/selection/document-past.ts';
import { readBatches } from '../../src/selection/file-batches.ts';
import { findSelection, keptSelection, MOST_MANIFEST_BYTES } from '../../src/selection/open-selection.ts';
import type { Selection, SelectionManifest } from '../../src/selection/selection.ts';
import type { TargetReader } from '../../src/target/target.ts';
import { test } from '../harness.ts';
import { QUIET } from '../quiet-run.ts';
import { type ChunkedBackup, chunkedBackup, memberOf } from './chunked-backup.ts';
import { planOf } from './plans.ts';
import { refusal, selectingAnew } from './selecting.ts';

const anew = selectingAnew(test);

const PLAN = planOf({ collection: 'artworks', query: {} });
const backup = (): ChunkedBackup =>
  chunkedBackup({ access: 'random', members: [memberOf('artworks', [{ _id: 1 }, { _id: 2 }])] });

interface Kept extends Selection {
  readonly path: string;
  readonly text: string;
}

async function kept(): Promise<Kept> {
  const selection = await anew.select(PLAN, backup());
  const path = join(selection.directory, 'manifest.json');
  return { ...selection, path, text: readFileSync(path, 'utf8') };
}

/** What is found of the selection, read to its end, and why it was passed over. */
async function found(from = backup): Promise<{ selection: Selection | undefined; why: string | undefined }> {
  let why: string | undefined;
  const selection = await findSelection(anew.workDirectory, PLAN, from().identity, (reason) => {
    why = reason;
  });
  for (const { collection } of selection?.manifest.collections ?? []) {
    for await (const _ of readBatches(selection as Selection, collection, {
      maxBytes: 1e6,
      maxDocuments: 10,
    }));
  }
  return { selection, why };
}

/** Values that stand where something else should. */
const ANYTHING = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(
    ...['..', '../..', '/etc', 'a/b', 'a\0b', '', '.', '__proto__', 'artworks.bson'],
    ...[-1, 0.5, 1e300, -0, 2 ** 53, null, [], {}, [[]], '0'.repeat(64)],
  ),
);

/** Every place in a value: `collections`, `collections.0.file`, … */
function placesIn(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    [...path, key],
    ...placesIn(inner, [...path, key]),
  ]);
}

function withChange(
  text: string,
  path: readonly string[],
  change: (parent: never, key: string) => void,
): string {
  const changed = JSON.parse(text) as unknown;
  const parent = path.slice(0, -1).reduce((each, key) => (each as Record<string, unknown>)[key], changed);
  change(parent as never, path.at(-1) as string);
  return JSON.stringify(changed);
}

test('a manifest with one value changed, missing or added is right or passed over with a word', async () => {
  const { path, text, manifest } = await kept();
  const places = placesIn(JSON.parse(text));
  const property = fc.asyncProperty(
    fc.nat(places.length - 1),
    fc.option(ANYTHING),
    fc.boolean(),
    async (at, value, isAdded) => {
      const changed = withChange(text, places[at] as string[], (parent: Record<string, unknown>, key) => {
        if (isAdded) parent[`${key}2`] = value;
        else if (value === null) delete parent[key];
        else parent[key] = value;
      });
      writeFileSync(path, changed);
      const { selection, why } = await found();
      assert.is(selection === undefined, why !== undefined, 'a word, or the selection');
      // What the digest stands for is what was written.
      if (selection !== undefined) assert.is(selection.manifest.digest, manifest.digest);
    },
  );
  await fc.assert(property, { numRuns: 400, seed: 5 });
});

test('a manifest that is cut off, or is any other JSON or text, is passed over with a word', async () => {
  const { path, text } = await kept();
  const property = fc.asyncProperty(
    fc.oneof(
      fc.nat(text.length - 2).map((length) => text.slice(0, length)),
      fc.json(),
      fc.string(),
      fc.constantFrom('null', '[]', '0', '"x"', '{"format":1}', '{"__proto__":{"format":1}}', '[{}]'),
      fc.constant(`{"format":1,"collections":${'['.repeat(200_000)}`),
    ),
    async (other) => {
      writeFileSync(path, other);
      const { selection, why } = await found();
      assert.is(selection, undefined);
      assert.match(why ?? '', 'manifest.json');
    },
  );
  await fc.assert(property, { numRuns: 200, seed: 6 });
});

test('a manifest with a time that no calendar has is passed over', async () => {
  const { path, text } = await kept();
  const oplog = {
    ...{ source: 'an oplog', begin: [1, 1], beginSaid: 'plan', cut: [2, 1], cutWall: 1 },
    ...{ entries: 0, sha256: '0'.repeat(64) },
  };
  const withOplog = JSON.stringify({ ...JSON.parse(text), oplog });
  writeFileSync(path, withOplog);
  assert.is((await found()).why, undefined);
  for (const [place, value] of [
    ['backup.time', 8.64e15 + 2],
    ['backup.modified', -1e300],
    ['oplog.cutWall', 1e300],
    ['oplog.begin', [2 ** 32, 1]],
    ['oplog.cut', [1, 2 ** 40]],
  ] as const) {
    const changed = withChange(withOplog, place.split('.'), (parent: Record<string, unknown>, key) => {
      parent[key] = value;
    });
    writeFileSync(path, changed);
    assert.match((await found()).why ?? '', 'manifest.json', place);
  }
});

test('the past of documents of any shape is right or as if there were none', async () => {
  const { directory } = await kept();
  const writer = await PastWriter.create(directory, 'artworks');
  writer.add({ changes: 3, isInserted: false, later: { end: 'changed', changes: 1, first: 5, last: 6 } });
  writer.add({ changes: 1, isInserted: true });
  await writer.drain();
  await writer.close();
  const path = join(directory, 'artworks.past');
  const bytes = readFileSync(path);
  const read = (): (DocumentPast | undefined)[] => {
    const reader = new PastReader(directory);
    try {
      return [0, 1, 2].map((index) => reader.of('artworks', index));
    } finally {
      reader.close();
    }
  };
  assert.equal(
    read().map((past) => past?.changes),
    [3, 1, undefined],
  );
  const ofTimes = fc
    .tuple(fc.double(), fc.double(), fc.integer({ min: 1, max: 4 }))
    .map(([first, last, end]) => {
      const changed = Buffer.from(bytes);
      changed[1] = end;
      changed.writeDoubleLE(first, 16);
      changed.writeDoubleLE(last, 24);
      return changed;
    });
  const shapes = fc.oneof(ofTimes, fc.uint8Array({ maxLength: 100 }));
  await fc.assert(
    fc.asyncProperty(shapes, async (other) => {
      writeFileSync(path, other);
      for (const past of read()) {
        const { first = 0, last = 0 } = past?.later ?? {};
        assert.ok(isTime(first) && isTime(last));
      }
    }),
    { numRuns: 300, seed: 9 },
  );
  rmSync(path);
  spawnSync('mkfifo', [path]);
  assert.equal(read(), [undefined, undefined, undefined], 'a pipe is not waited for');
});

test('documents as they were after a change are right or as if there were none', async () => {
  const { directory } = await kept();
  const writer = await PastWriter.create(directory, 'artworks', true);
  const after = Buffer.from(serialize({ _id: 1, price: 0 }));
  writer.takeAfter(after, 0, after.length);
  writer.add({ changes: 1, isInserted: false });
  writer.add(undefined);
  await writer.close();
  const read = (): (Buffer | undefined)[] => {
    const reader = new PastReader(directory);
    try {
      return [0, 1, 2].map((index) => reader.afterOf('artworks', index));
    } finally {
      reader.close();
    }
  };
  assert.equal(read(), [after, undefined, undefined]);
  const path = join(directory, 'artworks.after');
  const damaged = fc.tuple(fc.nat(after.length - 1), fc.nat(255)).map(([at, byte]) => {
    const changed = Buffer.from(after);
    changed[at] = byte;
    return changed;
  });
  await fc.assert(
    fc.asyncProperty(fc.oneof(damaged, fc.uint8Array({ maxLength: 100 })), async (other) => {
      writeFileSync(path, other);
      for (const document of read()) if (document !== undefined) checkDocument(document, 0);
    }),
    { numRuns: 300, seed: 9 },
  );
});

test('suggestions of any shape are right or looked for anew', async () => {
  const { directory, manifest } = await kept();
  const path = join(directory, 'suggestions.json');
  const source = { plan: PLAN, selection: { directory, manifest }, backup: backup() };
  const anewFound = await suggestFollowUps(QUIET, source);
  const format = JSON.parse(readFileSync(path, 'utf8')).format as number;
  const right = { kind: 'noUpdateTimes', collection: 'artworks', field: 'updated', selected: 2 } as const;
  const keep = (suggestions: unknown): void => writeFileSync(path, JSON.stringify({ format, suggestions }));
  keep([right]);
  assert.equal(await suggestFollowUps(QUIET, source), [right]);
  const property = fc.asyncProperty(
    fc.oneof(
      ANYTHING,
      fc.array(ANYTHING, { minLength: 1 }),
      fc
        .tuple(fc.constantFrom(...Object.keys(right)), ANYTHING)
        .map(([key, value]) => [{ ...right, [key]: value }]),
      fc.constantFrom(
        [{ kind: 'toString' }],
        [{ kind: 'oldDocuments' }],
        [{ kind: 'notLookedAt', collections: [1] }],
      ),
    ),
    async (other) => {
      keep(other);
      for (const each of await suggestFollowUps(QUIET, source)) suggestionText(each);
    },
  );
  await fc.assert(property, { numRuns: 300, seed: 10 });
  rmSync(path);
  spawnSync('mkfifo', [path]);
  assert.equal(await suggestFollowUps(QUIET, source), anewFound, 'a pipe is not waited for');
});

test('100 MB of a manifest are not read', async () => {
  const { path, text } = await kept();
  truncateSync(path, 100_000_000);
  assert.match((await found()).why ?? '', 'more than a manifest ever has');
  writeFileSync(path, text.padEnd(MOST_MANIFEST_BYTES, ' '));
  assert.ok((await found()).selection !== undefined);
});

test('a manifest that is a pipe, a folder or a link is not read', async () => {
  const { path, text } = await kept();
  rmSync(path);
  assert.is(spawnSync('mkfifo', [path]).status, 0);
  assert.match((await found()).why ?? '', 'manifest.json is missing');
  rmSync(path);
  mkdirSync(path);
  assert.match((await found()).why ?? '', 'manifest.json is missing');
  rmSync(path, { recursive: true });
  writeFileSync(join(anew.workDirectory, 'elsewhere.json'), text);
  symlinkSync(join(anew.workDirectory, 'elsewhere.json'), path);
  assert.match((await refusal(found())).message, 'is a link');
});

test('metadata that was changed on disk is not what the selection was made of', async () => {
  const from = (): ChunkedBackup =>
    chunkedBackup({
      access: 'random',
      members: [memberOf('artworks', [{ _id: 1 }])],
      metadata: [{ collection: 'artworks', text: '{"options":{}}', type: 'collection' }],
    });
  const { directory } = await anew.select(PLAN, from());
  const path = join(directory, 'gravity', 'artworks.metadata.json');
  assert.ok((await found(from)).selection !== undefined);
  writeFileSync(path, '{"options":{"validator":{"a":1}}}');
  assert.match((await found(from)).why ?? '', 'does not hold what was selected');
  rmSync(path);
  assert.match((await found(from)).why ?? '', 'does not hold what was selected');
  spawnSync('mkfifo', ['-m', '600', path]);
  assert.match((await found(from)).why ?? '', 'does not hold what was selected', 'a pipe is not waited for');
  rmSync(path);
  writeFileSync(path, '{"options":{}}');
  truncateSync(path, 3e9);
  assert.match((await found(from)).why ?? '', 'does not hold what was selected');
  rmSync(path);
  symlinkSync('/dev/zero', path);
  assert.match((await refusal(found(from))).message, 'is a link');
});

const isRoot = process.geteuid?.() === 0;
const NOBODY = 65_534;

/** Folders and files that decide about a selection, from the work directory down. */
const PARTS: readonly [name: string, at: (selection: Kept) => string][] = [
  ['the work directory', () => anew.workDirectory],
  ['its folder of selections', ({ directory }) => dirname(directory)],
  ['the selection', ({ directory }) => directory],
  ['the manifest', ({ path }) => path],
  ['the folder of documents', ({ directory, manifest }) => join(directory, manifest.database)],
  ['a file of documents', ({ directory }) => join(directory, 'gravity', 'artworks.bson')],
];

for (const [name, at] of PARTS) {
  test(`${name} that others may write to is refused, until they may not`, async () => {
    const selection = await kept();
    const path = at(selection);
    for (const bits of [0o020, 0o002, 0o022]) {
      chmodSync(path, 0o755 | bits);
      const error = await refusal(found());
      assert.is(error.exitCode, 20);
      assert.match(error.message, `others than you may write to ${path}`);
      const remedy = /: (chmod -R go-w \S+)\. /.exec(error.hint ?? '')?.[1] ?? '';
      assert.is(spawnSync('sh', ['-c', remedy]).status, 0, error.hint);
      assert.ok((await found()).selection !== undefined, 'the remedy leads out');
    }
    chmodSync(path, 0o777);
    assert.is((await refusal(keptSelection(anew.workDirectory, selection.manifest.digest))).exitCode, 20);
    if (name.includes('director') || name.includes('folder of sel'))
      assert.is((await refusal(anew.select(PLAN, backup()))).exitCode, 20, 'nothing is put there either');
  });

  test(`a link in the place of ${name} is refused, but for the work directory's own`, async () => {
    const selection = await kept();
    const path = at(selection);
    const moved = `${anew.workDirectory}-moved`;
    renameSync(path, moved);
    symlinkSync(moved, path);
    if (name === 'the work directory') assert.ok((await found()).selection !== undefined);
    else assert.match((await refusal(found())).message, `${path} is a link`);
    rmSync(path);
    renameSync(moved, path);
  });

  const foreign = `${name} of another user is refused`;
  if (!isRoot) test.skip(foreign, 'this user may not give files away');
  else
    test(foreign, async () => {
      const path = at(await kept());
      chownSync(path, NOBODY, NOBODY);
      const error = await refusal(found());
      assert.is(error.exitCode, 20);
      assert.match(error.message, `${path} belongs to another user (uid ${NOBODY}, this is 0)`);
      assert.match(error.hint ?? '', 'workDirectory');
      chownSync(path, 0, 0);
    });
}

test('a folder where everybody may make folders is refused with the name of one inside it', async () => {
  await kept();
  chmodSync(anew.workDirectory, 0o1777);
  const error = await refusal(found());
  assert.is(error.exitCode, 20);
  assert.match(error.hint ?? '', `workDirectory: ${join(anew.workDirectory, 'restore-plan')}`);
});

const READER = {
  name: 'staging',
  database: 'gravity',
  identity: { id: 'rs-1' },
} as unknown as TargetReader;

test('a memory of any shape is right or as if there were none', async () => {
  const { manifest } = await kept();
  const memory = TargetMemory.empty(manifest, 7);
  memory.remember('artworks', 1, 'absent');
  await memory.save(anew.workDirectory, READER);
  const path = join(anew.workDirectory, 'seen', `${manifest.digest.slice(0, 16)}-staging`);
  const bytes = readFileSync(path);
  const end = bytes.indexOf('\n');
  const header = bytes.toString('utf8', 0, end);
  const states = bytes.subarray(end);
  const load = (): Promise<TargetMemory | undefined> =>
    TargetMemory.load(anew.workDirectory, manifest as SelectionManifest, READER);
  assert.is((await load())?.changeOf('artworks', 1, 'same'), 'appeared');
  const property = fc.asyncProperty(
    fc.oneof(
      fc.nat(bytes.length).map((length) => bytes.subarray(0, length)),
      fc.uint8Array({ maxLength: 300 }),
      fc.json().map((text) => Buffer.concat([Buffer.from(text), states])),
      fc
        .tuple(fc.constantFrom(...Object.keys(JSON.parse(header))), ANYTHING)
        .map(([key, value]) =>
          Buffer.concat([Buffer.from(JSON.stringify({ ...JSON.parse(header), [key]: value })), states]),
        ),
    ),
    async (other) => {
      writeFileSync(path, other);
      const seenAt = (await load())?.seenAt ?? 0;
      assert.ok(!Number.isNaN(new Date(seenAt).getTime()));
    },
  );
  await fc.assert(property, { numRuns: 300, seed: 7 });
  chmodSync(path, 0o666);
  assert.is((await refusal(load())).exitCode, 20);
});

test('a local record of any shape is right or refused by name', async () => {
  const key = { plan: 'p', selection: 's'.repeat(64) };
  const place = { workDirectory: anew.workDirectory, target: 'staging', key, isMigrated: true } as const;
  const identity = READER.identity;
  const find = () => findLocalRecord(place, { database: 'gravity', identity });
  mkdirSync(join(anew.workDirectory, 'ledger'), { recursive: true, mode: 0o700 });
  assert.is(await find(), undefined);
  const path = join(anew.workDirectory, 'ledger', `staging-${key.selection}.json`);
  const batches = [{ batch: 1, skipped: [0, 2], doubtful: [1] }];
  const progress = { status: 'incomplete' };
  const record = {
    format: 1,
    target: 'staging',
    database: 'gravity',
    server: 'rs-1',
    digest: key.selection,
    batches,
    progress,
  };
  const text = JSON.stringify(record);
  writeFileSync(path, text);
  assert.equal((await find())?.record.batches, batches);
  const places = placesIn(record);
  const property = fc.asyncProperty(
    fc.oneof(
      fc.nat(text.length).map((length) => text.slice(0, length)),
      fc.json(),
      fc.string(),
      fc.tuple(fc.constantFrom(...places), ANYTHING).map(([at, value]) =>
        withChange(text, at, (parent: Record<string, unknown>, name) => {
          parent[name] = value;
        }),
      ),
    ),
    async (other) => {
      writeFileSync(path, other);
      const given = await find().catch((error: unknown) => {
        assert.instance(error, RestorePlanError);
        assert.match((error as RestorePlanError).message, 'damaged');
      });
      for (const { batch, skipped } of given?.record.batches ?? []) {
        assert.ok([batch, ...skipped].every((each) => Number.isSafeInteger(each)));
      }
    },
  );
  await fc.assert(property, { numRuns: 400, seed: 8 });
  chmodSync(path, 0o622);
  assert.is((await refusal(find())).exitCode, 20);
});

test.run();

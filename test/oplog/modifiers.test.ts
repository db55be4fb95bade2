/**
 * `$v: 1` updates, which servers up to 4.4 wrote: no such server can be had here. Their entries are written by hand, and random ones are held
 * against what a server of today does with the same `$set` and `$unset` from a user.
 */
import { type Document, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { elements, findElement } from '../../src/bson/elements.ts';
import type { JsonValue } from '../../src/bson/extended-json.ts';
import { showDocument } from '../../src/bson/show.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { CannotRoll, OplogFault } from '../../src/oplog/faults.ts';
import { DocumentWriter } from '../../src/oplog/updates/document-writer.ts';
import { applyUpdate } from '../../src/oplog/updates/update.ts';
import { randomObject, randomScalar, withoutRepeats } from '../differential/random-values.ts';
import { command, firstBatch, RawConnection } from '../differential/raw-connection.ts';
import { test } from '../harness.ts';
import { type Standalone, startStandalone } from '../lab/mongod.ts';
import { type Random, seededRandom } from '../lab/random.ts';

let server: Standalone;
let connection: RawConnection;
test.before(async () => {
  server = await startStandalone();
  connection = await RawConnection.open(server.port);
});
test.after(async () => {
  connection.close();
  await server.stop();
});

function apply(old: Buffer, update: Buffer): Buffer {
  const writer = new DocumentWriter();
  applyUpdate(old, 0, update, 0, writer);
  return Buffer.from(writer.bytes.subarray(0, writer.bytes.readInt32LE(0)));
}

const bytesOf = (document: Document): Buffer => Buffer.from(serialize(document));

const RULES: readonly [string, Document, Document, Document][] = [
  ['a set changes in place', { _id: 1, a: 1, b: 2 }, { $v: 1, $set: { a: 3 } }, { _id: 1, a: 3, b: 2 }],
  ['without $v, as very old servers wrote', { _id: 1, a: 1 }, { $set: { a: 3 } }, { _id: 1, a: 3 }],
  [
    'missing fields come in the order of their names',
    { _id: 1 },
    { $v: 1, $set: { z: 1, b: 2, a: 3 } },
    { _id: 1, a: 3, b: 2, z: 1 },
  ],
  [
    'parents are made as objects',
    { _id: 1 },
    { $v: 1, $set: { 'a.0.b': 1 } },
    { _id: 1, a: { '0': { b: 1 } } },
  ],
  [
    'an array is filled with null',
    { _id: 1, a: [1] },
    { $v: 1, $set: { 'a.3': 1 } },
    { _id: 1, a: [1, null, null, 1] },
  ],
  [
    'a field is removed',
    { _id: 1, a: 1, b: { c: 1, d: 2 } },
    { $v: 1, $unset: { a: true, 'b.c': true } },
    { _id: 1, b: { d: 2 } },
  ],
  [
    'an array position that is removed is null',
    { _id: 1, a: [1, 2] },
    { $v: 1, $unset: { 'a.0': true } },
    { _id: 1, a: [null, 2] },
  ],
  [
    'removing what is not there does nothing',
    { _id: 1, a: [1] },
    { $v: 1, $unset: { 'a.5': true, 'x.y': true, z: true } },
    { _id: 1, a: [1] },
  ],
  [
    'a path through a scalar is passed over, the rest applies',
    { _id: 1, a: 5 },
    { $v: 1, $set: { 'a.b': 1, c: 2 } },
    { _id: 1, a: 5, c: 2 },
  ],
  [
    'a name under an array is passed over',
    { _id: 1, a: [1] },
    { $v: 1, $set: { 'a.b': 1, c: 2 } },
    { _id: 1, a: [1], c: 2 },
  ],
  [
    'set and unset together',
    { _id: 1, a: { b: 1, c: 2 } },
    { $v: 1, $set: { 'a.b': 5 }, $unset: { 'a.c': true } },
    { _id: 1, a: { b: 5 } },
  ],
];

for (const [about, document, update, becomes] of RULES) {
  test(about, () => {
    const got = apply(bytesOf(document), bytesOf(update));
    assert.is(showDocument(got), showDocument(bytesOf(becomes)));
  });
}

test('what is not certain is refused', () => {
  const refused = (
    document: Document | Buffer,
    update: Document,
    kind: typeof CannotRoll | typeof OplogFault,
  ): void =>
    assert.throws(
      () => apply(Buffer.isBuffer(document) ? document : bytesOf(document), bytesOf(update)),
      (fault: unknown) => fault instanceof kind,
    );
  const twice = Buffer.from(
    bytesOf({ _id: 1, a: 1, x: 2 }).toString('latin1').replace('x\0', 'a\0'),
    'latin1',
  );
  refused(twice, { $v: 1, $set: { a: 1 } }, CannotRoll);
  refused({ _id: 1 }, { $v: 1, $set: { '9': 1, '10': 1 } }, CannotRoll);
  refused({ _id: 1, a: [] }, { $v: 1, $set: { 'a.01': 1 } }, CannotRoll);
  refused({ _id: 1, a: [] }, { $v: 1, $set: { 'a.9999999': 1 } }, CannotRoll);
  refused({ _id: 1 }, { $v: 1, $inc: { a: 1 } }, OplogFault);
  refused({ _id: 1 }, { $v: 1, $set: { a: 1, 'a.b': 1 } }, OplogFault);
});

const NAMES = ['a', 'b', 'c', '0', '1', 'x', 'z', '3'] as const;

function randomPath(random: Random): string {
  const parts = [random.pick(NAMES)];
  while (random.chance(0.5) && parts.length < 4) parts.push(random.pick(NAMES));
  return parts.join('.');
}

function randomModifiers(random: Random): JsonValue {
  const fields = (most: number, value: () => JsonValue): JsonValue =>
    new Map(Array.from({ length: random.integer(1, most) }, () => [randomPath(random), value()]));
  const set = ['$set', fields(4, () => randomScalar(random))] as const;
  const unset = ['$unset', fields(3, () => '')] as const;
  return new Map(random.pick([[set], [unset], [set, unset]]));
}

const COUNT = 4000;

test(`${COUNT} random updates: where the server takes them, the bytes are the same`, async () => {
  const random = seededRandom(5);
  const documents = Array.from({ length: COUNT }, (_, id) =>
    writeExtendedJson(
      new Map<string, unknown>([
        ['_id', id],
        ...(withoutRepeats(randomObject(random, 3)) as Map<string, JsonValue>),
      ]),
    ),
  );
  const updates = documents.map(() => writeExtendedJson(randomModifiers(random), { dialect: 'query' }));
  let compared = 0;
  let uncertain = 0;
  for (let from = 0; from < COUNT; from += 1000) {
    const some = documents.slice(from, from + 1000);
    await connection.send(
      command({ insert: 'm', documents: some, bypassEmptyTsReplacement: true, $db: 'modifiers' }),
    );
    const statements = some.map((_, i) =>
      command({ q: command({ _id: from + i }), u: updates[from + i] as Buffer }),
    );
    const reply = await connection.send(
      command({
        update: 'm',
        updates: statements,
        ordered: false,
        bypassEmptyTsReplacement: true,
        $db: 'modifiers',
      }),
    );
    const refused = refusedIn(reply);
    const filter = command({ _id: command({ $gte: from }) });
    const found = firstBatch(
      await connection.send(
        command({ find: 'm', filter, sort: command({ _id: 1 }), batchSize: 1000, $db: 'modifiers' }),
      ),
    );
    for (const [i, server] of found.entries()) {
      if (refused.has(i)) continue;
      try {
        const ours = apply(some[i] as Buffer, updates[from + i] as Buffer);
        assert.is(showDocument(ours), showDocument(server), showDocument(updates[from + i] as Buffer));
        assert.ok(ours.equals(server));
        compared++;
      } catch (fault) {
        if (!(fault instanceof CannotRoll)) throw fault;
        uncertain++;
      }
    }
  }
  assert.ok(compared > 0.4 * COUNT, `${compared} compared, ${uncertain} not certain`);
  assert.ok(uncertain < 0.1 * COUNT, `${uncertain} not certain`);
});

function refusedIn(reply: Buffer): ReadonlySet<number> {
  const errors = findElement(reply, 0, Buffer.from('writeErrors'));
  if (errors === undefined) return new Set();
  return new Set(
    [...elements(reply, errors.start)].map((each) => {
      const index = findElement(reply, each.start, Buffer.from('index'));
      return reply.readInt32LE(index?.start ?? 0);
    }),
  );
}

test.run();

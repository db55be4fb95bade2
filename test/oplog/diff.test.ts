/** What a `$v: 2` diff makes of a document: each rule of the server, on bytes. */
import { Decimal128, type Document, Double, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { showDocument } from '../../src/bson/show.ts';
import { CannotRoll, OplogFault } from '../../src/oplog/faults.ts';
import { DocumentWriter } from '../../src/oplog/updates/document-writer.ts';
import { applyUpdate, updateKind } from '../../src/oplog/updates/update.ts';
import { command } from '../differential/raw-connection.ts';
import { test } from '../harness.ts';

const bytesOf = (document: Document | Buffer): Buffer =>
  Buffer.isBuffer(document) ? document : Buffer.from(serialize(document));

function apply(document: Document | Buffer, update: Document | Buffer): Buffer {
  const writer = new DocumentWriter();
  const old = bytesOf(document);
  applyUpdate(old, 0, bytesOf(update), 0, writer);
  return Buffer.from(writer.bytes.subarray(0, writer.bytes.readInt32LE(0)));
}

const diff = (...sections: [string, unknown][]): Document => ({ $v: 2, diff: new Map(sections) });
const changes = (document: Document, update: Document, becomes: Document): void => {
  assert.is(showDocument(apply(document, update)), showDocument(bytesOf(becomes)));
  assert.ok(apply(document, update).equals(bytesOf(becomes)), 'byte for byte');
};

test('an example that a server wrote: changed fields stay, inserted ones come last', () => {
  const written = Buffer.from(
    '540000001024760002000000036469666600410000000375002a00000010610002000000037a001b000000046b001300000010300005000000103100080000000000000369000c000000106e0009000000000000',
    'hex',
  );
  changes({ _id: 1, a: 1, z: { k: 1 } }, written, { _id: 1, a: 2, z: { k: [5, 8] }, n: 9 });
});

test('another: a field is removed, and an array of an inner document filled with null', () => {
  const written = Buffer.from(
    '4a00000010247600020000000364696666003700000003640009000000086e00000003737a002200000003736b001900000008610001037533000c000000107700010000000000000000',
    'hex',
  );
  changes({ _id: 1, a: 2, z: { k: [5, 8] }, n: 9 }, written, {
    _id: 1,
    a: 2,
    z: { k: [5, 8, null, { w: 1 }] },
  });
});

const RULES: readonly [string, Document, Document, Document][] = [
  [
    'a field that is not named is copied',
    { _id: 1, a: 1, b: 2 },
    diff(['u', { a: 3 }]),
    { _id: 1, a: 3, b: 2 },
  ],
  [
    'u changes type and value in place',
    { _id: 1, a: 1, b: 2 },
    diff(['u', { a: 'x' }]),
    { _id: 1, a: 'x', b: 2 },
  ],
  ['u of a missing field appends it', { _id: 1, b: 2 }, diff(['u', { a: 3 }]), { _id: 1, b: 2, a: 3 }],
  [
    'u before i, each in the order of the diff',
    { _id: 1 },
    diff(['u', { z: 1, a: 2 }], ['i', { y: 3, b: 4 }]),
    { _id: 1, z: 1, a: 2, y: 3, b: 4 },
  ],
  [
    'i of a field that is there moves it to the end',
    { _id: 1, a: 1, b: 2 },
    diff(['i', { a: 3 }]),
    { _id: 1, b: 2, a: 3 },
  ],
  ['d removes', { _id: 1, a: 1, b: 2 }, diff(['d', { a: false }]), { _id: 1, b: 2 }],
  ['d of a missing field does nothing', { _id: 1, b: 2 }, diff(['d', { a: false }]), { _id: 1, b: 2 }],
  [
    'all four together',
    { _id: 1, a: 1, b: 2, c: { x: 1 } },
    diff(['d', { a: false }], ['u', { b: 5 }], ['i', { n: 6 }], ['sc', { u: { x: 2 } }]),
    { _id: 1, b: 5, c: { x: 2 }, n: 6 },
  ],
  [
    'an inner diff',
    { _id: 1, a: { b: { c: 1, d: 2 } } },
    diff(['sa', { sb: { u: { c: 3 } } }]),
    { _id: 1, a: { b: { c: 3, d: 2 } } },
  ],
  ['an inner diff of a missing field does nothing', { _id: 1 }, diff(['sa', { u: { c: 3 } }]), { _id: 1 }],
  [
    'an inner diff of a scalar leaves null',
    { _id: 1, a: 5, b: 6 },
    diff(['sa', { u: { c: 3 } }]),
    { _id: 1, a: null, b: 6 },
  ],
  [
    'an inner diff of an array leaves null',
    { _id: 1, a: [5] },
    diff(['sa', { u: { c: 3 } }]),
    { _id: 1, a: null },
  ],
  [
    'an array diff of an object leaves null',
    { _id: 1, a: { '0': 1 } },
    diff(['sa', { a: true, u0: 3 }]),
    { _id: 1, a: null },
  ],
  ['a field named s', { _id: 1, s: { x: 1 } }, diff(['ss', { u: { x: 2 } }]), { _id: 1, s: { x: 2 } }],
  [
    'a field with an empty name',
    { _id: 1, '': { x: 1 } },
    diff(['s', { u: { x: 2 } }]),
    { _id: 1, '': { x: 2 } },
  ],
  [
    'a name with dots and a dollar',
    { _id: 1, '$a.b': { x: 1 } },
    diff(['s$a.b', { u: { x: 2 } }]),
    { _id: 1, '$a.b': { x: 2 } },
  ],
  [
    'fields that are named as sections',
    { _id: 1, d: 1, u: 2, i: 3, a: 4 },
    diff(['d', { d: false }], ['u', { u: 5 }], ['i', { i: 6 }]),
    { _id: 1, u: 5, a: 4, i: 6 },
  ],
  [
    'an array position',
    { _id: 1, a: [1, 2, 3] },
    diff(['sa', { a: true, u1: 'x' }]),
    { _id: 1, a: [1, 'x', 3] },
  ],
  [
    'an array position behind the end fills with null',
    { _id: 1, a: [1] },
    diff(['sa', { a: true, u3: 1 }]),
    { _id: 1, a: [1, null, null, 1] },
  ],
  [
    'an inner diff behind the end of an array leaves null',
    { _id: 1, a: [1] },
    diff(['sa', { a: true, s2: { u: { x: 1 } } }]),
    { _id: 1, a: [1, null, null] },
  ],
  ['a shorter array', { _id: 1, a: [1, 2, 3] }, diff(['sa', { a: true, l: 2 }]), { _id: 1, a: [1, 2] }],
  ['an empty array', { _id: 1, a: [1, 2, 3] }, diff(['sa', { a: true, l: 0 }]), { _id: 1, a: [] }],
  ['a longer array', { _id: 1, a: [1] }, diff(['sa', { a: true, l: 3 }]), { _id: 1, a: [1, null, null] }],
  [
    'a shorter array with a change',
    { _id: 1, a: [1, 2, 3] },
    diff(['sa', { a: true, l: 2, u0: 9 }]),
    { _id: 1, a: [9, 2] },
  ],
  [
    'a document in an array',
    { _id: 1, a: [{ x: 1 }, { x: 2 }] },
    diff(['sa', { a: true, s1: { u: { x: 3 } } }]),
    { _id: 1, a: [{ x: 1 }, { x: 3 }] },
  ],
  [
    'an array in an array',
    { _id: 1, a: [[1, 2]] },
    diff(['sa', { a: true, s0: { a: true, u1: 5 } }]),
    { _id: 1, a: [[1, 5]] },
  ],
  [
    'a scalar in an array under an inner diff',
    { _id: 1, a: [1, 2] },
    diff(['sa', { a: true, s1: { u: { x: 3 } } }]),
    { _id: 1, a: [1, null] },
  ],
  [
    'eleven positions',
    { _id: 1, a: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] },
    diff(['sa', { a: true, u9: 'x', u10: 'y' }]),
    { _id: 1, a: [0, 1, 2, 3, 4, 5, 6, 7, 8, 'x', 'y', 11] },
  ],
  [
    'values keep their form',
    { _id: 1, a: 1, d: new Double(-0) },
    diff(['u', { a: Decimal128.fromString('1.50') }]),
    { _id: 1, a: Decimal128.fromString('1.50'), d: new Double(-0) },
  ],
  ['nothing changes', { _id: 1, a: 1 }, diff(), { _id: 1, a: 1 }],
];

for (const [about, document, update, becomes] of RULES) test(about, () => changes(document, update, becomes));

test('a diff of many fields finds each of them', () => {
  const names = Array.from({ length: 200 }, (_, i) => `f${i}`);
  const fields = (value: number): Document => Object.fromEntries(names.map((name) => [name, value]));
  changes({ _id: 1, ...fields(1), rest: 1 }, diff(['u', fields(2)]), { _id: 1, ...fields(2), rest: 1 });
});

const REFUSED: readonly [string, Document, RegExp][] = [
  ['an unknown section', diff(['x', { a: 1 }]), /section "x"/],
  ['sections in another order', diff(['i', { a: 1 }], ['u', { b: 1 }]), /section "u"/],
  ['a section twice', diff(['u', { a: 1 }], ['u', { b: 1 }]), /section "u"/],
  ['a section behind inner diffs', diff(['sa', {}], ['u', { b: 1 }]), /section "u"/],
  ['binary diffs of time series', diff(['b', { a: 1 }]), /section "b"/],
  ['a section that is no document', diff(['u', 5]), /section "u"/],
  ['an array diff at the top', diff(['a', true], ['u0', 1]), /as that of an array/],
  ['array positions that fall', diff(['sa', { a: true, u1: 1, u0: 1 }]), /section "u0"/],
  ['array positions that are none', diff(['sa', { a: true, ux: 1 }]), /section "ux"/],
  ['a position behind the new end', diff(['sa', { a: true, l: 1, u3: 1 }]), /section "u3"/],
  ['a new length after positions', diff(['sa', { a: true, u0: 1, l: 1 }]), /section "l"/],
  ['a negative length', diff(['sa', { a: true, l: -1 }]), /section "l"/],
];

for (const [about, update, message] of REFUSED) {
  test(`refused by name: ${about}`, () => {
    // A Map cannot hold a key twice.
    const raw =
      about === 'a section twice'
        ? Buffer.from(
            bytesOf(diff(['u', { a: 1 }], ['v', { b: 1 }]))
              .toString('latin1')
              .replace('\x03v\0', '\x03u\0'),
            'latin1',
          )
        : update;
    assert.throws(
      () => apply({ _id: 1, a: [1, 2] }, raw),
      (fault: unknown) => fault instanceof OplogFault && message.test(fault.message),
    );
  });
}

const twice = Buffer.from(
  bytesOf({ _id: 1, a: 1, x: 2, c: 3 }).toString('latin1').replace('x\0', 'a\0'),
  'latin1',
);

for (const section of ['u', 'i', 'd'] as const) {
  test(`a name that stands twice in the document cannot be followed by "${section}"`, () => {
    assert.throws(
      () => apply(twice, diff([section, { a: 5 }])),
      (fault: unknown) => fault instanceof CannotRoll && /two fields of the name "a"/.test(fault.message),
    );
  });
}

test('nor by an inner diff; other fields of such a document can', () => {
  assert.throws(
    () => apply(twice, diff(['sa', { u: { x: 1 } }])),
    (fault: unknown) => fault instanceof CannotRoll,
  );
  assert.is(
    showDocument(apply(twice, diff(['u', { c: 4 }]))),
    showDocument(twice).replace('"c":{"$numberInt":"3"}', '"c":{"$numberInt":"4"}'),
  );
});

test('an array whose keys are not 0, 1, 2 … cannot be followed by an array diff; changes elsewhere can', () => {
  const array = command({ '0': 1, '5': 2 });
  const document = command({ _id: 1, a: { type: 4, bytes: array, start: 0, end: array.length }, b: 1 });
  assert.throws(
    () => apply(document, diff(['sa', { a: true, u0: 5 }])),
    (fault: unknown) => fault instanceof CannotRoll && /keys are not 0, 1, 2/.test(fault.message),
  );
  const elsewhere = apply(document, diff(['u', { b: 2 }]));
  assert.ok(elsewhere.includes(array));
});

test('what becomes larger than a document may be is refused', () => {
  assert.throws(
    () => apply({ _id: 1, a: [1] }, diff(['sa', { a: true, u99999999: 5 }])),
    (fault: unknown) => fault instanceof CannotRoll && /larger than a document may be/.test(fault.message),
  );
});

test('the kind of an update goes by _id first, then by $v', () => {
  const kind = (update: Document): string => updateKind(bytesOf(update), 0);
  assert.is(kind({ _id: 1, $v: 2, diff: {} }), 'whole', 'a document may have a field $v');
  assert.is(kind({ a: 1, _id: 1 }), 'whole');
  assert.is(kind({ $v: 2, diff: {} }), 'diff');
  assert.is(kind({ $v: 1, $set: { a: 1 } }), 'modifiers');
  assert.is(kind({ $set: { a: 1 } }), 'modifiers');
  assert.throws(() => kind({ $v: 3, diff: {} }), /of a kind \(\$v\) that is not known/);
  assert.throws(() => kind({ $v: 2, delta: {} }), /of a kind \(\$v\)/);
});

test.run();

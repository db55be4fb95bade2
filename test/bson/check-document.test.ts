import * as assert from 'uvu/assert';
import { BsonFault } from '../../src/bson/elements.ts';
import { parseExtendedJson } from '../../src/bson/extended-json.ts';
import { checkDocument } from '../../src/bson/storable.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { command, failureOf, firstBatch, RawConnection } from '../differential/raw-connection.ts';
import { test } from '../harness.ts';
import { type Standalone, startStandalone } from '../lab/mongod.ts';
import { CORPUS_DECODE_ERRORS } from './corpus-decode-errors.ts';

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

test('all 75 decode errors of the corpus are here', () => {
  assert.is(CORPUS_DECODE_ERRORS.length, 75);
});

for (const { about, hex, server: expected } of CORPUS_DECODE_ERRORS) {
  const bytes = Buffer.from(hex, 'hex');
  test(`corpus, ${about}: ${expected === 'refuses' ? 'refused' : 'passed through'}, as by the server`, async () => {
    const collection = about.replace(/\W+/g, '_');
    const reply = await connection.send(command({ insert: collection, documents: [bytes], $db: 'corpus' }));
    assert.is(failureOf(reply) === undefined ? 'accepts' : 'refuses', expected);
    if (expected === 'accepts') {
      assert.is(checkDocument(bytes), bytes.length);
      const [stored] = firstBatch(
        await connection.send(command({ find: collection, projection: command({ _id: 0 }), $db: 'corpus' })),
      );
      assert.ok(stored?.equals(bytes), 'the server gives back the bytes it was given');
    } else {
      assert.ok(isRefused(bytes), 'checkDocument refuses it, or sees that it does not fill its bytes');
    }
  });
}

function isRefused(bytes: Buffer): boolean {
  try {
    return checkDocument(bytes) !== bytes.length;
  } catch (fault) {
    assert.instance(fault, BsonFault);
    assert.ok((fault as BsonFault).offset <= bytes.length);
    return true;
  }
}

test('every flipped byte of a document is either refused or leaves a document that the server takes', async () => {
  const document = writeExtendedJson(
    parseExtendedJson(
      `{"_id":1,"s":"ab","o":{"b":true},"a":[1.5,"x",null],"c":{"$code":"f","$scope":{"x":{"$symbol":"y"}}},
        "r":{"$regularExpression":{"pattern":"p","options":"i"}},"n":{"$binary":{"base64":"AQI=","subType":"02"}},
        "p":{"$dbPointer":{"$ref":"d","$id":{"$oid":"57d17993a09a6759d8000d9e"}}},"d":{"$numberDecimal":"1"}}`,
    ),
  );
  assert.is(checkDocument(document), document.length);
  for (let at = 0; at < document.length; at++) {
    const damaged = Buffer.from(document);
    damaged[at] = (damaged[at] as number) ^ 0xff;
    const reply = await connection.send(
      command({ insert: `flip${at}`, documents: [damaged], $db: 'corpus' }),
    );
    assert.is(isRefused(damaged), failureOf(reply) !== undefined, `byte ${at}: ${failureOf(reply)}`);
  }
});

test('nesting beyond any server is refused, not recursed into', () => {
  let document = Buffer.from([5, 0, 0, 0, 0]);
  for (let level = 0; level < 3000; level++) {
    const outer = Buffer.alloc(document.length + 8);
    outer.writeInt32LE(outer.length, 0);
    outer[4] = 3;
    outer[5] = 0x61;
    document.copy(outer, 7);
    document = outer;
  }
  assert.throws(() => checkDocument(document), /nested deeper/);
});

test.run();

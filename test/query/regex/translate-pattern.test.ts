/**
 * Patterns in the server's dialect: whatever the translation does not refuse matches the same strings as the server, and whatever
 * the server calls wrong is refused.
 */
import * as assert from 'uvu/assert';
import { parseExtendedJson } from '../../../src/bson/extended-json.ts';
import { writeExtendedJson } from '../../../src/bson/write-extended-json.ts';
import { otherCases } from '../../../src/query/regex/character-set.ts';
import { RawConnection } from '../../differential/raw-connection.ts';
import {
  askEngine,
  askServer,
  queryBytes,
  type StoredCollection,
  storeDocuments,
  verdict,
} from '../../differential/two-answers.ts';
import { test } from '../../harness.ts';
import { type Standalone, startStandalone } from '../../lab/mongod.ts';

// biome-ignore format: a list to be read across
const SUBJECTS = ['', 'abc', 'ABC', 'a\n', 'a\nb', '\n', '\na', 'a\r\nb', 'a\u2028b', 'a\u0085b', 'k', 'K', '\u212a', 's', '\u017f', 'ß', 'ẞ', 'é', 'É', 'ı', 'İ', 'i', 'I', '\u00a0', ' ', '\t', '\x0b', '\ufeff', 'a b', 'a_b', 'a-b', '5', '٣', '😀', 'x😀y', 'a{,3}', 'a{2', 'aa', 'aaa', 'a.b', ']', 'a]', '-', '\\', 'σ', 'ς', 'Σ', '\x07', '\x1b', 'ab\u0000c', 'foo bar', 'Foo', '^a', 'a$', '#', 'a#b', 'µ','μ', 'Ω','ω', '\u2126', 'ǆ', 'ǅ', 'Ǆ', 'straße', 'STRASSE', '\u0345', 'ι', 'ͅ', 'a+b', '(a)', 'aXb', '\x00', '\x7f', 'ÿ', 'Ÿ', 'å', 'Å', '\u212b', 'Ⅷ','ⅷ','ⓐ','Ⓐ','𐐀','𐐨','Ꭰ','ꭰ','ა','Ა'];

// biome-ignore format: a list to be read across
const PATTERNS = ['', 'a', '^a', 'a$', '^a$', '^$', '$', '^', '\\Aa', 'a\\Z', 'a\\z', '.', '^.$', '^.*$', 'a.b', '\\s', '\\S', '\\d', '\\D', '\\w', '\\W', '\\bb', '\\Bb', '\\b', '\\B', '^\\w+$', '^\\W+$', '\\h', '\\H', '\\v', '\\V', '\\N', '[\\s]', '[^\\s]', '[\\d\\w]', '[^\\w]', '[\\w-]', '[a-]', '[]a]', '[^]a]', '[a\\]]', '[[:alpha:]]', '[^[:alpha:]]', '[[:^alpha:]]', '[[:digit:]x]', '[[:space:]]', '[[:punct:]]', '[[:print:]]', '[[:graph:]]', '[[:cntrl:]]','[[:ascii:]]','[[:blank:]]','[[:xdigit:]]','[[:word:]]','[[:upper:]]','[[:lower:]]', '[:alpha:]', '[[:foo:]]', '[a-z]', '[A-Z]', '[^a-z]', '[k]', 'k', 's', '\u212a', '\u017f', 'ß', 'ẞ', 'i', 'I', 'ı', 'İ', 'é', 'σ', 'ς', 'µ', 'ω', 'ǆ', 'ι', 'ÿ', 'å','ⅷ','ⓐ','𐐀','Ꭰ','ა', 'a{2}', 'a{2,}', '^a{,3}$', 'a{,3}', 'a{2', '{', 'a{', '}', 'a{x}', 'a{2}{2}', 'a++', 'a*+', '(?>a)', '(a)\\1', '(?i)abc', 'a(?i)bc', '(?i:a)bc', '(?-i)a', '(?s)a.b', '(?m)^b', '(?x) a b', 'a b', 'a #c', 'a+?', 'a??b', '(a|b)+c', '(?:a|b)c', '(?<n>a)b', '(?P<n>a)b', "(?'n'a)b", '(?<n>a)(?<n>b)', '(?=a)a', '(?!a).', '(?<=a)b', '(?<!a)b', '(?<=a+)b', '(?<=a|bc)b', '(?<=(?:a|bc))b', '\\x61', '\\x{1F600}', '\\x', '\\x{}', '\\x{d800}', '\\o{141}', '\\141', '\\0', '\\012', '\\07', '\\a', '\\e', '\\f', '\\t', '\\n', '\\r', '\\cA', '\\c[', '\\Qa.b\\E', '\\Qa+b', '\\Qa\\E+', '\\E', 'a\\Eb', '\\Q\\E', '\\y', '\\i', '\\_', '\\-', '\\/', '\\ ', '\\é', '\\K', 'a\\Kb', '\\G', '\\Ga', '\\C', '\\X', '\\R', '\\p{L}', '\\p{Lu}', '\\pL', '\\u0061', '\\U', '\\L', '*a', '+', '?', 'a**', '(', ')', '(a', 'a)', '[', '[a', '[z-a]', '\\', '^*', '(?=a)*', '\\b+', '$+', '(?#x)a', '(?#x', '(?', '(?z)', '(*UTF)a', '(*ACCEPT)', '(?R)', '(?1)', '(?|a|b)', '(?(1)a)', '[\\w-z]', '[a-\\d]', '[[:alpha:]-z]', '[\\b]', '[\\B]', '[\\N]', '[\\R]', '[\\x41-\\x43]', '[a-\\x63]', '[\\Qa-c\\E]', '[a\\Q]\\E]', '[\\E]]', '[a-\\Ec]','[^\\n]', '[.]', '[\\.]', '[\\]', '[^]', '[]', '[]]', '[\\h]', '[\\H]','[\\v]','[\\D]','[\\S]','[\\W]','[^\\W]', '[^\\D\\S]', 'x😀y', '[😀]', '^.{1}$', '^.{3}$', '|', 'a|', '|a', '(|a)b', '()', '(?:)', '(?:)*', '(a*)*b', '(?i)', '(?^)a', '(?i-i)a', '(?ims)A.c', '(?J)a', '(?U)a', '(?xx)a', '(?xx)[ ]', '(?xx)[a ]', '(?n)a', '(?-)a','(?:(?i)a|b)c', '((?i)a)(?i)b', '\\N{U+61}', '\\N{3}', '\\8', '\\1', '\\10', '(a)(?-1)', '\\g1', '\\k<n>', 'foo\\ bar', 'a{1,2}?', 'a{2,1}', 'a{65536}', 'a{0}b', '(?<=^)a', '(?<=\\n)b', '(?<=\\b)b', '(?<=x?)b', '(?<=(?=a).)b', '(?<=.)b', '(?<=[ab])b', '(?<=a{2})a', '(?<!^)a', '\\A\\z', '\\Z\\n', '$\\n', '^^a', 'a$$', '[a&&b]', '[a||b]', '[a--b]', '[--a]', '[!--]', '[+--]', '[a-c-e]', '[\\--a]', '[[a]', '[[]', '[a[:digit:]b]', '[[:digit:][:alpha:]]', '[[.a.]]', '[[=a=]]', '[[:alpha:]', '[[:alpha]', '[:', '[[:]', '[[:a]', '\\Q[', '[\\Q', '(?<1a>b)', '(?<>b)', '(?P<n', '(?P>n)', '(?P=n)', '(?<a-b>c)', 'a(?#c)+', 'a(?#)*b', '(?x)a +', '(?x)a + +', '(?x)a #c\nb', '(?x)[ a]', '(?x)\\ a', '(?x)a{2 }', '(?x)( ?:a)', '(?i)[\\w]', '(?i)[^\\w]', '(?i)\\W', '(?i)\\b', '(?i)[\\Wk]', '(?i)[[:lower:]]', '(?i)[[:alpha:]]', '(?i)[^[:alpha:]]', '(?i)[\\dk]', '(?i)[^\\dk]', '(?i)[[:print:]]', '(?i)[\\x{17f}]', '(?i)[^ß]', '(?i)[^k]','(?i)[a-z]', '(?i)[à-ü]', '(?i)[\\x{100}-\\x{200}]', '(?i)[^\\x{100}-\\x{200}]', '\u0085', '[\u0085]', '\\x{85}','(?i)ﬀ', '(?i)ﬅ', '(?i)ﬆ', '[[:<:]]a', 'b[[:>:]]', '[[:<:]]', '[[:<:]]+', '[[:<:]a]', '[a[:>:]]', '[[:alpha1:]]', '[[:a b:]]', '[:é:]', '[[:a=]:]]', '[[:a\\]:]]', '[[:^alpha:][:digit:]]', '[^\\D[:alpha:]]', '[[:digit:]\\D]', 'a'.repeat(16_384), 'a'.repeat(16_385), 'é'.repeat(8_193)];

let server: Standalone;
let connection: RawConnection;
let subjects: StoredCollection;
test.before(async () => {
  server = await startStandalone();
  connection = await RawConnection.open(server.port);
  subjects = await storeDocuments(connection, SUBJECTS.map(textDocument));
});
test.after(async () => {
  connection.close();
  await server.stop();
});

function textDocument(text: string, id: number): Buffer {
  return writeExtendedJson(
    new Map<string, string | number>([
      ['_id', id],
      ['a', text],
    ]),
  );
}

function regexQuery(pattern: string, options: string): Buffer {
  return queryBytes(parseExtendedJson(JSON.stringify({ a: { $regex: pattern, $options: options } })));
}

for (const options of ['', 'i', 'm', 's', 'x', 'u', 'im', 'is', 'imsx']) {
  test(`${PATTERNS.length} patterns with options "${options}" match what the server matches`, async () => {
    let answered = 0;
    for (const pattern of PATTERNS) {
      const query = regexQuery(pattern, options);
      const fromServer = await askServer(connection, subjects, query);
      const fromEngine = askEngine(subjects, query);
      assert.is.not(
        verdict(fromServer, fromEngine),
        'differ',
        `${pattern}\nserver ${text(fromServer)}\nengine ${text(fromEngine)}`,
      );
      if ('ids' in fromEngine) answered++;
    }
    assert.ok(answered > 0.6 * PATTERNS.length, `only ${answered} are supported`);
  });
}

function text(answer: Awaited<ReturnType<typeof askServer>>): string {
  return 'refused' in answer
    ? answer.refused
    : answer.ids.map((id) => JSON.stringify(SUBJECTS[id])).join(' ');
}

test('every letter of Unicode has the other cases that the server knows', async () => {
  const letters = Array.from({ length: 0x1f000 }, (_, code) => code).filter(hasCase);
  assert.ok(letters.length > 2500);
  const documents = letters.map((code) => textDocument(String.fromCodePoint(code), code));
  const collection = await storeDocuments(connection, documents);
  const questions = letters.map((code) => {
    const query = regexQuery(`^\\x{${code.toString(16)}}$`, 'i');
    return { code, answer: askServer(connection, collection, query) };
  });
  for (const { code, answer } of questions) {
    const ids = [...new Set([code, ...otherCases(code, code)])].sort((a, b) => a - b);
    assert.equal(await answer, { ids }, `U+${code.toString(16)}`);
  }
});

function hasCase(code: number): boolean {
  if (code >= 0xd800 && code <= 0xdfff) return false;
  return /[\p{CWL}\p{CWU}\p{CWCF}]/u.test(String.fromCodePoint(code));
}

test('where the server gives up and calls that no match, the true answer counts', async () => {
  const letters = textDocument(`${'a'.repeat(20)}!`, 0);
  const stored = await storeDocuments(connection, [letters]);
  // Half a million ways to share out the letters come before the exclamation mark is looked at.
  const query = regexQuery('^(a+)+$|!$', '');
  assert.equal(await askServer(connection, stored, query), { ids: [] });
  assert.equal(askEngine(stored, query), { ids: [0] });
});

test.run();

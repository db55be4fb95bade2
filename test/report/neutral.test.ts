/** L14: what a backup says must not speak to a terminal or a CI runner. */
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { jsonText, neutral, truncated } from '../../src/text/escape.ts';
import { test } from '../harness.ts';

test('control characters, bidirectional marks and invisible characters become visible', () => {
  assert.is(neutral('a\u001b[31mred\u0007'), 'a\\u001b[31mred\\u0007');
  assert.is(neutral('two\r\nlines'), 'two\\u000d\\u000alines');
  assert.is(neutral('user\u202egnp.exe'), 'user\\u202egnp.exe');
  assert.is(neutral('zero\u200bwidth\ufeff'), 'zero\\u200bwidth\\ufeff');
  assert.is(neutral('\u{e0041}tag'), '\\u{e0041}tag');
  assert.is(neutral('half \ud800 pair'), 'half \\ud800 pair');
});

test('workflow commands of CI runners are defused, also after spaces and inside a line', () => {
  assert.is(neutral('::error file=x::pwned'), '\\u003a:error file=x::pwned');
  assert.is(neutral('  ::set-output name=a::b'), '  \\u003a:set-output name=a::b');
  assert.is(neutral('text ##[error]pwned'), 'text \\u0023#[error]pwned');
});

test('ordinary text of any language stays as it is', () => {
  for (const text of ['Ångström – 東京 – 👩‍🎨'.replace('\u200d', ''), 'a::b', 'Grüße', '{"a":1}'])
    assert.is(neutral(text), text);
});

test('nothing neutral is changed again, and nothing dangerous is left', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const once = neutral(text);
      assert.is(neutral(once), once);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must be gone
      assert.not.match(once, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
      assert.not.match(once, /^\s*::/);
    }),
    { seed: 4711 },
  );
});

test('printed JSON holds nothing that a terminal or a runner obeys, and the same values', () => {
  const text = 'a ##[error]b \u009b31m \u202e \u2028 \ufeff \u{e0041} \\##[x 東京';
  for (const indent of [undefined, 2]) {
    const json = jsonText({ [text]: [text] }, indent);
    assert.equal(JSON.parse(json), { [text]: [text] });
    assert.is(neutral(json.replaceAll('\n', ' ')), json.replaceAll('\n', ' '));
    assert.match(json, '東京');
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      assert.is(JSON.parse(jsonText(value)), value);
      assert.is(neutral(jsonText(value)), jsonText(value));
    }),
    { seed: 4711 },
  );
});

test('a cut text is never longer than asked, and never cuts a character in two', () => {
  assert.is(truncated('abcdef', 4), 'abc…');
  assert.is(truncated('ab👩cd', 4), 'ab…');
});

test.run();

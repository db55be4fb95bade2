/** The pure parts of reading a plan: templates, moments, durations, zones, near words, credentials, frames. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { findCredentials, hideCredentials } from '../../src/plan/credentials.ts';
import { planTextOf } from '../../src/plan/extends.ts';
import { positionOf } from '../../src/plan/fault.ts';
import { isTimeZone, nearTimeZone, parseDuration, parseInstant } from '../../src/plan/instant.ts';
import { parseLocationTemplate, type TemplatePart } from '../../src/plan/location-template.ts';
import { nearest } from '../../src/plan/nearest.ts';
import { exactNumber } from '../../src/plan/yaml/conversion.ts';
import { suite } from '../harness.ts';

const test = suite('small parts of a plan');
const SEED = { seed: 4711, numRuns: 500 };

/** `<year>.<month>/*` */
function spelled(parts: readonly TemplatePart[]): string {
  return parts
    .map((part) => {
      if (part.kind === 'literal') return part.text;
      if (part.kind === 'time') return `<${part.field}>`;
      return part.kind === 'any' ? '*' : '<collection>';
    })
    .join('');
}

test('templates', () => {
  const cases: readonly (readonly [template: string, parts: string])[] = [
    ['db.tar', 'db.tar'],
    ['dump/', 'dump/'],
    ['db/{time:yyyy.MM.dd.HH.mm.ss}/db.tar', 'db/<year>.<month>.<day>.<hour>.<minute>.<second>/db.tar'],
    ['{time:yyyyMMdd}/{time:HHmm}.gz', '<year><month><day>/<hour><minute>.gz'],
    ["{time:yyyy-MM-dd'T'HH:mm:ss'Z'}", '<year>-<month>-<day>T<hour>:<minute>:<second>Z'],
    ['{time:yyyy-MM-ddTHH:mm:ssZ}', '<year>-<month>-<day>T<hour>:<minute>:<second>Z'],
    ["{time:yyyy'o''clock'MMdd}", "<year>o'clock<month><day>"],
    ["{time:yyyy'}'MMdd}", '<year>}<month><day>'],
    ['*/db-*.tar', '*/db-*.tar'],
    ['{time:yyyy/MM/dd}/{collection}.jsonl', '<year>/<month>/<day>/<collection>.jsonl'],
  ];
  for (const [template, parts] of cases) {
    const reading = parseLocationTemplate(template);
    assert.is('parts' in reading ? spelled(reading.parts) : reading.fault.message, parts, template);
  }
});

test('a template without braces, stars and quotes is itself', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      if (/[{*]/.test(text)) return;
      const reading = parseLocationTemplate(text);
      assert.ok('parts' in reading && spelled(reading.parts) === text);
    }),
    SEED,
  );
});

test('whatever the template, a fault lies inside it', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('{', '}', 'time:', 'yyyy', 'MM', 'dd', "'", '*', '-', 'x') }),
      (text) => {
        const reading = parseLocationTemplate(text);
        if ('parts' in reading) return;
        const { start, end } = reading.fault;
        assert.ok(0 <= start && start < end && end <= text.length + 1, `${text} ${start} ${end}`);
      },
    ),
    SEED,
  );
});

test('moments', () => {
  const at = (text: string) => {
    const reading = parseInstant(text);
    return 'instant' in reading ? new Date(reading.instant.epochMs).toISOString() : reading.message;
  };
  assert.is(at('2016-09-13T09:00:00-04:00'), '2016-09-13T13:00:00.000Z');
  assert.is(at('2016-09-13 09:00+05:45'), '2016-09-13T03:15:00.000Z');
  assert.is(at('2024-02-29t23:59:59.5z'), '2024-02-29T23:59:59.500Z');
  assert.is(at('2023-02-29T00:00:00Z'), 'there is no such day');
  assert.is(at('2016-09-31T00:00:00Z'), 'there is no such day');
  assert.is(at('2016-00-10T00:00:00Z'), 'there is no such day');
  assert.is(at('1970-01-01T00:00:00Z'), '1970-01-01T00:00:00.000Z');
  assert.is(at('1970-01-01T00:00:00+14:00'), 'it lies before 1970');
  assert.is(at('2016-09-13T24:00:00Z'), 'there is no such time of day');
  assert.is(at('2016-09-13T23:59:60Z'), 'there is no such time of day');
  assert.is(at('2016-09-13T09:00:00+14:30'), '2016-09-12T18:30:00.000Z');
  assert.is(at('2016-09-13T09:00:00+15:00'), 'there is no such offset');
  assert.is(at('2016-09-13T09:00:00'), 'the time has no offset');
  assert.is(at('13.09.2016 09:00'), 'this is no instant');
});

test('every moment that JavaScript writes is read back', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }), (date) => {
      const reading = parseInstant(date.toISOString());
      assert.ok('instant' in reading && reading.instant.epochMs === date.getTime());
    }),
    SEED,
  );
});

test('durations', () => {
  const cases: readonly (readonly [text: string, milliseconds: number | undefined])[] = [
    ['26h', 93_600_000],
    ['1h30m', 5_400_000],
    ['1d2h3m4s', 93_784_000],
    ['0s', 0],
    ['', undefined],
    ['h', undefined],
    ['5', undefined],
    ['5 m', undefined],
    ['1m1h', undefined],
    ['1.5h', undefined],
    ['-1h', undefined],
    ['1H', undefined],
    ['999999999999d', undefined],
  ];
  for (const [text, milliseconds] of cases) assert.is(parseDuration(text), milliseconds, text);
});

test('time zones', () => {
  for (const name of [
    'America/New_York',
    'UTC',
    'Europe/Berlin',
    'Asia/Calcutta',
    'Asia/Kolkata',
    'Etc/GMT+4',
    'US/Eastern',
    'gmt',
    'Eire',
  ]) {
    assert.ok(isTimeZone(name), name);
  }
  for (const name of ['', 'Berlin', '+02:00', '-0400', 'CEST', 'EST', 'bst', 'Europe/Berln', 'GMT+25']) {
    assert.not.ok(isTimeZone(name), name);
  }
  assert.is(nearTimeZone('new york'), 'America/New_York');
  assert.is(nearTimeZone('Europe/Berln'), 'Europe/Berlin');
  assert.is(nearTimeZone('Mars/Phobos'), undefined);
});

test('near words', () => {
  assert.is(nearest('kye', ['key', 'kind']), 'key');
  assert.is(nearest('Quer', ['query', 'name']), 'query');
  assert.is(nearest('colections', ['collection', 'collections']), 'collections');
  assert.is(nearest('x', ['y']), 'y');
  assert.is(nearest('bucket', ['timezone']), undefined);
  assert.is(nearest('anything', []), undefined);
});

test('exact numbers', () => {
  const isExact = (source: string) => {
    const value = /^[-+]?\d+$/.test(source) ? BigInt(source.replace('+', '')) : Number(source);
    return 'exact' in exactNumber(value, source);
  };
  for (const source of ['0', '-7', '9007199254740991', '1.5', '0.1', '1e300', '-0.0', '3.1415926535897931']) {
    assert.ok(isExact(source), source);
  }
  for (const source of [
    '9007199254740992',
    '007',
    '1e400',
    '3.14159265358979312',
    '57d17993e09a6759d8000000',
    '1'.repeat(24),
  ]) {
    assert.not.ok(isExact(source), source);
  }
});

test('credentials that are found, and what is no credential', () => {
  const hidden = (text: string) => hideCredentials(text, findCredentials(text));
  const cases: readonly (readonly [text: string, shown: string])[] = [
    ['mongodb://u:pw@h/db', 'mongodb://u:**@h/db'],
    ['mongodb://u:p@w:x@h/db', 'mongodb://u:*****@h/db'],
    ['mongodb+srv://u:a/b@h', 'mongodb+srv://u:***@h'],
    [`mongodb://u:${'t'.repeat(3000)}/@h`, `mongodb://u:${'*'.repeat(3001)}@h`],
    ['https://u:pw@h', 'https://u:**@h'],
    [`mongodb://\${U}:\${P}@h`, `mongodb://\${U}:\${P}@h`],
    [`mongodb://\${U:?a:b}:\${P:?c@d}@h`, `mongodb://\${U:?a:b}:\${P:?c@d}@h`],
    [`mongodb://u:x\${P}@h`, 'mongodb://u:*****@h'],
    ['mongodb://h:27017,i:27018/db?w=1', 'mongodb://h:27017,i:27018/db?w=1'],
    ['mongodb://u@h/db', 'mongodb://u@h/db'],
    ['s3://bucket/a:b@c', 's3://bucket/a:b@c'],
    ['a@b:c@d', 'a@b:c@d'],
    ['aws_secret_access_key = abc', 'aws_secret_access_key = ***'],
    ['token: abc # x', 'token: *** # x'],
    [`secret: \${KEY}`, `secret: \${KEY}`],
    ['-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END', '-----BEGIN RSA PRIVATE KEY-----\n***\n-----END'],
    ['updated_at: 5', 'updated_at: 5'],
  ];
  for (const [text, shown] of cases) assert.is(hidden(text), shown);
});

test('a password is hidden wherever it stands and whatever it holds', () => {
  const password = fc.string({
    unit: fc.constantFrom(...'abcXYZ019-._~!$&*+;=%/#?[]{}()|^<>'),
    minLength: 1,
    maxLength: 30,
  });
  fc.assert(
    fc.property(password, fc.constantFrom('', '# ', 'uri: ', 'a: [1, '), (secret, before) => {
      if (/\$\{/.test(secret)) return;
      const text = `${before}mongodb://user:${secret}@host.example.net/db`;
      const shown = hideCredentials(text, findCredentials(text));
      assert.is(shown, `${before}mongodb://user:${'*'.repeat(secret.length)}@host.example.net/db`);
    }),
    SEED,
  );
});

test('lines and columns', () => {
  const reading = planTextOf('p', Buffer.from('a\r\nbé😀c\n\nd'));
  assert.ok('text' in reading);
  const at = (offset: number) => Object.values(positionOf(reading.text, offset)).join(':');
  assert.equal([0, 1, 3, 8, 9, 10].map(at), ['1:1', '1:2', '2:1', '2:6', '3:1', '4:1']);
  assert.is(at(11), '4:2');
});

test.run();

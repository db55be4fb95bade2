/** What of a connection string reaches the driver, and what is said about the rest. */
import * as assert from 'uvu/assert';
import { checkConnectionString } from '../../src/mongo/connection-string.ts';
import { Secret } from '../../src/secret.ts';
import { suite } from '../harness.ts';

const test = suite('connection strings');

function check(settings: string): { readonly uri: string; readonly notes: readonly string[] } {
  const { uri, notes } = checkConnectionString('staging', new Secret(`mongodb://db.example/?${settings}`));
  return { uri: uri.reveal(), notes };
}

test('settings that would weaken a restore are taken out, and said', () => {
  assert.equal(check('W=1&journal=true&appName=shop'), {
    uri: 'mongodb://db.example/?appName=shop',
    notes: ['staging: W=1 of the connection string is overridden: every write waits for the majority'],
  });
});

test('a setting that is given several times is spoken of once', () => {
  assert.equal(check('readPreferenceTags=dc:ny&readPreferenceTags='), {
    uri: 'mongodb://db.example/',
    notes: [
      'staging: readPreferenceTags=dc:ny of the connection string is overridden: every read is from the primary',
    ],
  });
});

test('a setting with the name of something every object has is left to the driver', () => {
  for (const name of ['constructor', 'toString', '__proto__']) {
    assert.equal(check(`${name}=1`), { uri: `mongodb://db.example/?${name}=1`, notes: [] });
  }
});

test('where the host is missing, user and password are not taken for one, and not quoted', () => {
  for (const cut of ['u:pass-word', 'u:pass-word/shop', 'db.example,u:pass-word', 'u:pass-word?tls=true']) {
    const checked = (): unknown => checkConnectionString('staging', new Secret(`mongodb://${cut}`));
    assert.throws(checked, /^staging: the connection string is not a valid MongoDB URI$/);
  }
});

test('servers are named as the driver takes them', () => {
  for (const host of [
    '[::1]:27017',
    'db.example:1',
    '%2Ftmp%2Fmongodb-27017.sock',
    'a.example,b.example:2',
  ]) {
    const { uri } = checkConnectionString('staging', new Secret(`mongodb://${host}/`));
    assert.is(uri.reveal(), `mongodb://${host}/`);
  }
});

test.run();

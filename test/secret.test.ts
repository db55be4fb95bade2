/** What is struck out of all output, and what is not. */
import * as assert from 'uvu/assert';
import { redact, Secret } from '../src/secret.ts';
import { suite } from './harness.ts';

const test = suite('secrets');

test('a password is struck out as it is written and as it is meant', () => {
  new Secret('mongodb://reader:p%40ss%2Fword@db.example/');
  assert.is(redact('p%40ss%2Fword, or p@ss/word'), '[redacted], or [redacted]');
});

test('a short password, however it is written, blanks out no ordinary words', () => {
  new Secret('mongodb://reader:abc@db.example/');
  new Secret('mongodb://reader:%61%62%63@db.example/');
  assert.is(redact('abcess'), 'abcess');
});

test.run();

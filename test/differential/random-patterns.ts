/** Seeded regular expressions, right and wrong ones, in the dialect of PCRE2. */
import type { Random } from '../lab/random.ts';

const ATOMS = [
  'a',
  'b',
  'B',
  'c',
  'k',
  's',
  '1',
  ' ',
  '-',
  'é',
  'ß',
  '😀',
  '.',
  '.',
  '\\n',
  '\\.',
  '\\x61',
  '\\x{e9}',
  '\\d',
  '\\w',
  '\\s',
  '\\W',
  '\\S',
  '\\D',
  '\\h',
  '\\v',
  '[ab]',
  '[^a]',
  '[a-c]',
  '[[:alpha:]]',
  '[^\\d]',
  '[\\w-]',
  '[]a]',
  '[k-s]',
  '[É]',
  '\\Qa.b\\E',
  '[\\n\\t]',
  '\\N',
] as const;
const ANCHORS = ['^', '$', '\\b', '\\B', '\\A', '\\z', '\\Z'] as const;
const REPEATS = ['*', '+', '?', '*?', '+?', '??', '{2}', '{1,2}', '{0,}', '{,2}'] as const;
const GROUPS = [
  '(',
  '(?:',
  '(?=',
  '(?!',
  '(?<=',
  '(?<!',
  '(?i:',
  '(?-i:',
  '(?s:',
  '(?m:',
  '(?<n>',
  '(?>',
] as const;

export function randomPattern(random: Random, depth = 2): string {
  const alternatives = Array.from({ length: random.chance(0.2) ? 2 : 1 }, () =>
    randomSequence(random, depth),
  );
  const prefix = random.chance(0.05) ? random.pick(['(?i)', '(?x)', '(?s)', '(?m)']) : '';
  return prefix + alternatives.join('|');
}

function randomSequence(random: Random, depth: number): string {
  const parts = Array.from({ length: random.integer(1, 3) }, () => {
    if (random.chance(0.2)) return random.pick(ANCHORS);
    const isGroup = depth > 0 && random.chance(0.25);
    const atom = isGroup ? `${random.pick(GROUPS)}${randomPattern(random, depth - 1)})` : random.pick(ATOMS);
    return random.chance(0.3) ? atom + random.pick(REPEATS) : atom;
  });
  return parts.join('');
}

export function randomOptions(random: Random): string {
  return [...'imsx'].filter(() => random.chance(0.15)).join('');
}

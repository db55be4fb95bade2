/**
 * Which letters differ only in case, by Unicode's simple case folding, which is what PCRE2 goes by.
 *
 * JavaScript knows folding only as a flag for a whole pattern, and then folds `\w` too; so the flag is never used and the
 * letters are written out. test/query/regex/translate-pattern.test.ts asks a server about every letter there is.
 */

const ASCII: Readonly<Record<number, readonly number[]>> = asciiCases();

/** The letters that differ from one of `first` … `last` only in case. */
export function otherCases(first: number, last: number): number[] {
  if (last < 0x80) return Array.from({ length: last - first + 1 }, (_, i) => ASCII[first + i] ?? []).flat();
  const cases = allCases();
  return Object.keys(cases)
    .map(Number)
    .filter((code) => code >= first && code <= last)
    .flatMap((code) => cases[code] as number[]);
}

function asciiCases(): Record<number, number[]> {
  const cases: Record<number, number[]> = {};
  for (let code = 0x61; code <= 0x7a; code++) {
    cases[code] = [code - 0x20];
    cases[code - 0x20] = [code];
  }
  // The Kelvin sign and the long s.
  for (const [code, other] of [
    [0x6b, 0x212a],
    [0x73, 0x17f],
  ] as const) {
    cases[code]?.push(other);
    cases[code - 0x20]?.push(other);
  }
  return cases;
}

let known: Readonly<Record<number, readonly number[]>> | undefined;

/** Made when a pattern first names a letter beyond ASCII; takes some 20 ms. */
function allCases(): Readonly<Record<number, readonly number[]>> {
  if (known !== undefined) return known;
  const groups = new Map<number, Set<number>>();
  for (let code = 0x41; code < LAST_LETTER; code++) {
    const character = String.fromCodePoint(code);
    for (const other of [character.toLowerCase(), character.toUpperCase()]) {
      if (other !== character && isOneCharacter(other)) join(groups, code, other.codePointAt(0) as number);
    }
  }
  known = Object.fromEntries(
    [...groups].map(([code, group]) => [code, [...group].filter((other) => other !== code)]),
  );
  return known;
}

/** Beyond the last letter that has case (Adlam, U+1E943). */
const LAST_LETTER = 0x1f000;
/**
 * Letters that have no other case for the server: dotted and dotless i, which fold to nothing, and the letters that came
 * with Unicode 16 and 17, which PCRE2 in MongoDB 8 does not know yet while newer JavaScript engines do.
 */
const ALONE: readonly (readonly [number, number])[] = [
  [0x130, 0x131],
  [0x1c89, 0x1c8a],
  [0xa7cb, 0xa7cf],
  [0xa7d2, 0xa7d5],
  [0xa7da, 0xa7dc],
  [0x10d50, 0x10d85],
  [0x16ea0, 0x16ed3],
];

function isAlone(code: number): boolean {
  return ALONE.some(([first, last]) => code >= first && code <= last);
}

function join(groups: Map<number, Set<number>>, a: number, b: number): void {
  if (isAlone(a) || isAlone(b)) return;
  const group = groups.get(a) ?? new Set([a]);
  for (const code of groups.get(b) ?? [b]) group.add(code);
  for (const code of group) groups.set(code, group);
}

function isOneCharacter(text: string): boolean {
  return [...text].length === 1;
}

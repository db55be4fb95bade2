/** Writes what the program says now under every broken plan (see README.md). */
import { families, pageFor, writeFamily } from './cases.ts';

for (const family of families()) {
  const cases = [];
  for (const broken of family.cases) {
    cases.push({ ...broken, expected: (await pageFor(broken)) ?? 'NOTHING FOUND' });
  }
  writeFamily({ ...family, cases });
}

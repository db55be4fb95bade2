/** A review in which everything that comes from data is an attack on whoever reads it (fault L14). */
import type { ReportInput } from '../../src/report/report-model.ts';
import { collectionOf, compared, manifestOf, PLAN } from './review.ts';

export const ATTACKS: readonly string[] = [
  '::error file=a.ts::owned',
  '##[group]owned',
  '\u001b[2J\u001b]0;owned\u0007',
  '\u202egnp.exe\u2066\u200f',
  '</script><script>window.owned = true</script>',
  '<!-- <img src=x onerror="window.owned = true">',
  '| a | b |',
  '`` ` ``` ```` `',
  '```\n## owned\n```diff',
  '@everyone #1 GH-1 owner/repo#1 https://evil.example www.evil.example a@evil.example',
  '$$x$$ [a](javascript:alert(1)) ![i](https://evil.example/i.png) __proto__ *b* ~~c~~',
  '"];end; click c0 call alert() %%{init: {}}%%',
  `"quoted" \\u0041 \\ \${x} {{plan}} $& $1`,
  '\ud800 lone surrogate \0 and NUL \u2028 separators \u2029',
  `long ${'x'.repeat(1_000_000)}`,
  `ticks ${'`'.repeat(5000)}`,
];

export function hostileReview(): ReportInput {
  const documents = ATTACKS.map((text, index) =>
    compared({
      ...{ class: index % 2 === 0 ? 'conflict' : 'different', id: text, reason: text, index },
      differences: [{ path: text, backup: text, target: text, backupType: 'string', targetType: 'symbol' }],
      ...(index % 4 === 1 && {
        changes: [
          {
            ...{ path: text, before: text, after: text, now: text },
            ...{ beforeType: 'string', afterType: 'symbol', nowType: text },
          },
        ],
      }),
      backup: JSON.stringify({ [text]: text }),
      target: text,
      canonical: {
        backup: {
          text: JSON.stringify({ [text.slice(0, 1_000)]: text.slice(0, 1_000) }),
          exact: true,
          leftOut: 0,
        },
        target: undefined,
      },
    }),
  );
  const all = ATTACKS.join(' ');
  return {
    plan: {
      ...PLAN,
      reason: ATTACKS.join('\n'),
      collections: ATTACKS.map((text) => ({
        ...(PLAN.collections[0] as (typeof PLAN.collections)[number]),
        ...{ collection: text, into: text, dependents: [] },
        references: [{ field: text, collection: all }],
      })),
      followUps: [{ ...(PLAN.followUps[0] as (typeof PLAN.followUps)[number]), name: all }],
      mask: [...ATTACKS],
    },
    manifest: {
      ...manifestOf(Object.fromEntries(ATTACKS.map((text) => [text, 1]))),
      warnings: ATTACKS,
    },
    comparisons: [
      {
        ...{ target: 'production', database: all, server: all },
        collections: [
          collectionOf(all, documents, { into: ATTACKS[4] ?? '', warnings: ATTACKS }),
          collectionOf(ATTACKS[6] ?? '', documents, {
            danglingReferences: 16,
            dangling: ATTACKS.map((text) => ({ id: text, field: text, collection: text, missing: text })),
          }),
        ],
      },
    ],
    notCompared: [{ target: 'staging', reason: all }],
    suggestions: ATTACKS.map((text) => ({
      ...{ kind: 'lostTogether', entry: ATTACKS[4] ?? '', from: 0, until: 1, collection: text },
      ...{ documents: 1, field: text, parent: ATTACKS[4] ?? '', referring: 1, otherFields: [text] },
    })),
    toolVersion: '0.1.0',
    writtenAt: 0,
  };
}

import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { collectionsPart, overviewPart } from '../../src/report/html/overview.ts';
import { COMMENT_LIMIT, markdownReport, shares } from '../../src/report/markdown/markdown.ts';
import { buildReport, type ReportInput } from '../../src/report/report-model.ts';
import { test } from '../harness.ts';
import { hostileReview } from './hostile.ts';
import { bigReview, collectionOf, compared, PLAN, smallReview } from './review.ts';

const GITHUB_LIMIT = 65_536;
const markdownOf = (input: ReportInput): Promise<string> => markdownReport(buildReport(input));

test('a review reads as verdict, table, graph and differences', async () => {
  const text = await markdownOf(smallReview());
  assert.match(text, '## Restore dry-run: `partner-57d17993`\n\n> Partner 57d17993 was destroyed');
  assert.match(text, '- **staging** (`gravity-staging`): +53 inserts; nothing in the way.');
  assert.match(
    text,
    /production\*\* \(`gravity`\): \+34 inserts, =\d+ there already, ≠8 kept; \*\*!3 conflicts, ×2 refused, ↑3 stale/,
  );
  assert.match(text, '| staging | `sale_artworks` *new, 3 indexes* | 12 | · |');
  assert.match(text, 'c0 -->|"partner_id"| c1');
  assert.match(text, 'c2 -.->|"sale_id"| c3');
  assert.match(text, '<summary>production, <code>artworks</code>: <b>! conflict</b>, 3 documents (another');
  assert.match(text, /<b>\+ insert<\/b>.*\n\n```diff\n@@ .* @@\n\+ \{"_id":/);
  assert.match(text, '\n- price.amount: 900.0  (double)\n+ price.amount: 1203  (int)\n');
  assert.match(
    text,
    '2016-09-13 08:00:00 America/New_York; 2016-09-13T12:00:00Z; 1 h before the last good moment',
  );
});

test('every document of a small review is listed by its _id', async () => {
  const text = await markdownOf(smallReview());
  for (const { id } of smallReview().comparisons[1]?.collections.flatMap(({ documents }) => documents) ??
    []) {
    assert.ok(text.includes(`@@ ${id} @@`), id);
  }
  assert.not.match(text, 'not listed here');
});

test('a review of 20,000 documents fits a comment, shows some of each class and says what it leaves out', async () => {
  const text = await markdownOf(bigReview(20_000));
  assert.ok(text.length <= COMMENT_LIMIT && text.length > COMMENT_LIMIT * 0.9, String(text.length));
  for (const name of [
    'conflict',
    'refused',
    'stale',
    'soft-deleted',
    'different',
    'insert',
    'there already',
  ]) {
    assert.match(text, new RegExp(`${name}</b>[^\\n]*</summary>\\n\\n\`\`\`diff\\n@@`), name);
  }
  assert.match(text, /1,\d\d\d of 1,250 documents not listed here/);
});

test('hundreds of collections fit a comment too', async () => {
  const names = Array.from({ length: 900 }, (_, index) => `collection_with_a_rather_long_name_${index}`);
  const documents = [compared({ class: 'conflict', reason: 'x'.repeat(500) })];
  const [comparison] = smallReview().comparisons;
  const text = await markdownOf(
    smallReview({
      plan: {
        ...PLAN,
        collections: names.map((collection) => ({
          ...(PLAN.collections[0] as (typeof PLAN.collections)[number]),
          collection,
        })),
      },
      comparisons: [
        {
          ...(comparison as NonNullable<typeof comparison>),
          collections: names.map((name) => collectionOf(name, documents)),
        },
      ],
    }),
  );
  assert.ok(text.length <= COMMENT_LIMIT, String(text.length));
  assert.match(text, /\d+ more collections not listed here/);
  assert.match(text, 'Too long for a comment: the graph of dependents and ');
});

test('no target, one target, a target that could not be reached', async () => {
  const [staging] = smallReview().comparisons;
  const text = await markdownOf(
    smallReview({
      comparisons: staging === undefined ? [] : [staging],
      notCompared: [{ target: 'production', reason: 'PRODUCTION_MONGODB_URI is not set' }],
    }),
  );
  assert.match(text, '- **production** was not compared: PRODUCTION_MONGODB_URI is not set');
  assert.match(await markdownOf(smallReview({ comparisons: [] })), 'No target was compared.');
});

test('what is left out counts as such in the tables, as in the sum', async () => {
  const lots = Array.from({ length: 5 }, () => compared());
  const leftOut = { insert: { excepted: 1, heldBack: { conflict: 0, refused: 2 } } };
  const input = smallReview({
    comparisons: [
      {
        ...{ target: 'staging', database: 'gravity-staging', server: 'replica set, MongoDB 8.2.0' },
        collections: [collectionOf('lots', lots, { leftOut }), collectionOf('bids', [compared()])],
      },
    ],
  });
  const text = await markdownOf(input);
  assert.match(text, '+3 inserts');
  assert.match(text, '| + insert | = there already | ↳ held back | ○ exceptions |');
  assert.match(text, '| staging | `lots` | 2 | · | **2** | **1** |');
  assert.match(text, '| staging | `bids` | 1 | · | · | · |');
  // In the page, a count of a class lists its documents; those that are left out are among them.
  const report = buildReport(input);
  const page = overviewPart(report).text + collectionsPart(report).text;
  assert.match(page, 'of these ○1 exception, ↳2 held back');
  assert.match(page, /of these ↳ held back<\/th><th scope="col">of these ○ exceptions/);
  assert.match(page, /<td>2<\/td><td>1<\/td>/);
});

/** What is left for GitHub to act on: the text without its code. */
function withoutCode(text: string): string {
  return text
    .replaceAll(/^(`{3,})[a-z]*\n[\s\S]*?\n\1$/gm, '')
    .replaceAll(/`[^`\n]+`/g, '')
    .replaceAll(/<code>[^<\n]*<\/code>/g, '');
}

test('L14: hostile data stays inert: no HTML, mention, reference, link, mathematics, workflow command or broken fence', async () => {
  const text = await markdownOf(hostileReview());
  assert.ok(text.length <= GITHUB_LIMIT, String(text.length));
  assert.not.match(text, /^\s*::/m);
  assert.not.match(text, '##[');
  assert.not.match(text.replaceAll('\n', ''), /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
  const rest = withoutCode(text);
  assert.not.match(rest, /@|#\d|:\/\/|www\.|GH-\d|\$|\[|`|~~/);
  const tags = new Set(rest.match(/<[^>]*>/g));
  assert.equal(
    [...tags].filter((tag) => !/^<\/?(?:details|summary|b|sub)>$/.test(tag)),
    [],
  );
  for (const row of rest.split('\n').filter((line) => line.startsWith('| production'))) {
    assert.is(row.split('|').length, rest.match(/^\| target.*$/m)?.[0].split('|').length, row);
  }
});

test('shares never exceed the room, nor what a section wants, and leave nothing that somebody could use', async () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1000)), fc.nat(5000), (sizes, room) => {
      const given = shares(sizes, room);
      const sum = given.reduce((total, each) => total + each, 0);
      assert.ok(sum <= room);
      assert.ok(given.every((each, index) => each <= (sizes[index] as number)));
      const isShort = given.some((each, index) => each < (sizes[index] as number));
      assert.ok(!isShort || room - sum < sizes.length);
    }),
    { seed: 20160913 },
  );
});

test.run();

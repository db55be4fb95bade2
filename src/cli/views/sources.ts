/** `plan sources` as a page and as an object. */
import type { SourcesAsked } from '../../restore/ask-sources.ts';
import type { SourceAnswer, SourceName } from '../../restore/source-answer.ts';
import { neutral } from '../../text/escape.ts';
import { type PageStyle, wrapped } from '../../text/terminal.ts';
import type { View } from '../view.ts';

const NAMES: Readonly<Record<SourceName, string>> = {
  preImages: 'pre-images',
  snapshot: 'snapshot',
  oplog: 'oplog',
  backup: 'backup',
};

const MARKS = { yes: '✓', no: '✗', unknown: '?' } as const;

export function sourcesView(asked: SourcesAsked): View {
  return {
    page: (style) => sourcesPage(asked, style),
    objects: () => [
      {
        type: 'sources',
        database: asked.database,
        at: asked.at?.text ?? null,
        server: asked.server ?? null,
        sources: asked.answers.map(({ from, until, ...answer }) => ({
          ...answer,
          from: isoOrNull(from),
          until: isoOrNull(until),
        })),
      },
    ],
  };
}

function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

function* sourcesPage(asked: SourcesAsked, style: PageStyle): Generator<string> {
  const { columns, paint } = style;
  const { database, server, at, answers } = asked;
  const head = `${database}${server === undefined ? '' : ` on ${server}`}${at === undefined ? '' : `, as of ${at.text}`}`;
  yield* wrapped(neutral(head), { columns }).map(paint.strong);
  for (const answer of answers) {
    yield '';
    yield* answerLines(answer, style);
  }
  yield '';
  const sum = answers.map((answer) => neutral(shortly(answer))).join('; ');
  yield* wrapped(sum, { columns }).map(paint.strong);
}

function* answerLines(answer: SourceAnswer, { columns, paint }: PageStyle): Generator<string> {
  const { answers, until, facts, missingRights, write } = answer;
  const colour = answers === 'yes' ? paint.good : answers === 'no' ? paint.bad : paint.odd;
  const end = until === undefined ? '' : `, until about ${new Date(until).toISOString().slice(0, 19)}Z`;
  const head = `${MARKS[answers]} ${shortly(answer)}${end}`;
  yield* wrapped(neutral(head), { columns, hanging: 2 }).map(colour);
  for (const fact of facts) yield* wrapped(neutral(fact), { columns, indent: 4, mark: '· ' });
  for (const right of missingRights)
    yield* wrapped(neutral(`not known without the right: ${right}`), { columns, indent: 4, mark: '· ' }).map(
      paint.odd,
    );
  if (write.length === 0) return;
  yield `    ${paint.quiet('to use it, in the plan:')}`;
  // Lines to be copied are not broken.
  for (const line of write) yield `      ${neutral(line)}`;
}

/** `snapshot: 3 min left`, `oplog back to …`, `backup of …`. */
function shortly({ source, sum }: SourceAnswer): string {
  return `${NAMES[source]}${/^(?:back to|of) /.test(sum) ? '' : ':'} ${sum}`;
}

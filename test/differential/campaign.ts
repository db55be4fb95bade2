/**
 * Asks engine and server about random queries on random collections, and shrinks what they disagree on.
 * The same seed asks the same questions.
 */
import type { JsonValue } from '../../src/bson/extended-json.ts';
import { showDocument } from '../../src/bson/show.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { seededRandom } from '../lab/random.ts';
import { randomQuery } from './random-queries.ts';
import { randomDocument, valuesIn } from './random-values.ts';
import type { RawConnection } from './raw-connection.ts';
import { type Example, shrink } from './shrink.ts';
import {
  type Answer,
  askEngine,
  askServer,
  dropCollection,
  queryBytes,
  storeDocuments,
  verdict,
} from './two-answers.ts';

export interface CampaignOptions {
  readonly seed: number;
  /** Query/collection pairs. */
  readonly pairs: number;
  /** Stops early after so many disagreements. */
  readonly mostMismatches?: number;
  /** The server's collections are made with this collation. */
  readonly collation?: Buffer;
  /** Leaves out the queries that it says no to. */
  readonly only?: (query: Buffer) => boolean;
}

export interface CampaignResult {
  readonly pairs: number;
  /** Pairs where both gave the same documents; `selecting` of them neither none nor all. */
  readonly agreed: number;
  readonly selecting: number;
  /** Pairs that both refused. */
  readonly bothRefused: number;
  /** Pairs that only the engine refused, by its words. */
  readonly unsupported: ReadonlyMap<string, number>;
  readonly mismatches: readonly string[];
}

const DOCUMENTS_PER_COLLECTION = 250;
const QUERIES_PER_COLLECTION = 500;
/** Queries sent before the first answer is awaited. */
const IN_FLIGHT = 20;

export async function runCampaign(
  connection: RawConnection,
  options: CampaignOptions,
): Promise<CampaignResult> {
  const tally = {
    agreed: 0,
    selecting: 0,
    bothRefused: 0,
    unsupported: new Map<string, number>(),
    mismatches: [] as string[],
  };
  let pairs = 0;
  for (let round = 0; pairs < options.pairs; round++) {
    const random = seededRandom(options.seed * 1_000_003 + round);
    const trees = Array.from({ length: DOCUMENTS_PER_COLLECTION }, (_, id) => randomDocument(random, id));
    const values = trees.flatMap(valuesIn);
    const documents = trees.map((tree) => writeExtendedJson(tree));
    const collection = await storeDocuments(connection, documents, options.collation);
    const queries = Array.from({ length: Math.min(QUERIES_PER_COLLECTION, options.pairs - pairs) }, () =>
      randomQuery({ random, values }),
    );
    pairs += queries.length;
    const asked = queries.filter((query) => options.only?.(queryBytes(query)) ?? true);
    for (let from = 0; from < asked.length; from += IN_FLIGHT) {
      const batch = asked.slice(from, from + IN_FLIGHT).map((query) => {
        const filter = queryBytes(query);
        return { query, filter, server: askServer(connection, collection, filter) };
      });
      for (const { query, filter, server } of batch) {
        const serverAnswer = await server;
        const engineAnswer = askEngine(collection, filter);
        const outcome = verdict(serverAnswer, engineAnswer);
        if (outcome === 'agree') {
          if ('refused' in serverAnswer) {
            tally.bothRefused++;
          } else {
            tally.agreed++;
            const { length } = serverAnswer.ids;
            if (length > 0 && length < DOCUMENTS_PER_COLLECTION) tally.selecting++;
          }
        } else if (outcome === 'unsupported') {
          const words = (engineAnswer as { refused: string }).refused;
          tally.unsupported.set(words, (tally.unsupported.get(words) ?? 0) + 1);
        } else {
          const document = trees[firstDifference(serverAnswer, engineAnswer)] as JsonValue;
          tally.mismatches.push(await report(connection, { document, query }));
          if (tally.mismatches.length >= (options.mostMismatches ?? 5)) return { pairs, ...tally };
        }
      }
    }
    await dropCollection(connection, collection);
  }
  return { pairs, ...tally };
}

/** A document that only one of the two selects; the first one when the server refuses the query. */
function firstDifference(server: Answer, engine: Answer): number {
  if ('refused' in server || 'refused' in engine) return 0;
  const ids = [...server.ids, ...engine.ids];
  return ids.find((id) => server.ids.includes(id) !== engine.ids.includes(id)) as number;
}

async function report(connection: RawConnection, example: Example): Promise<string> {
  const ask = async ({ document, query }: Example): Promise<{ server: Answer; engine: Answer }> => {
    const collection = await storeDocuments(connection, [writeExtendedJson(document)]);
    const filter = queryBytes(query);
    const server = await askServer(connection, collection, filter);
    await dropCollection(connection, collection);
    return { server, engine: askEngine(collection, filter) };
  };
  const small = await shrink(example, async (smaller) => {
    try {
      const { server, engine } = await ask(smaller);
      return verdict(server, engine) === 'differ';
    } catch {
      // A smaller form that cannot be written or stored is none.
      return false;
    }
  });
  const { server, engine } = await ask(small);
  return [
    `document ${showDocument(writeExtendedJson(small.document))}`,
    `query    ${showDocument(queryBytes(small.query))}`,
    `server   ${describe(server)}`,
    `engine   ${describe(engine)}`,
  ].join('\n');
}

function describe(answer: Answer): string {
  if ('refused' in answer) return `refuses: ${answer.refused}`;
  return answer.ids.length > 0 ? 'selects it' : 'does not select it';
}

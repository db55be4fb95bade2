/**
 * Expressions against the server: by the documents that `$expr` selects and, which tells more, by their values, whose type
 * must be the server's too.
 */
import { compareValues } from '../../src/bson/compare-values.ts';
import { findElement } from '../../src/bson/elements.ts';
import type { JsonValue } from '../../src/bson/extended-json.ts';
import { showDocument, showValue } from '../../src/bson/show.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { compileExpression } from '../../src/query/expression/compile-expression.ts';
import { DocumentScope } from '../../src/query/field-path.ts';
import { QueryFault } from '../../src/query/query-fault.ts';
import { seededRandom } from '../lab/random.ts';
import { randomExpression } from './random-expressions.ts';
import { randomDocument, valuesIn, withoutRepeats, wrap } from './random-values.ts';
import { command, failureOf, firstBatch, type RawConnection } from './raw-connection.ts';
import {
  askEngine,
  askServer,
  DATABASE,
  dropCollection,
  queryBytes,
  storeDocuments,
  verdict,
} from './two-answers.ts';

export interface ExpressionResult {
  /** Expressions whose values agreed for all documents. */
  readonly agreed: number;
  readonly bothRefused: number;
  /** Expressions that only the engine refused, by its words. */
  readonly unsupported: ReadonlyMap<string, number>;
  readonly mismatches: readonly string[];
}

const DOCUMENTS = 60;
const EXPRESSIONS = 250;

type Values = readonly (RawValue | undefined)[];

/** Values of `count` random expressions, each for 60 documents. */
export async function runExpressionCampaign(
  connection: RawConnection,
  { seed, count }: { readonly seed: number; readonly count: number },
): Promise<ExpressionResult> {
  const tally = {
    agreed: 0,
    bothRefused: 0,
    unsupported: new Map<string, number>(),
    mismatches: [] as string[],
  };
  for (let round = 0; round * EXPRESSIONS < count; round++) {
    const random = seededRandom(seed * 999_983 + round);
    const trees = Array.from({ length: DOCUMENTS }, (_, id) => withoutRepeats(randomDocument(random, id)));
    const values = trees.flatMap(valuesIn);
    const collection = await storeDocuments(
      connection,
      trees.map((tree) => writeExtendedJson(tree)),
    );
    const asked = Array.from({ length: Math.min(EXPRESSIONS, count - round * EXPRESSIONS) }, () => {
      const expression = randomExpression({ random, values });
      const filter = queryBytes(wrap('$expr', expression));
      return {
        expression,
        filter,
        answer: askServerForValues(connection, collection.name, expression),
        selected: askServer(connection, collection, filter),
      };
    });
    for (const { expression, filter, answer, selected } of asked) {
      if (verdict(await selected, askEngine(collection, filter)) === 'differ') {
        tally.mismatches.push(`expression ${shown(expression)}\nselects other documents`);
      }
      const server = await answer;
      const engine = engineValues(collection.documents, expression);
      if (typeof engine === 'string') {
        if (typeof server === 'string') tally.bothRefused++;
        else tally.unsupported.set(engine, (tally.unsupported.get(engine) ?? 0) + 1);
      } else if (typeof server === 'string') {
        tally.mismatches.push(`expression ${shown(expression)}\nserver refuses: ${server}`);
      } else {
        const at = server.findIndex((value, index) => !isSame(value, engine[index]));
        if (at < 0) tally.agreed++;
        else
          tally.mismatches.push(
            difference(expression, collection.documents[at] as Buffer, [server[at], engine[at]]),
          );
      }
    }
    await dropCollection(connection, collection);
  }
  return tally;
}

async function askServerForValues(
  connection: RawConnection,
  name: string,
  expression: JsonValue,
): Promise<Values | string> {
  const stages = [wrap('$sort', wrap('_id', 1)), wrap('$replaceWith', wrap('v', expression))];
  const pipeline = findElement(queryBytes(wrap('pipeline', stages)), 0, Buffer.from('pipeline')) as RawValue;
  const reply = await connection.send(
    command({ aggregate: name, pipeline, cursor: command({ batchSize: DOCUMENTS }), $db: DATABASE }),
  );
  return failureOf(reply) ?? firstBatch(reply).map((document) => findElement(document, 0, Buffer.from('v')));
}

function engineValues(documents: readonly Buffer[], expression: JsonValue): Values | string {
  const operand = findElement(queryBytes(wrap('v', expression)), 0, Buffer.from('v')) as RawValue;
  const scope = new DocumentScope();
  try {
    const { evaluate } = compileExpression(operand, { scope, path: '$expr' });
    return documents.map((document) => {
      scope.read(document, 0);
      const { bytes, type, start, end } = evaluate();
      return type === 0 ? undefined : { bytes, type, start, end };
    });
  } catch (fault) {
    if (fault instanceof QueryFault) return fault.message;
    throw fault;
  }
}

function isSame(a: RawValue | undefined, b: RawValue | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.type === b.type && compareValues(a, b) === 0;
}

function difference(
  expression: JsonValue,
  document: Buffer,
  values: readonly (RawValue | undefined)[],
): string {
  const [server, engine] = values.map((value) => (value === undefined ? 'nothing' : showValue(value)));
  return `expression ${shown(expression)}\ndocument   ${showDocument(document)}\nserver     ${server}\nengine     ${engine}`;
}

function shown(expression: JsonValue): string {
  return showDocument(queryBytes(wrap('$expr', expression)), 0, { relaxed: true });
}

/** The report as one JSON object; schemas/dry-run-report.schema.json describes it. Written document by document. */
import { ATTENTION_ORDER } from '../outcomes.ts';
import { documentSides, jsonText } from './json-text.ts';
import type { ReportDocument } from './report-documents.ts';
import type { Report, ReportCollection, ReportTarget } from './report-model.ts';

/** Version of the shape. In 1 documents were texts. */
const FORMAT = 2;

export async function* jsonReport(report: Report): AsyncGenerator<string> {
  const { targets, ...rest } = report;
  const head = { type: 'dry-run-report', format: FORMAT, ...rest };
  yield `${JSON.stringify(head, undefined, 2).slice(0, -2)},\n  "targets": {`;
  for (const [index, target] of targets.entries()) {
    yield `${index === 0 ? '' : ','}\n    `;
    yield* targetJson(target);
  }
  yield '\n  }\n}\n';
}

async function* targetJson(target: ReportTarget): AsyncGenerator<string> {
  const { target: name, database, server, outcomes, danglingReferences, collections } = target;
  const { replaced = 0, kept = 0, stopped: failed = 0 } = outcomes;
  const facts = { database, server, replaced, kept, failed, danglingReferences };
  yield `${JSON.stringify(name)}: ${opened(facts)},"collections":[`;
  for (const [index, collection] of collections.entries()) {
    yield `${index === 0 ? '' : ','}\n      `;
    yield* collectionJson(collection);
  }
  yield ']}';
}

async function* collectionJson(collection: ReportCollection): AsyncGenerator<string> {
  const { documents, counts, ...facts } = collection;
  yield `${opened({ ...facts, ...counts })},"documents":[`;
  let separator = '\n        ';
  for (const documentClass of ATTENTION_ORDER) {
    for await (const document of documents(documentClass)) {
      yield separator + documentJson(document);
      separator = ',\n        ';
    }
  }
  yield ']}';
}

function documentJson({ objects, backup: _, target: __, ...document }: ReportDocument): string {
  const sides = objects && documentSides(objects, document.class !== 'identical');
  return jsonText({ ...document, ...sides });
}

/** An object's text without its closing brace. */
function opened(value: object): string {
  return JSON.stringify(value).slice(0, -1);
}

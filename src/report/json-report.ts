/** The report as one JSON object; schemas/dry-run-report.schema.json describes it. Written document by document. */
import type { Report, ReportCollection, ReportTarget } from './report-model.ts';

/** Version of the shape. */
const FORMAT = 1;

export function* jsonReport(report: Report): Generator<string> {
  const { targets, ...rest } = report;
  const head = { type: 'dry-run-report', format: FORMAT, ...rest };
  yield `${JSON.stringify(head, undefined, 2).slice(0, -2)},\n  "targets": {`;
  for (const [index, target] of targets.entries()) {
    yield `${index === 0 ? '' : ','}\n    `;
    yield* targetJson(target);
  }
  yield '\n  }\n}\n';
}

function* targetJson(target: ReportTarget): Generator<string> {
  const { target: name, collections, counts: _, ...facts } = target;
  yield `${JSON.stringify(name)}: ${opened(facts)},"collections":[`;
  for (const [index, collection] of collections.entries()) {
    yield `${index === 0 ? '' : ','}\n      `;
    yield* collectionJson(collection);
  }
  yield ']}';
}

function* collectionJson(collection: ReportCollection): Generator<string> {
  const { documents, counts, kept: _kept, keptOf: _keptOf, ...facts } = collection;
  yield `${opened({ ...facts, ...counts })},"documents":[`;
  let separator = '\n        ';
  for (const document of documents()) {
    yield separator + JSON.stringify(document);
    separator = ',\n        ';
  }
  yield ']}';
}

/** An object's text without its closing brace. */
function opened(value: object): string {
  return JSON.stringify(value).slice(0, -1);
}

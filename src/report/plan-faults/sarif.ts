/** Faults as SARIF 2.1.0, the format that code-scanning services read. */
import type { FaultRule, PlanFault } from '../../plan/fault.ts';
import { jsonText } from '../json-text.ts';
import { sentences } from './github.ts';

const RULES: Readonly<Record<FaultRule, string>> = {
  file: 'The plan file can be read',
  encoding: 'The plan file is UTF-8 text',
  yaml: 'The plan file is YAML 1.2',
  'duplicate-key': 'Each key is there once',
  number: 'Numbers say the value that is meant',
  extends: 'Bases exist and do not extend each other',
  variable: 'Variables are well formed and set',
  credential: 'No credentials stand in the plan',
  'unknown-key': 'Keys are known',
  'missing-key': 'Required keys are there',
  type: 'Values have the right type',
  value: 'Values are allowed ones',
  source: 'The location of the backup can be understood',
  time: 'Times, zones and durations exist',
  namespace: 'Names of databases, collections and fields are usable',
  collections: 'Collections fit together',
  query: 'Queries can be answered exactly',
  targets: 'Staging and production are real and different',
  'follow-ups': 'Follow-ups can be carried out',
};

/** A SARIF log with one run, pretty-printed, newline at the end. */
export function sarifLog(faults: readonly PlanFault[], toolVersion: string): string {
  const rules = Object.keys(RULES) as FaultRule[];
  const log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'restore-plan',
            version: toolVersion,
            rules: rules.map((id) => ({ id, shortDescription: { text: RULES[id] } })),
          },
        },
        columnKind: 'utf16CodeUnits',
        results: faults.map((fault) => ({
          ruleId: fault.rule,
          ruleIndex: rules.indexOf(fault.rule),
          level: fault.severity,
          message: { text: sentences(fault) },
          locations: [location(fault, region(fault))],
          relatedLocations: fault.related.map((place, id) => ({
            id,
            message: { text: place.message },
            ...location(place, { startLine: place.line, startColumn: place.column }),
          })),
        })),
      },
    ],
  };
  return `${jsonText(log, 2)}\n`;
}

function location(place: { readonly file: string }, where: Readonly<Record<string, number>>) {
  const uri = encodeURI(place.file.replaceAll('\\', '/').replace(/^\.\//, '')).replaceAll('#', '%23');
  return { physicalLocation: { artifactLocation: { uri }, region: where } };
}

function region({ line, column, endLine, endColumn }: PlanFault): Readonly<Record<string, number>> {
  return { startLine: line, startColumn: column, endLine, endColumn };
}

/** Faults of plans for programs: JSON, SARIF, annotations. For people, plan/fault.ts words them. */
import type { FaultRule, PlanFault } from '../../plan/fault.ts';
import { jsonText, neutral } from '../../text/escape.ts';

// The result of checking plans, as one JSON object; its schema is schemas/validate.schema.json.

export interface CheckedFile {
  readonly file: string;
  /** Undefined for a base, and for a plan with faults. */
  readonly plan: { readonly name: string; readonly digest: string } | undefined;
  readonly faults: readonly PlanFault[];
  readonly notes: readonly PlanFault[];
}

export function validationObject(checked: readonly CheckedFile[]) {
  return {
    type: 'validate',
    valid: checked.every(({ faults }) => faults.length === 0),
    plans: checked.map(({ file, plan, faults, notes }) => ({
      file,
      valid: faults.length === 0,
      ...(plan === undefined ? {} : { name: plan.name, digest: plan.digest }),
      faults: faults.map(plainFault),
      notes: notes.map(plainFault),
    })),
  } as const;
}

/** Keys without a value are left out; the code frame is for people. */
function plainFault({ frame: _, expected, suggestion, ...fault }: PlanFault) {
  return {
    ...fault,
    ...(expected === undefined ? {} : { expected }),
    ...(suggestion === undefined ? {} : { suggestion }),
  };
}

// Faults as SARIF 2.1.0, the format that code-scanning services read.

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

// Faults as workflow commands of GitHub Actions: each becomes an annotation on its line of the pull request.
// https://docs.github.com/actions/reference/workflow-commands-for-github-actions

/** One line per fault, newline at the end. */
export function githubAnnotations(faults: readonly PlanFault[]): string {
  return faults.map((fault) => `${annotation(fault)}\n`).join('');
}

function annotation(fault: PlanFault): string {
  const properties = [
    `file=${property(fault.file)}`,
    `line=${fault.line}`,
    `endLine=${fault.line}`,
    `col=${fault.column}`,
    // Columns count only within one line.
    ...(fault.endLine === fault.line ? [`endColumn=${fault.endColumn}`] : []),
    `title=${property(`restore plan: ${fault.rule}`)}`,
  ];
  const command = fault.severity === 'note' ? 'notice' : 'error';
  return `::${command} ${properties.join(',')}::${data(sentences(fault))}`;
}

/** The parts of a fault that are text, one per line. */
export function sentences(fault: PlanFault): string {
  const lines = [fault.message];
  if (fault.expected !== undefined) lines.push(`Expected: ${fault.expected}`);
  if (fault.suggestion !== undefined) lines.push(`Did you mean "${fault.suggestion}"?`);
  for (const { file, line, column, message } of fault.related)
    lines.push(`${file}:${line}:${column}: ${message}`);
  return lines.join('\n');
}

function data(text: string): string {
  const lines = text.split('\n').map(neutral).join('\n');
  return lines.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}

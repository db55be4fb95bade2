/**
 * Faults as workflow commands of GitHub Actions: each becomes an annotation on its line of the pull request.
 * https://docs.github.com/actions/reference/workflow-commands-for-github-actions
 */
import type { PlanFault } from '../../plan/fault.ts';
import { neutral } from '../neutral.ts';

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

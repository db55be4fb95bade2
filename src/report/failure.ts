/** A failure as the operator reads it: what happened, and what to do next. */
import type { RestorePlanError } from '../errors.ts';
import { neutral } from './neutral.ts';
import { paintWith } from './paint.ts';

/** Several lines, newline at the end. Lines of the message are kept; their content is neutralised one by one. */
export function failureText(error: RestorePlanError, color: boolean): string {
  const paint = paintWith(color);
  const lines = error.message.split('\n').map(neutral);
  const hint = error.hint?.split('\n').map(neutral) ?? [];
  return [
    `${paint.bad('error:')} ${lines[0]}`,
    ...lines.slice(1),
    ...hint.map((line, index) => `${index === 0 ? paint.strong('next: ') : '      '} ${line}`),
    '',
  ].join('\n');
}

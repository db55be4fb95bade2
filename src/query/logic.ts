/** Joins conditions; short forms for the frequent counts, because these run once per document. */
import type { Condition } from './document-scope.ts';

export function all(conditions: readonly Condition[]): Condition {
  const [a, b, c] = conditions;
  if (a === undefined) return () => true;
  if (b === undefined) return a;
  if (c === undefined) return () => a() && b();
  if (conditions.length === 3) return () => a() && b() && c();
  return () => {
    for (const condition of conditions) if (!condition()) return false;
    return true;
  };
}

export function any(conditions: readonly Condition[]): Condition {
  const [a, b] = conditions;
  if (a === undefined) return () => false;
  if (b === undefined) return a;
  if (conditions.length === 2) return () => a() || b();
  return () => {
    for (const condition of conditions) if (condition()) return true;
    return false;
  };
}

export function not(condition: Condition): Condition {
  return () => !condition();
}

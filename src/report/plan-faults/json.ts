/** The result of checking plans, as one JSON object; its schema is schemas/validate.schema.json. */
import type { PlanFault } from '../../plan/fault.ts';

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

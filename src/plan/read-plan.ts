/** Reads and checks a plan file. */
import type { PlanFault } from './fault.ts';
import type { Plan } from './plan.ts';

export interface ReadPlanOptions {
  /** Values of `${VARIABLE}`s. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** True: a variable that is not set is a fault. False (default): it is a note. */
  readonly requireEnv?: boolean;
}

/** Either a checked plan or everything that is wrong with it. Notes come with both. */
export type PlanReading =
  | { readonly plan: Plan; readonly faults?: undefined; readonly notes: readonly PlanFault[] }
  | {
      readonly plan?: undefined;
      readonly faults: readonly PlanFault[];
      readonly notes: readonly PlanFault[];
    };

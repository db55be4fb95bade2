/** A folder for the plan files of one test. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Plan } from '../../src/plan/plan.ts';
import { type PlanReading, readPlan } from '../../src/plan/read-plan.ts';

export class PlanFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'restore-plan-plan-'));

  write(name: string, content: string | Buffer): string {
    const file = join(this.path, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  /** Fails with the plan's faults when it has any. */
  async plan(name: string, env: Readonly<Record<string, string>> = {}): Promise<Plan> {
    const { plan, faults } = await this.read(name, env);
    if (plan !== undefined) return plan;
    throw new Error(faults.map((fault) => `${fault.line}:${fault.column} ${fault.message}`).join('\n'));
  }

  read(name: string, env: Readonly<Record<string, string>>): Promise<PlanReading> {
    return readPlan(join(this.path, name), { env });
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}

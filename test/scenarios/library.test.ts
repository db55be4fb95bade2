/** The library entry: the same steps as the commands, and the same gate. */

import { join } from 'node:path';
import * as assert from 'uvu/assert';
import {
  applySelection,
  compareWithTarget,
  connectTarget,
  type Plan,
  prepareSelection,
  RestorePlanError,
  type RunEvent,
  readPlan,
  runIn,
  type Selection,
} from '../../src/index.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { createIncident, type Incident } from './incident.ts';

let lab: Lab;
let incident: Incident;
test.before(async () => {
  lab = await openLab();
  incident = await createIncident(lab);
});
test.after(async () => {
  incident.close();
  await lab.close();
});

test(
  'reads, selects, compares and applies; production stays shut until staging is verified',
  async () => {
    const { plan, faults } = await readPlan(join(incident.folder, 'plan.yaml'), { env: incident.env });
    assert.is(faults, undefined);
    const events: RunEvent[] = [];
    const run = runIn(join(incident.folder, 'work'), { emit: (event) => events.push(event) });
    const common = { plan: plan as Plan };
    const selection: Selection = await prepareSelection(run, common);
    const staging = await connectTarget(run, 'staging', common.plan.targets.staging);
    const production = await connectTarget(run, 'production', common.plan.targets.production as never);
    try {
      const comparison = await compareWithTarget(run, {
        ...common,
        selection,
        reader: staging.reader,
        show: 1,
      });
      assert.is(comparison.collections[1]?.counts.insert, 100);
      const apply = (target: typeof staging, other: typeof staging) =>
        applySelection(run, {
          ...common,
          selection,
          target,
          other: other.reader,
          actor: { user: 'alice', host: 'here', pid: 1 },
        });
      const refused = await apply(production, staging).catch((error: unknown) => error);
      assert.ok(refused instanceof RestorePlanError);
      assert.is(refused.code, 'GATE');
      assert.is((await apply(staging, production)).verified, true);
      assert.is((await apply(production, staging)).verified, true);
      assert.ok(events.some(({ type }) => type === 'gate-opened'));
    } finally {
      await staging.close();
      await production.close();
    }
  },
  { deadlineMs: 120_000 },
);

test.run();

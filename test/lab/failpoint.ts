/**
 * MongoDB's own fault injection. A server has one setting per failpoint name, so a test that uses one starts its own
 * server; `appName` in the data keeps the fault away from every client but the one under test.
 */
import type { Document, MongoClient } from 'mongodb';
import * as assert from 'uvu/assert';

export interface FailPoint {
  /** How often the server ran into it. A fault test asserts this: a fault that never fired proves nothing. */
  timesFired(): Promise<number>;
  off(): Promise<void>;
}

export interface FailPointSetting {
  /** `failCommand`, `onPrimaryTransactionalWrite` … */
  readonly name: string;
  readonly mode: 'alwaysOn' | { readonly times: number } | { readonly skip: number };
  /** For `failCommand`: `{ failCommands: ['insert'], closeConnection: true, appName: 'restore-plan' }`. */
  readonly data?: Document;
}

/** Sets a failpoint on the server that `client` reaches (the primary, for a replica set). */
export async function setFailPoint(client: MongoClient, setting: FailPointSetting): Promise<FailPoint> {
  const admin = client.db('admin');
  const set = (mode: unknown, data?: Document): Promise<Document> =>
    admin.command({ configureFailPoint: setting.name, mode, ...(data === undefined ? {} : { data }) });
  // The answer tells how often the failpoint had been entered until now, since the server started.
  const before = (await set(setting.mode, setting.data))['count'] as number;
  const read = async (): Promise<number> => {
    const answer = await admin.command({ getParameter: 1, [`failpoint.${setting.name}`]: 1 });
    return (answer[`failpoint.${setting.name}`]['timesEntered'] as number) - before;
  };
  return {
    timesFired: read,
    off: async () => {
      await set('off');
    },
  };
}

/**
 * That a failpoint with the mode `{ times }` fired so often. It may have fired once more for each of the other commands that ran
 * just then, `beside` at most: the server counts down and switches the failpoint off in two steps, and whoever comes between them
 * is hit as well.
 */
export async function assertFired(
  fault: FailPoint,
  times: number,
  { beside }: { beside: number },
): Promise<void> {
  const fired = await fault.timesFired();
  assert.ok(fired >= times && fired <= times + beside, `the fault fired ${fired} times, not ${times}`);
}

/** Runs `body` with the failpoint set, and switches it off whatever happens. Returns how often it fired. */
export async function withFailPoint(
  client: MongoClient,
  setting: FailPointSetting,
  body: () => Promise<void>,
): Promise<number> {
  const failPoint = await setFailPoint(client, setting);
  try {
    await body();
    return await failPoint.timesFired();
  } finally {
    await failPoint.off();
  }
}

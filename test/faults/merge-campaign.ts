/** Kills a merge with -9, and its revert, at random moments or inside a transaction; a rerun of each must end as an undisturbed one does. */
import { Double, deserialize, serialize } from 'bson';
import { JOURNAL } from '../../src/ledger/layout.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { accessTo } from '../../src/target/target.ts';
import { openWorkbench, type Workbench } from '../apply/workbench.ts';
import { until } from '../follow-ups/until.ts';
import { setFailPoint } from '../lab/failpoint.ts';
import { insertRaw } from '../target/insert-raw.ts';
import { type ChildOptions, startChild } from './child.ts';
import { type OwnServers, ownServers } from './own-servers.ts';

const LEASE_MS = 600;

type Command = 'apply' | 'revert';
const COMMANDS: readonly Command[] = ['apply', 'revert'];

/** A database whose documents lack, have, or have in another form what the backup knows of them; most stay, some come anew. */
export class MergeGround {
  readonly bench: Workbench;
  readonly selection: Selection;
  /** Documents of the last apply of which nobody knows who wrote them. */
  doubtful = 0;
  readonly #standing: readonly Buffer[];
  /** What each command leaves behind when nobody disturbs it. */
  readonly #expected = new Map<Command, Buffer>();

  constructor(servers: OwnServers, documents: number, padBytes = 900) {
    this.bench = openWorkbench(servers);
    const all = Array.from({ length: documents }, (_, _id) => _id);
    const pad = 'x'.repeat(padBytes);
    this.#standing = all
      .filter((n) => n % 10 !== 9)
      .map((_id) => raw({ _id, ...(_id % 3 !== 0 && { price: _id }), place: { no: 1, zip: 'wrong' }, pad }));
    const backup = all.map((_id) =>
      raw({ _id, price: new Double(_id), ...(_id % 4 !== 0 && { place: { zip: `${_id}` } }), pad: 'then' }),
    );
    this.selection = this.bench.selection([
      {
        ...{ collection: 'a', documents: backup, whenMatched: 'merge' },
        merge: { fields: ['place.zip', 'price'], whenNotMatched: 'insert' },
      },
    ]);
  }

  /** How long each command takes, milliseconds. */
  async measure(): Promise<Record<Command, number>> {
    await this.fill();
    const took = { apply: 0, revert: 0 };
    for (const command of COMMANDS) {
      took[command] = (await startChild().run(this.bench, this.selection, { command })).workedMs;
      this.#expected.set(command, await this.#stored());
    }
    if (!this.#expected.get('revert')?.equals(Buffer.concat(this.#standing)))
      throw new Error('a revert leaves other bytes than were there before');
    return took;
  }

  async fill(): Promise<void> {
    await (await this.bench.db('staging')).dropDatabase();
    const { writer } = accessTo(await this.bench.target('staging'));
    for (let at = 0; at < this.#standing.length; at += 10_000)
      await insertRaw(writer, 'a', this.#standing.slice(at, at + 10_000));
  }

  /** Runs the command until it dies; true if it had a batch under way. */
  async die(command: Command, death: ChildOptions): Promise<{ died: boolean; inTheMiddle: boolean }> {
    const child = startChild();
    const { signal } = await child.run(this.bench, this.selection, { ...death, command, leaseMs: LEASE_MS });
    return { died: signal === 'SIGKILL', inTheMiddle: (await this.#openBatches()) > 0 };
  }

  /** Dies while the server holds the first commit back. */
  async dieInTransaction(command: Command): Promise<void> {
    const { client } = await this.bench.db('staging');
    const data = {
      ...{ failCommands: ['commitTransaction'], appName: 'restore-plan' },
      ...{ blockConnection: true, blockTimeMS: 3_000 },
    };
    const fault = await setFailPoint(client, { name: 'failCommand', mode: { times: 1 }, data });
    try {
      const child = startChild();
      const ended = child.run(this.bench, this.selection, { command, leaseMs: LEASE_MS });
      await until(async () => (await fault.timesFired()) > 0);
      child.stop();
      await ended;
    } finally {
      await fault.off();
    }
  }

  /**
   * Dies between the transactions of one batch: a rival that holds its last document makes several of it, and the server holds the second commit
   * back.
   */
  async dieBetweenTransactions(command: Command): Promise<void> {
    const { client } = await this.bench.db('staging');
    const data = {
      ...{ failCommands: ['commitTransaction'], appName: 'restore-plan' },
      ...{ blockConnection: true, blockTimeMS: 3_000 },
    };
    const rival = client.startSession();
    rival.startTransaction();
    const last = deserialize(this.#standing.at(-1) as Buffer)['_id'];
    const held = (await this.bench.db('staging')).collection('a');
    await held.updateOne({ _id: last }, { $set: { rival: true } }, { session: rival });
    const fault = await setFailPoint(client, { name: 'failCommand', mode: { skip: 1 }, data });
    try {
      const child = startChild();
      const ended = child.run(this.bench, this.selection, { command, leaseMs: LEASE_MS });
      await until(async () => (await fault.timesFired()) > 1);
      child.stop();
      await ended;
    } finally {
      await rival.abortTransaction();
      await rival.endSession();
      await fault.off();
    }
  }

  /**
   * Throws where a rerun leaves other bytes than an undisturbed run, or a batch open. Of a batch that took several transactions a server
   * cannot say which were committed: such documents are doubtful, and a revert leaves them as the merge made them.
   */
  async rerun(command: Command, moment: string): Promise<void> {
    if (command === 'apply') {
      await this.bench.apply(this.selection, 'staging', { leaseMs: LEASE_MS });
      this.doubtful = (await this.bench.runs('staging'))[0]?.collections[0]?.doubtful ?? 0;
    } else await this.bench.revert(this.selection, 'staging', { leaseMs: LEASE_MS });
    const others = await this.#others(command);
    if (others > (command === 'apply' ? 0 : this.doubtful))
      throw new Error(
        `${others} documents are others after ${command} was killed at ${moment}, and ${this.doubtful} are doubtful`,
      );
    if ((await this.#openBatches()) > 0) throw new Error(`batches are left open after a kill at ${moment}`);
  }

  /** Documents that are not as an undisturbed run leaves them; of a revert, only those that are as the merge left them are counted. */
  async #others(command: Command): Promise<number> {
    const expected = byId(this.#expected.get(command) as Buffer);
    const merged = byId(this.#expected.get('apply') as Buffer);
    const there = byId(await this.#stored());
    let others = 0;
    for (const id of new Set([...expected.keys(), ...there.keys()])) {
      const now = there.get(id);
      if (now === expected.get(id)) continue;
      if (now !== merged.get(id)) throw new Error(`the document ${id} is neither as before nor as merged`);
      others++;
    }
    return others;
  }

  async #stored(): Promise<Buffer> {
    return Buffer.concat(await this.bench.documents('staging', 'a'));
  }

  async #openBatches(): Promise<number> {
    return (await this.bench.db('staging')).collection(JOURNAL).countDocuments({ state: 'intended' });
  }
}

/** Of each command so many kills that came in time. */
export async function mergesUnderKills(
  kills: number,
  { seed, say, documents = 4_000 }: { seed: number; say: (text: string) => void; documents?: number },
): Promise<void> {
  const servers = await ownServers();
  const ground = new MergeGround(servers, documents);
  const took = await ground.measure();
  say(
    `undisturbed merge of ${documents}: apply ${Math.round(took.apply)} ms, revert ${Math.round(took.revert)} ms`,
  );
  const tally = { killed: 0, missed: 0, inTheMiddle: 0, doubtful: 0 };
  const random = randomNumbers(seed);
  while (tally.killed < 2 * kills) {
    await ground.fill();
    for (const command of COMMANDS) {
      const killAfterMs = (random.next().value as number) * took[command];
      const { died, inTheMiddle } = await ground.die(command, { killAfterMs });
      if (died) tally.killed++;
      else tally.missed++;
      if (inTheMiddle) tally.inTheMiddle++;
      await ground.rerun(command, `${Math.round(killAfterMs)} ms`);
      if (command === 'apply') tally.doubtful += ground.doubtful;
    }
    if (tally.missed > 2 * kills + 20) throw new Error('most runs end before they can be killed');
  }
  say(
    `kill -9 at ${tally.killed} random moments of a merge and its revert (${tally.missed} came too late), ${tally.inTheMiddle} times with batches under way, ${tally.doubtful} documents doubtful; every rerun ended the same`,
  );
  await ground.bench.close();
  await servers.stop();
  if (tally.inTheMiddle === 0) throw new Error('no kill hit a batch under way: the campaign proved nothing');
}

/** Documents, one after another, as text by their `_id`s. */
function byId(documents: Buffer): Map<string, string> {
  const found = new Map<string, string>();
  for (let at = 0; at < documents.length; at += documents.readInt32LE(at)) {
    const document = documents.subarray(at, at + documents.readInt32LE(at));
    found.set(String(deserialize(document)['_id']), document.toString('latin1'));
  }
  return found;
}

const raw = (document: object): Buffer => Buffer.from(serialize(document));

/** From 0 to 1, reproducible. */
function* randomNumbers(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    yield state / 2_147_483_648;
  }
}

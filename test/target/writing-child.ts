/** One write in a process of its own, to be killed. Run as a program, it is that process. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { accessTo, type WriteIdentity } from '../../src/target/target.ts';
import { guardProcess } from '../lab/guard.ts';
import { isStarted, scriptArguments } from '../lab/script.ts';
import { QUIET } from '../quiet-run.ts';
import { insertRaw } from './insert-raw.ts';

export interface ChildOrders {
  readonly uri: string;
  readonly database: string;
  readonly collection: string;
  readonly action: 'insert' | 'remove';
  readonly documents: readonly Buffer[];
}

export interface WritingChild {
  /** As the process noted it before it wrote. */
  readonly identity: WriteIdentity;
  /** Settles when the write has had its answer. */
  readonly answered: Promise<unknown>;
  kill(): Promise<void>;
}

/** Settles when the process is about to write. */
export async function writeInChild(orders: ChildOrders): Promise<WritingChild> {
  const child = spawn(process.execPath, scriptArguments(import.meta.filename), {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  guardProcess(child);
  const { uri, database, collection, action } = orders;
  const documents = orders.documents.map((document) => document.toString('base64'));
  child.stdin.end(JSON.stringify({ uri, database, collection, action, documents }));
  const lines = linesOf(child);
  const noted = JSON.parse((await lines.next()).value as string) as { lsid: string };
  return {
    identity: { ...noted, lsid: Buffer.from(noted.lsid, 'hex') } as unknown as WriteIdentity,
    answered: lines.next(),
    kill: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function* linesOf(child: ChildProcess): AsyncGenerator<string> {
  let text = '';
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk);
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}

async function main(): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const orders = JSON.parse(Buffer.concat(chunks).toString()) as Omit<ChildOrders, 'documents'> & {
    readonly documents: readonly string[];
  };
  const gate = { soakMs: 0, approvals: 0 };
  const target = await connectTarget(QUIET, 'staging', {
    uri: new Secret(orders.uri),
    database: orders.database,
    gate,
  });
  const { writer } = accessTo(target);
  const identity = await writer.newIdentity();
  if (identity === undefined) throw new Error('a standalone keeps no identities');
  process.stdout.write(`${JSON.stringify({ ...identity, lsid: identity.lsid.toString('hex') })}\n`);
  const documents = orders.documents.map((document) => Buffer.from(document, 'base64'));
  if (orders.action === 'insert') await insertRaw(writer, orders.collection, documents, { identity });
  else {
    const collection = await target.reader.collection(orders.collection);
    if (collection === undefined) throw new Error('there is nothing to remove from');
    await writer.remove(collection, documents, { identity });
  }
  process.stdout.write('answered\n');
  setInterval(() => undefined, 1_000); // until it is killed
}

if (isStarted(import.meta.filename)) void main();

/** A port at which connecting neither succeeds nor fails, like an address behind a firewall that says nothing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { guardProcess } from './guard.ts';
import { freePort } from './server-process.ts';

export interface BlackHole {
  readonly port: number;
  /** True when a connection that had to hang came to anything after all. */
  refusedOrTaken(): boolean;
  close(): void;
}

/** Listens, and never takes a connection off the queue: it sleeps, without taking any processor time. */
const LISTENER = `require('node:net').createServer().listen({ port: +process.argv[1], host: '127.0.0.1', backlog: 1 }, () => {
  process.stdout.write('listening');
  setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
});`;

export async function openBlackHole(): Promise<BlackHole> {
  const port = await freePort();
  const listener = spawn(process.execPath, ['-e', LISTENER, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  guardProcess(listener);
  await once(listener.stdout, 'data');
  const fillers: Socket[] = [];
  // The system still answers for the listener while its queue has room.
  for (let isFull = false; !isFull; ) {
    const filler = connect(port, '127.0.0.1');
    filler.on('error', () => undefined);
    fillers.push(filler);
    const isIn = await Promise.race([once(filler, 'connect').then(() => true), sleep(300, false)]);
    isFull = !isIn;
  }
  const last = fillers.at(-1) as Socket;
  return {
    port,
    refusedOrTaken: () => !last.connecting,
    close: () => {
      for (const filler of fillers) filler.destroy();
      listener.kill('SIGKILL');
    },
  };
}

/** A server as a child process: started until it answers, signalled and ended by its own handle. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { guardProcess } from './guard.ts';

export interface ServerCommand {
  /** For messages: `mongod`, `minio`. */
  readonly name: string;
  readonly binary: string;
  readonly arguments: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where its output goes; a file, so that a busy test can never block a server that logs. */
  readonly logFile: string;
  /** 127.0.0.1 port that accepts connections once the server is up. */
  readonly port: number;
}

export interface ServerProcess {
  readonly pid: number;
  /** Sends a signal, for instance SIGSTOP and SIGCONT to play a frozen machine. */
  signal(name: NodeJS.Signals): void;
  /** Kills the server (SIGKILL) and waits until it is gone. Safe to call twice. */
  kill(): Promise<void>;
  /** Asks it to shut down (SIGTERM), waits, and kills it after 10 s. */
  shutDown(): Promise<void>;
}

const START_DEADLINE_MS = 30_000;

export async function startServerProcess(command: ServerCommand): Promise<ServerProcess> {
  const log = openSync(command.logFile, 'a');
  const child = spawn(command.binary, command.arguments, {
    stdio: ['ignore', log, log],
    // No terminal signals for servers: Ctrl-C is for the program under test; the guard ends servers.
    detached: true,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...command.env },
  });
  closeSync(log);
  guardProcess(child);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  await waitUntilItAccepts(child, command);
  child.unref();
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (isOver()) return;
    child.ref();
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(timer);
  };
  return {
    pid: child.pid as number,
    signal: (name) => {
      child.kill(name);
    },
    kill: () => end('SIGKILL'),
    shutDown: () => end('SIGTERM'),
  };
}

async function waitUntilItAccepts(child: ChildProcess, command: ServerCommand): Promise<void> {
  const deadline = Date.now() + START_DEADLINE_MS;
  while (!(await accepts(command.port))) {
    const over = child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
    if (over || Date.now() > deadline) {
      child.kill('SIGKILL');
      const tail = readFileSync(command.logFile, 'utf8').slice(-2000);
      throw new Error(`${command.name} ${over ? 'ended while starting' : 'did not start in time'}:\n${tail}`);
    }
    await sleep(20);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/**
 * A free port on 127.0.0.1 below the range that outgoing connections use, so that a server can be stopped and
 * started again on it without finding it taken.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/** Lets a server listen on a port of 127.0.0.1 that the system picks. */
export async function listenLocally(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

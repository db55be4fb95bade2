/**
 * A TCP proxy between a client and a server that breaks connections at a chosen byte, or makes them slow.
 * It never parses what it passes on, so it serves S3 and MongoDB alike.
 */
import { connect, createServer, type Socket } from 'node:net';
import { FaultList, type SetFault } from './fault-list.ts';
import { type Paced, pace } from './pacing.ts';
import { listenLocally } from './server-process.ts';

export interface ProxyOptions {
  /** Port on 127.0.0.1 that connections are passed on to. */
  readonly to: number;
  /** Milliseconds that bytes from the server are held back: the round-trip time that the client sees. */
  readonly latencyMs?: number;
  /** Bytes per second from the server, for each connection. */
  readonly bytesPerSecond?: number;
}

export interface Fault {
  /**
   * reset: the client's connection is cut with RST · close: it ends with FIN after a short body · stall: it stays open and
   * says nothing more · flip: one bit is flipped and all goes on.
   */
  readonly kind: 'reset' | 'close' | 'stall' | 'flip';
  /** Which way the bytes that are counted flow; default from the server to the client. */
  readonly direction?: 'fromServer' | 'toServer';
  /** The fault hits the byte after this many; counted over all connections since the fault was set, and again after each hit. */
  readonly afterBytes: number;
  /** How often it hits; default once. */
  readonly times?: number;
}

export interface TcpProxy {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Bytes passed on so far. */
  readonly bytes: { readonly fromServer: number; readonly toServer: number };
  setFault(fault: Fault): SetFault;
  /** Cuts every open connection with RST. */
  resetAll(): void;
  /** Refuses new connections (they are reset) until `accept`. */
  refuse(): void;
  accept(): void;
  stop(): Promise<void>;
}

type Direction = NonNullable<Fault['direction']>;

/** Passed on as it comes: that this machine waits to fill a segment is no part of the line. */
const NO_DELAY = true;

export async function startTcpProxy(options: ProxyOptions): Promise<TcpProxy> {
  const open = new Set<Socket>();
  const faults = new FaultList<CountingFault>();
  const bytes = { fromServer: 0, toServer: 0 };
  let connections = 0;
  let isRefusing = false;

  const memory = new Memory();
  const judge: Judge = (chunk, direction) => {
    const outcome = strike(faults, chunk, direction);
    bytes[direction] += outcome.pass.length;
    return outcome;
  };
  const server = createServer({ noDelay: NO_DELAY }, (client) => {
    connections++;
    if (isRefusing) {
      client.resetAndDestroy();
      return;
    }
    open.add(client);
    client.once('close', () => open.delete(client));
    join(client, { ...options, judge, memory });
  });
  return {
    port: await listenLocally(server),
    get connections() {
      return connections;
    },
    bytes,
    setFault: (fault) => faults.set({ ...fault, counted: 0 }),
    resetAll: () => {
      for (const client of open) client.resetAndDestroy();
    },
    refuse: () => {
      isRefusing = true;
    },
    accept: () => {
      isRefusing = false;
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const client of open) client.destroy();
      await closed;
    },
  };
}

interface CountingFault extends Fault {
  /** Bytes that have passed since the fault was set or last hit. */
  counted: number;
}

/** The part of a chunk that still passes, and what then happens to the connection. */
interface Outcome {
  readonly pass: Buffer;
  readonly end?: 'reset' | 'close' | 'stall';
}

function strike(faults: FaultList<CountingFault>, chunk: Buffer, direction: Direction): Outcome {
  for (const live of faults.live()) {
    const { fault } = live;
    if ((fault.direction ?? 'fromServer') !== direction) continue;
    const room = fault.afterBytes - fault.counted;
    fault.counted += chunk.length;
    if (chunk.length <= room) continue;
    live.hits++;
    fault.counted = 0;
    if (fault.kind !== 'flip') return { pass: chunk.subarray(0, room), end: fault.kind };
    const flipped = Buffer.from(chunk);
    flipped[room] = (flipped[room] as number) ^ 1;
    return { pass: flipped };
  }
  return { pass: chunk };
}

type Judge = (chunk: Buffer, direction: Direction) => Outcome;

/** As much as loopback hands over at once. */
const READ_BYTES = 256 * 1024;

/**
 * Memory for what is on its way from the server, lent again and again: to take new memory for every piece can cost more than all else that
 * the proxy does, and a line that is slowed down by that measures nothing.
 */
class Memory {
  readonly #free: Buffer[] = [];

  readonly take = (): Buffer => this.#free.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES);

  readonly giveBack = (buffer: Buffer): void => void this.#free.push(buffer);
}

interface Line extends ProxyOptions {
  readonly judge: Judge;
  readonly memory: Memory;
}

/** Passes bytes both ways until one side ends or a fault does. */
function join(client: Socket, { judge, memory, ...options }: Line): void {
  const pass = (write: Paced, direction: Direction, chunk: Buffer, passed?: () => void): void => {
    const { pass: rest, end } = judge(chunk, direction);
    if (rest.length > 0) write(rest, passed);
    if (end === 'stall') {
      client.pause();
      upstream.pause();
    } else if (end !== undefined) {
      upstream.destroy();
      if (end === 'reset') client.resetAndDestroy();
      else client.end();
    }
  };
  const upstream = connect({
    ...{ port: options.to, host: '127.0.0.1', noDelay: NO_DELAY },
    onread: {
      buffer: memory.take,
      callback: (length, buffer) => {
        const lent = buffer as Buffer;
        pass(fromServer, 'fromServer', lent.subarray(0, length), () => memory.giveBack(lent));
        return true;
      },
    },
  });
  const toServer = pace(client, upstream, {});
  const fromServer = pace(upstream, client, options);
  client.on('data', (chunk: Buffer) => pass(toServer, 'toServer', chunk));
  const endBoth = (): void => {
    client.destroy();
    upstream.destroy();
  };
  for (const [from, write] of [
    [client, toServer],
    [upstream, fromServer],
  ] as const) {
    from.on('end', () => write(undefined));
    from.on('error', endBoth);
  }
  client.on('close', endBoth);
}

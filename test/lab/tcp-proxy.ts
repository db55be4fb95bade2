/**
 * A TCP proxy between a client and a server that breaks connections at a chosen byte, or makes them slow.
 * It never parses what it passes on, so it serves S3 and MongoDB alike.
 */
import { connect, createServer, type Socket } from 'node:net';
import { FaultList, type SetFault } from './fault-list.ts';
import { pace } from './pacing.ts';
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

export async function startTcpProxy(options: ProxyOptions): Promise<TcpProxy> {
  const open = new Set<Socket>();
  const faults = new FaultList<CountingFault>();
  const bytes = { fromServer: 0, toServer: 0 };
  let connections = 0;
  let isRefusing = false;

  // Passed on as it comes: that this machine waits to fill a segment is no part of the line.
  const noDelay = true;
  const server = createServer({ noDelay }, (client) => {
    connections++;
    if (isRefusing) {
      client.resetAndDestroy();
      return;
    }
    open.add(client);
    client.once('close', () => open.delete(client));
    join(client, connect({ port: options.to, host: '127.0.0.1', noDelay }), options, (chunk, direction) => {
      const outcome = strike(faults, chunk, direction);
      bytes[direction] += outcome.pass.length;
      return outcome;
    });
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

/** Passes bytes both ways until one side ends or a fault does. */
function join(
  client: Socket,
  upstream: Socket,
  options: ProxyOptions,
  judge: (chunk: Buffer, direction: Direction) => Outcome,
): void {
  const endBoth = (): void => {
    client.destroy();
    upstream.destroy();
  };
  const forward = (from: Socket, to: Socket, direction: Direction): void => {
    const write = pace(from, to, direction === 'fromServer' ? options : {});
    from.on('data', (chunk: Buffer) => {
      const { pass, end } = judge(chunk, direction);
      if (pass.length > 0) write(pass);
      if (end === 'stall') {
        client.pause();
        upstream.pause();
      } else if (end !== undefined) {
        upstream.destroy();
        if (end === 'reset') client.resetAndDestroy();
        else client.end();
      }
    });
    from.on('end', () => write(undefined));
    from.on('error', endBoth);
  };
  forward(client, upstream, 'toServer');
  forward(upstream, client, 'fromServer');
  client.on('close', endBoth);
}

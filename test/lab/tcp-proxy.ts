/**
 * A TCP proxy between a client and a server that breaks connections at a chosen byte, or makes them slow.
 * It never parses what it passes on, so it serves S3 and MongoDB alike.
 */
import { connect, createServer, type Socket } from 'node:net';
import { pace } from './pacing.ts';

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
   * reset: the client's connection is cut with RST · close: it ends with FIN after a short body · stall: it stays open and says nothing more ·
   * flip: one bit is flipped and all goes on.
   */
  readonly kind: 'reset' | 'close' | 'stall' | 'flip';
  /** Which way the bytes that are counted flow; default from the server to the client. */
  readonly direction?: 'fromServer' | 'toServer';
  /** The fault hits the byte after this many; counted over all connections since the fault was set, and again after each hit. */
  readonly afterBytes: number;
  /** How often it hits; default once. */
  readonly times?: number;
}

export interface SetFault {
  /** How often it has hit. A fault test asserts this: a fault that never fired proves nothing. */
  readonly hits: number;
  remove(): void;
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

interface ActiveFault {
  readonly fault: Fault;
  counted: number;
  hits: number;
  isRemoved: boolean;
}

export async function startTcpProxy(options: ProxyOptions): Promise<TcpProxy> {
  const open = new Set<Socket>();
  const faults: ActiveFault[] = [];
  const bytes = { fromServer: 0, toServer: 0 };
  let connections = 0;
  let isRefusing = false;

  /** The part of a chunk that still passes, and what then happens to the connection. */
  const strike = (chunk: Buffer, direction: Direction): { pass: Buffer; kind?: Fault['kind'] } => {
    for (const active of faults) {
      const { fault } = active;
      if (active.isRemoved || (fault.direction ?? 'fromServer') !== direction) continue;
      if (active.hits >= (fault.times ?? 1)) continue;
      const room = fault.afterBytes - active.counted;
      active.counted += chunk.length;
      if (chunk.length <= room) continue;
      active.hits++;
      active.counted = 0;
      if (fault.kind !== 'flip') return { pass: chunk.subarray(0, room), kind: fault.kind };
      const flipped = Buffer.from(chunk);
      flipped[room] = (flipped[room] as number) ^ 1;
      return { pass: flipped };
    }
    return { pass: chunk };
  };

  const server = createServer((client) => {
    connections++;
    if (isRefusing) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(options.to, '127.0.0.1');
    open.add(client);
    const end = (): void => {
      open.delete(client);
      client.destroy();
      upstream.destroy();
    };
    const forward = (from: Socket, to: Socket, direction: Direction): void => {
      const write = direction === 'fromServer' ? pace(from, to, options) : writeWithPressure(from, to);
      from.on('data', (chunk: Buffer) => {
        const { pass, kind } = strike(chunk, direction);
        bytes[direction] += pass.length;
        if (pass.length > 0) write(pass);
        if (kind === 'reset') {
          upstream.destroy();
          client.resetAndDestroy();
        } else if (kind === 'close') {
          upstream.destroy();
          client.end();
        } else if (kind === 'stall') {
          client.pause();
          upstream.pause();
        }
      });
      from.on('end', () => write(undefined));
      from.on('error', end);
      from.on('close', () => {
        if (from.errored !== null || direction === 'toServer') end();
      });
    };
    forward(client, upstream, 'toServer');
    forward(upstream, client, 'fromServer');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return {
    port: address.port,
    get connections() {
      return connections;
    },
    bytes,
    setFault: (fault) => {
      const active: ActiveFault = { fault, counted: 0, hits: 0, isRemoved: false };
      faults.push(active);
      return {
        get hits() {
          return active.hits;
        },
        remove: () => {
          active.isRemoved = true;
        },
      };
    },
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

function writeWithPressure(from: Socket, to: Socket): (chunk: Buffer | undefined) => void {
  to.on('drain', () => from.resume());
  return (chunk) => {
    if (chunk === undefined) to.end();
    else if (!to.write(chunk)) from.pause();
  };
}

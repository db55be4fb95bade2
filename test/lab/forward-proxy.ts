/** A proxy as it stands between a company and the internet: tunnels by CONNECT, passes on requests for whole http addresses. */
import { createServer, type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { listenLocally } from './server-process.ts';

export interface ForwardProxy {
  /** `127.0.0.1:port` */
  readonly address: string;
  /** What it was asked for, in order: `CONNECT host:port`, `GET http://…`. */
  readonly asked: readonly string[];
  stop(): Promise<void>;
}

export interface ForwardProxyOptions {
  /** `user:password` that it asks for. */
  readonly login?: string;
  /** Answers everything with this status. */
  readonly refuses?: number;
}

export async function startForwardProxy({ login, refuses }: ForwardProxyOptions = {}): Promise<ForwardProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const wanted = login && `Basic ${Buffer.from(login).toString('base64')}`;
  const refusal = ({ headers }: IncomingMessage): number | undefined =>
    refuses ?? (wanted === undefined || headers['proxy-authorization'] === wanted ? undefined : 407);
  const server = createServer((incoming, outgoing) => {
    const { method, url = '', headers } = incoming;
    asked.push(`${method} ${url}`);
    const refused = refusal(incoming);
    if (refused !== undefined) {
      outgoing.writeHead(refused, { 'content-type': 'text/html' }).end('<html>no</html>');
      return;
    }
    const { 'proxy-authorization': _, ...passed } = headers;
    const upstream = request(url, { method, headers: passed }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    upstream.on('error', () => outgoing.destroy());
    incoming.pipe(upstream);
  });
  server.on('connect', (incoming: IncomingMessage, client: Socket) => {
    asked.push(`CONNECT ${incoming.url}`);
    client.on('error', () => client.destroy());
    const refused = refusal(incoming);
    if (refused !== undefined) {
      client.end(`HTTP/1.1 ${refused} Refused\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nno`);
      return;
    }
    const [, host = '', port] = /^(.*):(\d+)$/.exec(incoming.url ?? '') ?? [];
    const upstream = connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(upstream).pipe(client);
    });
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy());
    client.on('close', () => upstream.destroy());
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  return {
    address: `127.0.0.1:${await listenLocally(server)}`,
    asked,
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

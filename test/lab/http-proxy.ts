/**
 * An HTTP proxy in front of the S3 server whose answers a test can replace or change: 503 bursts, HTML instead of data,
 * wrong ranges. Requests pass unchanged with their Host header, so their signatures stay valid.
 */
import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import { pipeline } from 'node:stream/promises';
import { FaultList, type SetFault } from './fault-list.ts';
import { listenLocally } from './server-process.ts';

export interface HttpRequestFacts {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

export interface HttpFault {
  /** Which requests it hits; default every one. */
  readonly when?: (request: HttpRequestFacts) => boolean;
  /** How often it hits; default once. */
  readonly times?: number;
  /** Answered in the server's place. */
  readonly answer?: HttpAnswer;
  /** Headers sent on instead of the request's own; `undefined` removes one. Signed headers must stay. */
  readonly requestHeaders?: Readonly<Record<string, string | undefined>>;
  /** Changes the server's own answer, given whole. */
  readonly rewrite?: (answer: Required<HttpAnswer>) => HttpAnswer;
  /** Runs before the request is passed on, for instance to replace the object at just this moment. */
  readonly before?: () => Promise<unknown>;
}

export interface HttpProxy {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  /** Every request so far, in order. */
  readonly requests: readonly HttpRequestFacts[];
  setFault(fault: HttpFault): SetFault;
  stop(): Promise<void>;
}

/** `to` is the port of the real server on 127.0.0.1. */
export async function startHttpProxy(to: number): Promise<HttpProxy> {
  const faults = new FaultList<HttpFault>();
  const requests: HttpRequestFacts[] = [];
  const server = createServer((incoming, outgoing) => {
    const facts = { method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers };
    requests.push(facts);
    const live = faults.live().find(({ fault }) => fault.when?.(facts) ?? true);
    if (live !== undefined) live.hits++;
    const fault = live?.fault ?? {};
    const pass = (): Promise<void> => passOn({ incoming, outgoing, to }, fault);
    (fault.before?.() ?? Promise.resolve()).then(pass).catch(() => outgoing.destroy());
  });
  return {
    endpoint: `http://127.0.0.1:${await listenLocally(server)}`,
    requests,
    setFault: (fault) => faults.set(fault),
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly to: number;
}

async function passOn({ incoming, outgoing, to }: Exchange, fault: HttpFault): Promise<void> {
  const send = ({ status, headers, body }: HttpAnswer): void => {
    outgoing.writeHead(status, headers).end(body);
  };
  if (fault.answer !== undefined) {
    incoming.resume();
    send(fault.answer);
    return;
  }
  const headers = { ...incoming.headers, ...fault.requestHeaders };
  for (const [name, value] of Object.entries(headers)) if (value === undefined) delete headers[name];
  const { method, url } = incoming;
  const upstream = request({ port: to, host: '127.0.0.1', path: url, method, headers });
  outgoing.on('close', () => upstream.destroy());
  incoming.pipe(upstream);
  const [answer] = (await once(upstream, 'response')) as [IncomingMessage];
  const status = answer.statusCode ?? 502;
  if (fault.rewrite !== undefined) {
    send(fault.rewrite({ status, headers: textHeaders(answer.headers), body: await readWhole(answer) }));
    return;
  }
  outgoing.writeHead(status, answer.headers);
  await pipeline(answer, outgoing);
}

async function readWhole(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function textHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

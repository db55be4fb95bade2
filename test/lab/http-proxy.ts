/**
 * An HTTP proxy in front of the S3 server whose answers a test can replace or change: 503 bursts, HTML instead of data,
 * wrong ranges. Requests pass unchanged with their Host header, so their signatures stay valid.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';

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

export interface SetHttpFault {
  /** How often it has hit. */
  readonly hits: number;
  remove(): void;
}

export interface HttpProxy {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  /** Every request so far, in order. */
  readonly requests: readonly HttpRequestFacts[];
  setFault(fault: HttpFault): SetHttpFault;
  stop(): Promise<void>;
}

interface ActiveFault {
  readonly fault: HttpFault;
  hits: number;
  isRemoved: boolean;
}

/** `to` is the port of the real server on 127.0.0.1. */
export async function startHttpProxy(to: number): Promise<HttpProxy> {
  const faults: ActiveFault[] = [];
  const requests: HttpRequestFacts[] = [];
  const server = createServer((incoming, outgoing) => {
    const facts = { method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers };
    requests.push(facts);
    const active = faults.find(
      ({ fault, hits, isRemoved }) =>
        !isRemoved && hits < (fault.times ?? 1) && (fault.when?.(facts) ?? true),
    );
    if (active !== undefined) active.hits++;
    const fault = active?.fault ?? {};
    const send = ({ status, headers, body }: HttpAnswer): void => {
      outgoing.writeHead(status, headers).end(body);
    };
    const passOn = (): void => {
      if (fault.answer !== undefined) {
        incoming.resume();
        send(fault.answer);
        return;
      }
      const headers = { ...incoming.headers, ...fault.requestHeaders };
      for (const [name, value] of Object.entries(headers)) if (value === undefined) delete headers[name];
      const upstream = request({
        port: to,
        host: '127.0.0.1',
        path: facts.url,
        method: facts.method,
        headers,
      });
      upstream.on('error', () => outgoing.destroy());
      outgoing.on('close', () => upstream.destroy());
      upstream.on('response', (answer) => {
        if (fault.rewrite === undefined) {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(outgoing);
          return;
        }
        const { rewrite } = fault;
        readWhole(answer).then((body) =>
          send(rewrite({ status: answer.statusCode ?? 502, headers: textHeaders(answer.headers), body })),
        );
      });
      incoming.pipe(upstream);
    };
    (fault.before?.() ?? Promise.resolve()).then(passOn, () => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    requests,
    setFault: (fault) => {
      const active: ActiveFault = { fault, hits: 0, isRemoved: false };
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
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function readWhole(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function textHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

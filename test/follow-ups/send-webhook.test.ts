/** Webhooks against a real HTTP server. */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as assert from 'uvu/assert';
import type { RunEvent } from '../../src/events.ts';
import type { ActionEnd } from '../../src/plan/follow-ups/kind.ts';
import { sendWebhook, type WebhookDelivery } from '../../src/plan/follow-ups/webhook.ts';
import type { Run } from '../../src/run.ts';
import { Secret } from '../../src/secret.ts';
import { test } from '../harness.ts';

interface Received {
  readonly method: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

let server: Server;
let received: Received[];
let events: RunEvent[];
/** Answers of the server, first to last; the last one is repeated. */
let answers: ((response: ServerResponse) => void)[];

test.before.each(async () => {
  received = [];
  events = [];
  answers = [(response) => response.end()];
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    received.push({
      method: request.method,
      headers: request.headers,
      body: Buffer.concat(chunks).toString(),
    });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    answer?.(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
test.after.each(() => {
  server.closeAllConnections();
  server.close();
});

const address = (): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/token-in-the-path`;
const status =
  (code: number, headers: Record<string, string> = {}) =>
  (response: ServerResponse) => {
    response.writeHead(code, headers).end(`answer ${code}`);
  };

type Given = Partial<WebhookDelivery & Pick<Run, 'emit' | 'signal'>>;

function send({
  emit = (event) => events.push(event),
  signal = new AbortController().signal,
  ...more
}: Given = {}): Promise<ActionEnd> {
  return sendWebhook(
    { emit, signal },
    {
      secret: undefined,
      body: '{"text":"é"}',
      delivery: 'delivery-1',
      timeoutMs: 5_000,
      what: 'follow-up "x"',
      firstDelayMs: 10,
      url: more.url ?? new Secret(address()),
      ...more,
    },
  );
}

test('the body arrives as JSON, signed with the key', async () => {
  const end = await send({ secret: new Secret('key-of-the-signature') });
  assert.equal(end, { succeeded: true, detail: 'HTTP 200', output: undefined });
  const [{ method, headers, body } = {} as Received] = received;
  assert.is(method, 'POST');
  assert.is(headers['content-type'], 'application/json');
  assert.is(body, '{"text":"é"}');
  const hmac = createHmac('sha256', 'key-of-the-signature').update(body).digest('hex');
  assert.is(headers['x-restore-plan-signature'], `sha256=${hmac}`);
  assert.is(headers['x-restore-plan-delivery'], 'delivery-1');
});

test('without a key there is no signature', async () => {
  await send();
  assert.is(received[0]?.headers['x-restore-plan-signature'], undefined);
});

test(
  'a receiver in trouble is asked again, with the same delivery',
  async () => {
    answers = [
      status(503),
      status(429, { 'retry-after': '1' }),
      (response) => response.destroy(),
      status(204),
    ];
    const started = performance.now();
    const end = await send();
    assert.equal([end.succeeded, end.detail], [true, 'HTTP 204']);
    assert.is(received.length, 4);
    assert.equal(new Set(received.map(({ headers }) => headers['x-restore-plan-delivery'])).size, 1);
    assert.equal(
      events.map((event) => event.type === 'retry' && event.attempt),
      [1, 2, 3],
    );
    assert.ok(performance.now() - started >= 1_000, 'retry-after is kept');
  },
  { deadlineMs: 20_000 },
);

test('a refusal is not repeated; the beginning of the answer is kept', async () => {
  answers = [status(403)];
  assert.equal(await send(), { succeeded: false, detail: 'HTTP 403', output: 'answer 403' });
  assert.is(received.length, 1);
});

test('an answer that echoes the address, or a key of it, does not tell them', async () => {
  answers = [
    (response) => response.writeHead(404).end('Cannot POST /hooks/token-in-the-path'),
    (response) => response.writeHead(403).end('{"error":"token-in-the-path is revoked"}'),
  ];
  assert.is((await send()).output, 'Cannot POST [redacted]');
  assert.is((await send()).output, '{"error":"[redacted] is revoked"}');
});

test('an answer without end is not waited for', async () => {
  answers = [
    (response) => {
      response.writeHead(400);
      const more = (): void => void response.write('x'.repeat(64 * 1024), (error) => error ?? more());
      more();
    },
  ];
  assert.is((await send()).output, 'x'.repeat(300));
});

test('a redirect is not followed', async () => {
  answers = [status(302, { location: '/elsewhere' })];
  assert.is((await send()).detail, 'HTTP 302');
  assert.is(received.length, 1);
});

test(
  'a receiver that never answers is given up after five times',
  async () => {
    answers = [() => undefined];
    const end = await send({ timeoutMs: 100 });
    assert.equal([end.succeeded, end.detail], [false, 'no answer within 0.1 s']);
    assert.is(received.length, 5);
  },
  { deadlineMs: 30_000 },
);

test('an address out of reach is a failure that does not tell the address', async () => {
  const url = new Secret(address());
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
  const controller = new AbortController();
  const end = await send({
    url,
    signal: controller.signal,
    emit: (event) => {
      events.push(event);
      if (events.length === 2) controller.abort();
    },
  });
  assert.match(end.detail, /^stopped with this run, after ECONNREFUSED$/);
  assert.not.match(JSON.stringify([end, events]), /token-in-the-path|127\.0\.0\.1/);
});

test('a status counts also where the text behind it hangs or is cut off', async () => {
  answers = [
    (response) => {
      response.writeHead(404).write('no such hook');
    },
  ];
  const hanging = await send({ timeoutMs: 300 });
  assert.equal(hanging, { succeeded: false, detail: 'HTTP 404', output: 'no such hook' });
  assert.is(received.length, 1, 'what is not there is not asked for again');
  answers = [(response) => response.destroy()];
  const cut = await send();
  assert.match(cut.detail, /^the connection was closed before an answer came/);
});

test('what is no address at all is not tried again', async () => {
  const end = await send({ url: new Secret('nonsense') });
  assert.equal([end.succeeded, end.detail, events.length], [false, 'the address is not valid', 0]);
});

test.run();

/**
 * The way to a server: straight, or through the proxy that the environment names, by the rules of the AWS tools: `https_proxy` or
 * `HTTPS_PROXY` for addresses with https (and `http_proxy` alike), except for hosts in `no_proxy` or `NO_PROXY`.
 */
import { type AgentOptions, type ClientRequest, Agent as PlainAgent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { connect, type Socket } from 'node:net';
import { env } from 'node:process';
import { checkServerIdentity as checkIdentity, connect as connectTls, type PeerCertificate } from 'node:tls';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { RestorePlanError } from '../../errors.ts';
import type { Environment } from '../../plan/interpolate.ts';
import { registerSecret } from '../../secret.ts';

/** The proxy for an address, such as `http://proxy.example:3128`; undefined = straight. Throws BACKUP when it is not an address. */
export function proxyFor(address: URL, variables: Environment): URL | undefined {
  const read = (name: string): string => variables[name] || variables[name.toUpperCase()] || '';
  const scheme = address.protocol.slice(0, -1);
  const text = read(`${scheme}_proxy`);
  if (text === '' || isExempt(address, read('no_proxy'))) return undefined;
  if (text.includes('@')) registerSecret(text);
  const written = text.includes('://') ? text : `http://${text}`;
  const proxy = URL.canParse(written) ? new URL(written) : undefined;
  if (proxy !== undefined && /^https?:$/.test(proxy.protocol)) {
    if (isEscaped(proxy.username) && isEscaped(proxy.password)) return proxy;
    throw new RestorePlanError('BACKUP', `the user or password in ${scheme}_proxy cannot be read`, {
      hint: 'Characters such as @ : / % are written %40 %3A %2F %25 there.',
    });
  }
  throw new RestorePlanError('BACKUP', `${scheme}_proxy does not name a proxy for HTTP`, {
    hint: 'It must look like http://proxy.example:3128; SOCKS is not supported. Where none is needed, unset it or put the host into NO_PROXY.',
  });
}

/** Each `%` begins a character that is written in numbers. */
function isEscaped(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** `*`; or names, addresses and domains, each with all that lies below it and perhaps a port: `.internal,10.0.0.7,minio:9000`. */
function isExempt({ hostname, port, protocol }: URL, list: string): boolean {
  const ownPort = port || (protocol === 'https:' ? '443' : '80');
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === '*') return true;
    // What has several colons is an IPv6 address, with a port only where it stands in brackets.
    const parts = /^\*?\.?(?:(\[.*\]|[^:]*)(?::(\d+))?|(.*))$/.exec(entry.toLowerCase()) ?? [];
    const [, host, atPort = ownPort, name = host ?? ''] = parts;
    if (name === '' || atPort !== ownPort) return false;
    return hostname === name || hostname === `[${name}]` || hostname.endsWith(`.${name}`);
  });
}

/** The agents of a client, for addresses with http and with https. */
export interface Routes {
  readonly httpAgent: PlainAgent;
  readonly httpsAgent: PlainAgent;
  /** The proxy that the last request went through, without credentials. */
  readonly proxy: () => string | undefined;
}

/** Reads the environment of the process, as the SDK does for its credentials. */
export function routesToServers(options: AgentOptions): Routes {
  const straight = { httpAgent: new PlainAgent(options), httpsAgent: new TlsAgent(options) };
  if (!Object.keys(env).some((name) => /^https?_proxy$/i.test(name))) {
    return { ...straight, proxy: () => undefined };
  }
  let last: string | undefined;
  const used = (proxy: URL | undefined): void => {
    last = proxy && `${proxy.protocol}//${proxy.host}`;
  };
  return {
    httpAgent: new RoutingAgent(straight.httpAgent, used),
    httpsAgent: new RoutingAgent(straight.httpsAgent, used),
    proxy: () => last,
  };
}

/** What Node gives an agent together with a request. */
interface Destination {
  readonly host: string;
  readonly port: number;
}

/** By this method Node hands its requests to an agent, while they are made and before anything of them is sent. */
interface RequestTaker extends PlainAgent {
  addRequest(request: ClientRequest, destination: Destination): void;
}

/** Decides for each request: after a redirect to another region, the SDK asks another host. */
class RoutingAgent extends PlainAgent {
  readonly #straight: PlainAgent;
  readonly #used: (proxy: URL | undefined) => void;
  readonly #proxied = new Map<string, PlainAgent>();
  /** Node asks for it. */
  readonly protocol: 'http:' | 'https:';

  constructor(straight: PlainAgent, used: (proxy: URL | undefined) => void) {
    super();
    this.#straight = straight;
    this.#used = used;
    this.protocol = straight instanceof TlsAgent ? 'https:' : 'http:';
  }

  addRequest(request: ClientRequest, destination: Destination): void {
    const { host, port } = destination;
    const proxy = proxyFor(
      new URL(`${this.protocol}//${host.includes(':') ? `[${host}]` : host}:${port}`),
      env,
    );
    this.#used(proxy);
    const agent = (proxy === undefined ? this.#straight : this.#agentOf(proxy)) as RequestTaker;
    // A tunnel to an address in numbers would be held against the name "localhost".
    const checkServerIdentity = (_name: string, certificate: PeerCertificate): Error | undefined =>
      checkIdentity(host, certificate);
    const tunnelled = { ...destination, secureEndpoint: true, checkServerIdentity };
    agent.addRequest(request, agent instanceof HttpsProxyAgent ? tunnelled : destination);
  }

  override destroy(): void {
    super.destroy();
    this.#straight.destroy();
    for (const agent of this.#proxied.values()) agent.destroy();
  }

  #agentOf(proxy: URL): PlainAgent {
    const kept = this.#proxied.get(proxy.href);
    if (kept !== undefined) return kept;
    const options = { keepAlive: true, maxSockets: this.#straight.maxSockets };
    const isTunnel = this.protocol === 'https:';
    const agent = isTunnel ? new HttpsProxyAgent(proxy, options) : new ForwardingAgent(proxy, options);
    this.#proxied.set(proxy.href, agent);
    return agent;
  }
}

/** Asks the proxy for whole addresses, as it wants it for http: many allow a tunnel to the port of https alone. */
class ForwardingAgent extends PlainAgent {
  readonly #proxy: URL;

  constructor(proxy: URL, options: AgentOptions) {
    super(options);
    this.#proxy = proxy;
  }

  addRequest(request: ClientRequest, destination: Destination): void {
    request.path = new URL(request.path, `http://${destination.host}:${destination.port}`).href;
    const { username, password } = this.#proxy;
    if (username !== '') {
      const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
      request.setHeader('proxy-authorization', `Basic ${Buffer.from(login).toString('base64')}`);
    }
    // @ts-expect-error Node's types do not have the method
    super.addRequest(request, destination);
  }

  override createConnection(): Socket {
    const { protocol, hostname, port } = this.#proxy;
    const host = hostname.replace(/^\[|\]$/g, '');
    if (protocol === 'https:') return connectTls({ host, port: Number(port || 443), servername: host });
    return connect({ host, port: Number(port || 80) });
  }
}

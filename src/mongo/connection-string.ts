/**
 * A connection string as the driver gets it: what would weaken the promises of a restore is taken out, and said; so is what this program
 * does not have. And why a login failed.
 */
import { createRequire } from 'node:module';
import * as zlib from 'node:zlib';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { Secret } from '../secret.ts';
import { ConnectionString } from './connection-url.ts';

interface CheckedConnectionString {
  readonly uri: Secret;
  /** One sentence per setting that was overridden; no credentials. */
  readonly notes: readonly string[];
  /** Whether it says as whom to log in. */
  readonly namesUser: boolean;
}

interface Override {
  /** Values that say what a restore insists on anyway. */
  readonly kept: readonly string[];
  readonly ours: string;
}

/** Settings replaced by ours, with what a restore insists on. */
const OVERRIDDEN: Readonly<Record<string, Override>> = {
  w: { kept: ['majority'], ours: 'every write waits for the majority' },
  journal: { kept: ['true'], ours: 'every write waits for the journal' },
  j: { kept: ['true'], ours: 'every write waits for the journal' },
  fsync: { kept: [], ours: 'every write waits for the journal' },
  minPoolSize: { kept: [], ours: 'connections are made when they are needed' },
  wtimeout: { kept: [], ours: 'waiting for the majority is bounded by the tool' },
  wtimeoutMS: { kept: [], ours: 'waiting for the majority is bounded by the tool' },
  readConcernLevel: { kept: ['majority'], ours: 'every read is at majority' },
  readPreference: { kept: ['primary'], ours: 'every read is from the primary' },
  readPreferenceTags: { kept: [], ours: 'every read is from the primary' },
  maxStalenessSeconds: { kept: [], ours: 'every read is from the primary' },
  timeoutMS: { kept: [], ours: 'time limits are the tool’s' },
  socketTimeoutMS: { kept: [], ours: 'time limits are the tool’s' },
};

/** Throws RestorePlanError TARGET for text that is no MongoDB connection string; never quotes it. */
export function checkConnectionString(target: TargetName, uri: Secret): CheckedConnectionString {
  const parsed = parse(target, uri);
  const settings = parsed.searchParams;
  const notes: string[] = [];
  for (const name of new Set(settings.keys())) {
    const rule = overrideOf(name);
    const value = settings.get(name) ?? '';
    if (rule !== undefined && !rule.kept.includes(value)) {
      notes.push(`${target}: ${name}=${value} of the connection string is overridden: ${rule.ours}`);
    }
  }
  withoutOverridden(parsed);
  const leftOut = leaveOutCompressors(parsed);
  if (leftOut !== undefined) notes.push(`${target}: ${leftOut}`);
  if (settings.get('loadBalanced') === 'true') {
    throw new RestorePlanError('TARGET', `${target}: loadBalanced=true is not supported`, {
      hint: 'Connect to the members of the replica set, or to a mongos, directly.',
    });
  }
  const namesUser = parsed.username !== '' || settings.has('authMechanism');
  return { uri: new Secret(parsed.toString()), notes, namesUser };
}

/** Takes out what a restore replaces by its own. Returns the one that it was given. */
export function withoutOverridden(parsed: ConnectionString): ConnectionString {
  const settings = parsed.searchParams;
  for (const name of new Set(settings.keys())) if (overrideOf(name) !== undefined) settings.delete(name);
  return parsed;
}

/** What the driver takes for sure, by the name of the setting in lower case. */
const PLAIN: ReadonlyMap<string, RegExp> = new Map([
  ['appname', /./],
  ['authsource', /./],
  ['connecttimeoutms', /^\d+$/],
  ['maxpoolsize', /^[1-9]\d*$/],
  ['replicaset', /./],
  ['retryreads', /^(?:true|false)$/],
  ['retrywrites', /^(?:true|false)$/],
  ['serverselectiontimeoutms', /^\d+$/],
  ['ssl', /^(?:true|false)$/],
  ['tls', /^(?:true|false)$/],
]);

/** Whether every setting is one that the driver is known to take, so that it need not be asked. */
export function hasOnlyPlainSettings({ searchParams }: ConnectionString): boolean {
  const names = [...searchParams.keys()].map((name) => name.toLowerCase().replace(/^ssl$/, 'tls'));
  return (
    new Set(names).size === names.length &&
    [...searchParams].every(([name, value]) => PLAIN.get(name.toLowerCase())?.test(value) === true)
  );
}

const DEFAULT_PORT = 27_017;

/** The servers that a connection string names, as `host:port`, lower case; this machine always as 127.0.0.1. */
export function hostsOf(uri: Secret | undefined): string[] {
  if (uri === undefined) return [];
  let parsed: ConnectionString;
  try {
    parsed = new ConnectionString(uri.reveal(), { looseValidation: true });
  } catch {
    return [];
  }
  return parsed.hosts.map((host) => {
    const [, name = '', port = DEFAULT_PORT] = /^(.*?)(?::(\d+))?$/.exec(host.toLowerCase()) ?? [];
    return `${['localhost', '[::1]'].includes(name) ? '127.0.0.1' : name}:${port}`;
  });
}

/** Drivers read the names of settings in any case. */
function overrideOf(name: string): Override | undefined {
  return Object.entries(OVERRIDDEN).find(([known]) => known.toLowerCase() === name.toLowerCase())?.[1];
}

function parse(target: TargetName, uri: Secret): ConnectionString {
  const parsed = parseConnectionString(uri);
  if (parsed !== undefined) return parsed;
  throw new RestorePlanError('TARGET', `${target}: the connection string is not a valid MongoDB URI`, {
    hint: 'It must look like mongodb://host:27017/?replicaSet=name or mongodb+srv://host/. In a user name or password, characters such as @ : / % are written %40 %3A %2F %25.',
    facts: { target },
  });
}

/** Undefined for text that is no MongoDB connection string. */
export function parseConnectionString(uri: Secret): ConnectionString | undefined {
  try {
    const parsed = new ConnectionString(uri.reveal());
    return parsed.hosts.every(isServer) ? parsed : undefined;
  } catch {
    // The parser's message can quote the string, so it is neither shown nor kept as a cause.
    return undefined;
  }
}

/**
 * As the driver reads it. Where the `@` and what follows it were cut off, user and password stand in the place of a server, and the
 * driver would quote them.
 */
function isServer(host: string): boolean {
  if (host === '' || host.endsWith(':0')) return false;
  return host.endsWith('.sock') || URL.canParse(`mongodb://${host.replaceAll(' ', '%20')}`);
}

// Settings for which the driver needs a package that it does not bring. Most of them hold native code and
// cannot be packed into the program: where one is missing, a compressor is left out, and a way to connect is refused with what to
// use in its place.

const require = createRequire(import.meta.url);

function isInstalled(name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

const COMPRESSORS: Readonly<Record<string, () => boolean>> = {
  snappy: () => isInstalled('snappy'),
  // Part of Node.js 22.15 and newer.
  zstd: () => 'zstdCompress' in zlib || isInstalled('@mongodb-js/zstd'),
};

/**
 * Takes the compressors that are not there out of the connection string. Returns what is to be said about it, to follow the name of
 * the connection; undefined when there is nothing to say.
 */
export function leaveOutCompressors({ searchParams }: ConnectionString): string | undefined {
  const named = searchParams.get('compressors')?.split(',') ?? [];
  const missing = named.filter((name) => COMPRESSORS[name]?.() === false);
  if (missing.length === 0) return undefined;
  const rest = named.filter((name) => !missing.includes(name));
  searchParams.delete('compressors');
  if (rest.length > 0) searchParams.set('compressors', rest.join(','));
  const instead =
    rest.length > 0 ? `${rest.join(',')} is used` : 'nothing is compressed; zlib would be there';
  return `compressors=${missing.join(',')} of the connection string is left out, this program does not have it: ${instead}`;
}

interface MissingWay {
  /** `authMechanism=GSSAPI`; no credentials. */
  readonly setting: string;
  /** What the connection string may have in its place. */
  readonly instead: string;
}

/** The way to log in or to connect that a connection string asks for, where this program does not have it. */
export function missingWay(uri: string): MissingWay | undefined {
  let settings: URLSearchParams;
  try {
    settings = new ConnectionString(uri, { looseValidation: true }).searchParams;
  } catch {
    return undefined; // connecting says that it is not a connection string
  }
  if (settings.has('proxyHost') && !isInstalled('socks'))
    return {
      setting: 'proxyHost',
      instead: 'a connection without SOCKS, such as an SSH tunnel to the server',
    };
  if (settings.get('loadBalanced') === 'true')
    return {
      setting: 'loadBalanced=true',
      instead: 'the members of the replica set, or a mongos, directly',
    };
  const mechanism = settings.get('authMechanism')?.toUpperCase();
  if (mechanism === 'GSSAPI' && !isInstalled('kerberos')) {
    const instead = 'a user and a password (SCRAM, or PLAIN for LDAP), or a certificate (MONGODB-X509)';
    return { setting: 'authMechanism=GSSAPI', instead };
  }
  if (mechanism !== 'MONGODB-OIDC') return undefined;
  const where = /(?:^|,)ENVIRONMENT:([^,]*)/.exec(settings.get('authMechanismProperties') ?? '')?.[1];
  const setting = `authMechanism=MONGODB-OIDC ${where === undefined ? 'without ENVIRONMENT' : `with ENVIRONMENT:${where}`}`;
  const instead = 'ENVIRONMENT:azure or ENVIRONMENT:k8s in authMechanismProperties, or another way to log in';
  const isThere = where !== undefined && (where !== 'gcp' || isInstalled('gcp-metadata'));
  return isThere ? undefined : { setting, instead };
}

const AUTHENTICATION_FAILED = 18;
const MECHANISM_UNAVAILABLE = 334;
/** Atlas puts it on all its own refusals, of a login as of a command. */
const ATLAS_ERROR = 8000;

/**
 * What to say when the user could not be logged in, and what to do about it; undefined when something else went wrong. Goes by
 * codes, classes and the driver's label for what failed before the first command.
 */
export function loginFailure(cause: unknown): { readonly what: string; readonly hint: string } | undefined {
  const { name, code, codeName, hasErrorLabel } = (cause ?? {}) as {
    name?: unknown;
    code?: unknown;
    codeName?: unknown;
    hasErrorLabel?: (label: string) => boolean;
  };
  if (name === 'MongoAWSError') {
    return {
      what: 'no AWS credentials were found for authMechanism=MONGODB-AWS',
      hint: 'Log in (for instance `aws sso login`), or set AWS_PROFILE to a profile that this machine has.',
    };
  }
  if (code === MECHANISM_UNAVAILABLE) {
    return {
      what: 'the server does not offer the authMechanism of the connection string',
      hint: 'Correct authMechanism; without one, the server and the driver agree on SCRAM.',
    };
  }
  const isLogin = hasErrorLabel?.call(cause, 'HandshakeError') === true;
  if (code !== AUTHENTICATION_FAILED && !(code === ATLAS_ERROR && isLogin)) return undefined;
  const atlas =
    code === ATLAS_ERROR ? ' At Atlas it is a user of "Database Access", not of the website.' : '';
  return {
    what: `the server refused the user or the password (${typeof codeName === 'string' ? codeName : `code ${code}`})`,
    hint: `Check the user, the password and the authSource in the connection string; characters such as @ : / % are written %40 %3A %2F %25.${atlas}`,
  };
}

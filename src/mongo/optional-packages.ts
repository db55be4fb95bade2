/**
 * Settings of a connection string for which the driver needs a package that it does not bring. Most of them hold native code and
 * cannot be packed into the program: where one is missing, a compressor is left out, and a way to connect is refused with what to
 * use in its place.
 */
import { createRequire } from 'node:module';
import * as zlib from 'node:zlib';
import { ConnectionString } from 'mongodb-connection-string-url';

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

export interface MissingWay {
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
    return undefined; // whoever connects says that it is not a connection string
  }
  if (settings.has('proxyHost') && !isInstalled('socks'))
    return {
      setting: 'proxyHost',
      instead: 'a connection without SOCKS, such as an SSH tunnel to the server',
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

/**
 * S3, as a server that keeps objects.
 *
 * Alone because: it is loaded only for a plan that names S3.
 */

import { advice, type Remedy } from '../../advice.ts';
import { RestorePlanError } from '../../errors.ts';
import type { S3Location } from '../../plan/sources/s3.ts';
import type { Run } from '../../run.ts';
import { redact } from '../../secret.ts';
import type { FailedRequest, ObjectServer } from '../remote/object-server.ts';
import type { RemotePatience } from '../remote/patience.ts';
import { RemoteStore } from '../remote/remote-store.ts';
import type { Reading } from '../storage/store.ts';

export function openS3(
  run: Run,
  location: S3Location,
  patience: RemotePatience,
  reading?: Reading,
): RemoteStore {
  return new RemoteStore(run, s3Server(location), patience, reading);
}

function s3Server(location: S3Location): ObjectServer {
  return {
    scheme: 's3',
    bucket: location.bucket,
    name: 'S3',
    setting: 'source.s3.key',
    wrongServer: 'Is source.s3.endpoint an S3 server? A proxy or a login page may answer in its place.',
    wrongRange:
      'A proxy or a login page may stand between, or source.s3.endpoint is no S3 server. Nothing of it was used.',
    connect: async (timeouts) => (await import('./s3-client.ts')).connectS3(location, timeouts),
    readFault: readS3Fault,
    explain: explainS3Fault,
    isMissing,
    isRefusal: (error) => {
      const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
      return status !== undefined && status < 500;
    },
  };
}

function isMissing(error: unknown): boolean {
  const facts =
    error instanceof RestorePlanError ? (error.facts['s3'] as { error?: string; status?: number }) : {};
  return facts?.error === 'NoSuchKey' || (facts?.status === 404 && facts.error === 'NotFound');
}

// What went wrong with a request to S3: whether trying again may help, and a sentence for each thing an operator can
// put right. Goes by the error codes of S3, of Node's sockets and of TLS. S3's own sentence is passed on beside ours; it only ever
// makes the advice more exact, such as the name of the permission that is missing.

interface S3Fault {
  /** Completes "s3://bucket/key …" */
  readonly what: string;
  readonly hint: Remedy;
  /** Trying again may help. */
  readonly transient: boolean;
  /** The credentials were good once; a new client may find fresh ones. */
  readonly expired?: boolean;
}

interface Explanation {
  readonly what: string;
  readonly hint: Remedy;
}

const OBJECT_CHANGED: Explanation = {
  what: 'was replaced while it was being read',
  hint: 'Nothing read from it was used. Run again to read the new object, and check that it is the backup you mean.',
};
const NO_KEY: Explanation = {
  what: 'does not exist',
  hint: advice`Correct source.s3.key in the plan; ${{ command: 'backups' }} lists what is there.`,
};
const DENIED: Explanation = {
  what: 'may not be read with these credentials',
  hint: 'They need s3:GetObject on the object and s3:ListBucket on the bucket. Without the latter, S3 answers the same for a key that does not exist. Where the requester pays for the bucket, set source.s3.requestPayer: requester.',
};
const UNKNOWN_ACCESS_KEY: Explanation = {
  what: 'was refused: S3 does not know the access key',
  hint: 'Check AWS_ACCESS_KEY_ID, or the profile in AWS_PROFILE or source.s3.profile; with source.s3.endpoint, that the key is one of that server.',
};
const WRONG_SECRET_KEY: Explanation = {
  what: 'was refused: the secret key does not belong to the access key',
  hint: 'Check AWS_SECRET_ACCESS_KEY, or aws_secret_access_key of the profile in AWS_PROFILE or source.s3.profile. If it is right, something on the way to S3 changes requests.',
};
const BAD_SESSION_TOKEN: Explanation = {
  what: 'was refused: the session token of the AWS credentials is not valid',
  hint: 'Check AWS_SESSION_TOKEN: it belongs to one pair of keys, and must not be set beside keys of another. Or log in again.',
};
const NO_CREDENTIALS: Explanation = {
  what: 'cannot be read: no AWS credentials were found',
  hint: 'Log in (for instance `aws sso login`), or set AWS_PROFILE or source.s3.profile to a profile that this machine has.',
};
const EXPIRED: Explanation = {
  what: 'was refused: the AWS credentials have expired',
  hint: 'Log in again and run the command again; it resumes.',
};
const CLOCK: Explanation = {
  what: 'was refused because the clock of this machine is wrong',
  hint: 'S3 accepts requests whose time is within 15 minutes of its own. Set the clock and run again.',
};
const REGION: Explanation = {
  what: 'lies in another region than the one asked',
  hint: 'Set source.s3.region to the region of the bucket.',
};
const ARCHIVED: Explanation = {
  what: 'is archived (Glacier) and cannot be read as it is',
  hint: 'Restore the object in S3 first, which takes minutes to hours, or take another backup.',
};
const KMS_KEY: Explanation = {
  what: 'cannot be decrypted: its KMS key cannot be used',
  hint: 'Have the key enabled again, or its deletion cancelled; or take another backup.',
};
const TLS: Explanation = {
  what: 'cannot be read: the TLS certificate of the server is not trusted',
  hint: 'Check source.s3.endpoint; for a certificate authority of your own set NODE_EXTRA_CA_CERTS.',
};

const NO_TLS: Explanation = {
  what: 'cannot be read: the server does not speak TLS as this machine does',
  hint: 'Check source.s3.endpoint: perhaps its address begins with http://.',
};

/** Of a proxy that HTTPS_PROXY names, not of S3. */
const PROXY_LOGIN: Explanation = {
  what: 'cannot be reached: the proxy asks for a user and a password',
  hint: 'Put user:password@ before the host in HTTPS_PROXY (HTTP_PROXY for an endpoint with http://).',
};

/** What of the credentials or the plan cannot be used, by the code of Node, before anything is asked of a server. */
const UNUSABLE: Readonly<Record<string, Explanation>> = {
  ERR_INVALID_CHAR: {
    what: 'cannot be read: the AWS credentials hold a line break or a character that no request can carry',
    hint: 'Check AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN, or the profile in AWS_PROFILE or source.s3.profile: what is read from a file often ends in a line break.',
  },
  ERR_INVALID_URL: {
    what: 'cannot be read: its server has no valid address',
    hint: 'Correct source.s3.endpoint; it must look like https://s3.example:9000.',
  },
  ENOENT: {
    what: 'cannot be read: a file that the AWS credentials are read from is missing',
    hint: 'Check AWS_WEB_IDENTITY_TOKEN_FILE, and the files that the profile names.',
  },
  EACCES: {
    what: 'cannot be read: a file that the AWS credentials are read from may not be read',
    hint: 'Check AWS_WEB_IDENTITY_TOKEN_FILE, and the files that the profile names.',
  },
};

/** S3 error codes that no second try will change. */
const LASTING: Readonly<Record<string, Explanation>> = {
  NoSuchBucket: {
    what: 'cannot be read: the bucket does not exist',
    hint: 'Correct source.s3.bucket, or source.s3.endpoint if it lies elsewhere.',
  },
  NoSuchKey: NO_KEY,
  NoSuchVersion: OBJECT_CHANGED,
  PreconditionFailed: OBJECT_CHANGED,
  InvalidRange: OBJECT_CHANGED,
  AccessDenied: DENIED,
  AllAccessDisabled: DENIED,
  InvalidAccessKeyId: UNKNOWN_ACCESS_KEY,
  InvalidClientTokenId: UNKNOWN_ACCESS_KEY,
  SignatureDoesNotMatch: WRONG_SECRET_KEY,
  InvalidToken: BAD_SESSION_TOKEN,
  CredentialsProviderError: NO_CREDENTIALS,
  TokenProviderError: EXPIRED,
  RequestTimeTooSkewed: CLOCK,
  PermanentRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  IllegalLocationConstraintException: REGION,
  InvalidObjectState: ARCHIVED,
  'KMS.DisabledException': KMS_KEY,
  'KMS.InvalidStateException': KMS_KEY,
  'KMS.KMSInvalidStateException': KMS_KEY,
  'KMS.NotFoundException': KMS_KEY,
  InvalidBucketName: {
    what: 'cannot be read: S3 does not accept this name of a bucket',
    hint: 'Correct source.s3.bucket; a server that is not AWS may need forcePathStyle: true.',
  },
};

const EXPIRED_CODES = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'TokenRefreshRequired',
  'RequestExpired',
]);

/** Answers to a HEAD have no body and so no code. */
const BY_STATUS: Readonly<Record<number, Explanation>> = {
  301: REGION,
  403: DENIED,
  404: NO_KEY,
  407: PROXY_LOGIN,
  412: OBJECT_CHANGED,
  416: OBJECT_CHANGED,
};

/** Failures of the network, by the code of Node's socket; all of them may pass. */
const NETWORK: Readonly<Record<string, Explanation>> = {
  ENOTFOUND: {
    what: 'cannot be reached: the name of the server is not known',
    hint: 'Check source.s3.region, source.s3.endpoint and your DNS. Where every bucket has no name of its own, set forcePathStyle: true.',
  },
  EAI_AGAIN: {
    what: 'cannot be reached: DNS does not answer',
    hint: 'Check the network and its DNS, then run again.',
  },
  ECONNREFUSED: {
    what: 'cannot be reached: the server refuses connections',
    hint: 'Is source.s3.endpoint right, and does the server run?',
  },
  TimeoutError: {
    what: 'cannot be read: the server does not answer',
    hint: 'Check source.s3.endpoint, firewalls and proxies, then run again.',
  },
};
const CONNECTION_LOST: Explanation = {
  what: 'cannot be read: the connection breaks again and again',
  hint: 'Check the network, then run again; it resumes.',
};
const BUSY: Explanation = {
  what: 'cannot be read: S3 is overloaded or out of order',
  hint: 'Wait a few minutes, then run again.',
};

const TLS_CODE = /^(?:CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|ERR_TLS_)/;
const NO_TLS_CODE = /^(?:ERR_SSL_|EPROTO$)/;
const SOCKET_CODE = /^(?:ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_|HPE_|ERR_STREAM_PREMATURE_CLOSE)/;

/** Reads an error of the SDK, of a socket, or of `range-download.ts` (a RestorePlanError, which is final). */
export function readS3Fault(error: unknown): S3Fault {
  const { name = '', code = '', status, retryable } = factsOf(error);
  if (EXPIRED_CODES.has(name)) return { ...EXPIRED, transient: true, expired: true };
  // The SDK learns the server's time from this answer, so one more try may pass.
  if (name === 'RequestTimeTooSkewed') return { ...CLOCK, transient: true };
  if (TLS_CODE.test(code)) return { ...TLS, transient: false };
  const unusable = Object.hasOwn(UNUSABLE, code) ? UNUSABLE[code] : undefined;
  if (unusable !== undefined) return { ...unusable, transient: false };
  if (NO_TLS_CODE.test(code)) return { ...NO_TLS, transient: false };
  if (name === 'TimeoutError' || code === 'ETIMEDOUT')
    return { ...(NETWORK['TimeoutError'] as Explanation), transient: true };
  if (SOCKET_CODE.test(code)) return { ...(NETWORK[code] ?? CONNECTION_LOST), transient: true };
  const isBusy = status !== undefined && (status >= 500 || status === 429);
  if (isBusy || retryable || name === 'SlowDown' || name === 'RequestTimeout')
    return { ...BUSY, transient: true };
  const byName = Object.hasOwn(LASTING, name) ? LASTING[name] : undefined;
  const known = byName ?? (status === undefined ? undefined : BY_STATUS[status]);
  if (known !== undefined) return { ...moreExactly(known, error), transient: false };
  const detail = [name, code, status].filter(Boolean).join(', ') || 'no details';
  if (saidByS3(error) !== undefined) {
    const hint = 'Mend what S3 names, then run again.';
    return { what: `cannot be read: S3 refused it (${detail})`, hint, transient: false };
  }
  return {
    what: `cannot be read: the server's answer was not understood (${detail})`,
    hint: 'Is source.s3.endpoint an S3 server? A proxy or a login page may answer in its place.',
    transient: false,
  };
}

/** How AWS names a permission that is missing, and on what. */
const MISSING_PERMISSION =
  /not authorized to perform: ([a-z0-9-]+:[A-Za-z*]+)(?: on resource: "?(arn:[^\s",]+))?/;

/** The advice with what the answer adds to it: the bucket's region, the permission that is missing. */
function moreExactly(known: Explanation, error: unknown): Explanation {
  if (known === REGION) {
    const region = regionNamedBy(error);
    if (region === undefined) return known;
    return {
      what: `lies in the region ${region}, not in the one asked`,
      hint: `Set source.s3.region: ${region}. With an address of AWS in source.s3.endpoint, leave that out too.`,
    };
  }
  const [, action, resource] = MISSING_PERMISSION.exec(saidByS3(error) ?? '') ?? [];
  if (known !== DENIED || action === undefined) return known;
  const on = resource === undefined ? '' : ` on ${resource}`;
  if (!action.startsWith('kms:')) return { ...known, hint: `Grant these credentials ${action}${on}.` };
  return {
    what: 'may not be decrypted with these credentials',
    hint: `The object is encrypted with a key of KMS. Grant these credentials ${action}${on}, in the policy of the key where it lies in another account.`,
  };
}

/** A header of the answer, also of one to a HEAD; or an element of its body. */
function regionNamedBy(error: unknown): string | undefined {
  const { $response, Region } = error as {
    $response?: { readonly headers?: Readonly<Record<string, string>> };
    Region?: unknown;
  };
  const region = $response?.headers?.['x-amz-bucket-region'] ?? Region;
  return typeof region === 'string' && /^[a-z0-9-]+$/.test(region) ? region : undefined;
}

/** Longer sentences hold nothing that a person would read. */
const LONGEST_SAYING = 400;
/** What the SDK says in place of a server that said nothing. */
const SAYS_NOTHING: ReadonlySet<string> = new Set(['', 'UnknownError', 'Unknown', 'NotFound', 'Forbidden']);

/** The server's own sentence, printable and without secrets; undefined when it gave none. */
function saidByS3(error: unknown): string | undefined {
  const { message, name, $fault } = error as { message?: unknown; name?: unknown; $fault?: unknown };
  if ($fault === undefined || typeof message !== 'string' || message === name) return undefined;
  const text = message.replace(/[^\x20-\x7e]+/g, ' ').trim();
  if (SAYS_NOTHING.has(text)) return undefined;
  return redact(text)
    .replace(/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, '[redacted]')
    .slice(0, LONGEST_SAYING);
}

/** What a proxy says in the place of S3, and what it may have to do with the rest. */
function readFaultBehind(proxy: string, error: unknown): Explanation {
  const { status } = factsOf(error);
  const isAnswer = status !== undefined;
  if (status === 407) return PROXY_LOGIN;
  if (isAnswer && !isOfS3(error)) {
    return {
      what: `cannot be reached: the proxy ${proxy} answered with status ${status}`,
      hint: 'Have it let this machine through to S3; or, where there is a straight way, put the host into NO_PROXY.',
    };
  }
  const { what, hint } = readS3Fault(error);
  return isAnswer
    ? { what, hint }
    : {
        what: `${what} (through the proxy ${proxy})`,
        hint: advice`${hint} The proxy comes from HTTPS_PROXY or HTTP_PROXY; hosts in NO_PROXY are asked straight.`,
      };
}

/** S3 and what is compatible with it number their answers, or give a code of S3. */
function isOfS3(error: unknown): boolean {
  const { $metadata, Code } = error as { $metadata?: { readonly requestId?: string }; Code?: unknown };
  return $metadata?.requestId !== undefined || typeof Code === 'string';
}

interface FailedAnswer {
  readonly name?: string;
  readonly code?: string;
  readonly status: number | undefined;
  readonly retryable: boolean;
}

function factsOf(error: unknown): FailedAnswer {
  const { name, code, Code, $metadata, $retryable } = error as {
    name?: unknown;
    code?: unknown;
    Code?: unknown;
    $metadata?: { httpStatusCode?: unknown };
    $retryable?: unknown;
  };
  const status = $metadata?.httpStatusCode;
  return {
    ...(typeof Code === 'string' ? { name: Code } : typeof name === 'string' ? { name } : {}),
    ...(typeof code === 'string' ? { code } : {}),
    status: typeof status === 'number' ? status : undefined,
    retryable: $retryable !== undefined,
  };
}

/** The sentence for people. `location` is `s3://bucket/key`. */
export function explainS3Fault(
  error: unknown,
  location: string,
  { proxy, isWriting = false }: FailedRequest = {},
): RestorePlanError {
  if (error instanceof RestorePlanError) return error;
  const fault = proxy === undefined ? readS3Fault(error) : readFaultBehind(proxy, error);
  const { hint } = fault;
  const what = isWriting ? fault.what.replace(/^(cannot|may not) be read/, '$1 be written') : fault.what;
  const { name, code, status } = factsOf(error);
  const said = saidByS3(error);
  const quoted = said === undefined ? '' : ` S3 says: "${said}"`;
  return new RestorePlanError('BACKUP', `${location} ${what}.${quoted}`, {
    hint,
    cause: error,
    facts: { s3: { error: name ?? code, status } },
  });
}

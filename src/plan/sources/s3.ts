/** `source.s3`: a bucket of S3, or of a server that speaks like it. */
import { faultAt } from '../fault.ts';
import { givenText, givenValue, nodeAt, pathText } from '../nodes.ts';
import type { StoreKind } from './source-kind.ts';

export interface S3Location {
  readonly kind: 's3';
  readonly bucket: string;
  /** Template with `{time:…}` and `*`; or a plain key; or a prefix ending in `/`. */
  readonly key: string;
  /** IANA zone of the times in the key; present when the key has a `{time:…}`. */
  readonly timezone: string | undefined;
  readonly region: string | undefined;
  readonly profile: string | undefined;
  readonly endpoint: string | undefined;
  readonly forcePathStyle: boolean | undefined;
  /** Who pays for the requests where it is not the owner of the bucket; S3 denies everything until the plan says so. */
  readonly requestPayer: 'requester' | undefined;
}

type S3Draft = Pick<S3Location, 'kind' | 'bucket' | 'key' | 'timezone' | 'endpoint'> &
  Partial<Pick<S3Location, 'region'>>;

const ADDRESS = /^s3:\/\/([^/]+)\/(.*)$/s;

/** A place that is written to: `s3://bucket/prefix`, or `s3://bucket` alone; undefined for every other text. */
export function bucketAddress(
  text: string,
): { readonly bucket: string; readonly prefix: string } | undefined {
  const [, bucket, prefix = ''] = /^s3:\/\/([^/]+)(?:\/(.*))?$/s.exec(text) ?? [];
  return bucket === undefined ? undefined : { bucket, prefix };
}

/** Any bucket, asked with region, profile and endpoint of the plan's own where that is known, else as the environment says. */
export function bucketLike(near: S3Location | undefined, bucket: string): S3Location {
  const usual = {
    kind: 's3' as const,
    region: undefined,
    profile: undefined,
    endpoint: undefined,
    forcePathStyle: undefined,
    requestPayer: undefined,
  };
  return { ...usual, ...near, bucket, key: '', timezone: 'UTC' };
}

/** What it takes to use a bucket that `bucketLike` names. `rights`: on objects, such as `s3:GetObject`. */
export function bucketNeeds(address: string, rights: readonly string[]): string {
  const [last = '', ...others] = [...rights].reverse();
  return (
    `The bucket is reached with region, profile and endpoint of the plan's source.s3, or else as the environment says (AWS_REGION, AWS_PROFILE, ` +
    `AWS_ENDPOINT_URL_S3). The credentials need s3:ListBucket on it, and ${others.reverse().join(', ')} and ${last} below ${address}.`
  );
}

export const S3: StoreKind<S3Location, S3Draft> = {
  template: ['s3', 'key'],
  timezone: ['s3', 'timezone'],
  build: (parent, zone) => {
    const s3 = nodeAt(parent, 's3')!;
    return {
      kind: 's3',
      bucket: givenText(s3, 'bucket') as string,
      key: givenText(s3, 'key') as string,
      timezone: givenText(s3, 'timezone') ?? zone,
      region: givenText(s3, 'region'),
      profile: givenText(s3, 'profile'),
      endpoint: givenText(s3, 'endpoint'),
      forcePathStyle: givenValue(s3, 'forcePathStyle') as boolean | undefined,
      requestPayer: givenValue(s3, 'requestPayer') as 'requester' | undefined,
    };
  },
  digest: (location) => location,
  recorded: describe,
  pattern: ({ key }) => key,
  describe,

  /** As the AWS tools write a version of an object; S3 would look for a key of that name. */
  rules: ({ path, node, partOf }) => {
    const [query = '', version = ''] = /\?versionId=([^&]*)$/.exec(String(node.value)) ?? [];
    if (query === '') return [];
    const message = `${pathText(path)} cannot name a version of an object`;
    const expected =
      'the key alone, for the version that is current; an older one is fetched first and named as source.path: ' +
      `aws s3api get-object --bucket … --key … --version-id ${version} <file>`;
    const start = String(node.value).length - query.length;
    return [faultAt(partOf(start, start + query.length), 'source', { message, expected })];
  },

  typedFault: (text) =>
    /^s3:\/\/[^/]*\/?$/.test(text) ? 'a bucket and a key, as in s3://bucket/db.tar' : undefined,
  typedTemplate: (text) => ADDRESS.exec(text)?.[2],
  ask: async (text, timezone, ask) => {
    const [, bucket = '', key = ''] = ADDRESS.exec(text) ?? [];
    const endpoint = await ask('endpoint', {
      ask: 'Address of the store, if it is not AWS',
      fault: endpointFault,
    });
    const region =
      endpoint === undefined
        ? await ask('region', { ask: 'Region of the bucket, if not the usual one' })
        : undefined;
    return { kind: 's3', bucket, key, timezone, endpoint, region };
  },
  draft: ({ bucket, key, timezone, endpoint, region }, { scalar, zone }) => {
    const server =
      endpoint === undefined
        ? `\n    ${region === undefined ? '# region: us-east-1' : `region: ${scalar(region)}`}`
        : `\n    endpoint: ${scalar(endpoint)}\n    forcePathStyle: true`;
    return `  s3:
    bucket: ${scalar(bucket)}
    # {time:…} stands for the time of the backup, * for any text without /. A prefix ends in /.
    key: ${scalar(key)}${zone(timezone, '    ')}${server}`;
  },
  locate: ({ bucket, key, timezone, endpoint, region }) => ({
    kind: 's3',
    bucket,
    key,
    timezone,
    region,
    profile: undefined,
    endpoint,
    forcePathStyle: endpoint === undefined ? undefined : true,
    requestPayer: undefined,
  }),
};

function describe({ bucket, key }: S3Location): string {
  return `s3://${bucket}/${key}`;
}

function endpointFault(address: string): string | undefined {
  if (/^https?:\/\/[^\s@]+$/.test(address)) return undefined;
  return 'this is no address of a store; expected one such as https://minio.example.com';
}

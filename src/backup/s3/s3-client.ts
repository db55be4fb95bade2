/**
 * The door to the AWS SDK: the requests that reading backups and exchanging parts need, one attempt each. This module is imported at
 * its first use, because the SDK takes long to load. What it throws are the SDK's errors; `s3-store.ts` reads them.
 *
 * Checksums are asked for only where S3 demands them: S3 servers that answer a range with the checksum of the whole
 * object would make the SDK refuse good bytes.
 */
import type { AgentOptions } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import {
  S3Client as AwsClient,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { state as sdkState } from '@aws-sdk/core/client';
import type { S3Location } from '../../plan/sources/s3.ts';
import type { ObjectClient, RangeAnswer, Timeouts } from '../remote/object-server.ts';
import { checksumOf, isOfParts } from './object-checksum.ts';
import { routesToServers } from './proxy.ts';

// The SDK would announce which Node.js its next versions drop: no concern of who uses this one, which is pinned and packed in.
sdkState.warningEmitted = true;

/** Bytes that one read of a socket may bring. */
const READ_BYTES = 256 * 1024;

/** An upload that is slower is given up, and tried again: half a megabyte a second. */
const LEAST_BYTES_PER_MS = 512;

/** The SDK would write to stderr past every filter and display that keys and a profile are both set. The profile goes first. */
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** Makes a client; credentials come from the AWS chain alone (environment, profile, container, instance). */
export async function connectS3(location: S3Location, timeouts: Timeouts): Promise<ObjectClient> {
  const { bucket, region, profile, endpoint, forcePathStyle, requestPayer: RequestPayer } = location;
  const { proxy, ...agents } = routesToServers(connections());
  const settings = {
    ...(region === undefined ? {} : { region }),
    ...(profile === undefined ? {} : { profile }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
    followRegionRedirects: true,
    logger: SILENT,
    maxAttempts: 1, // retries are ours: the SDK's do not cover a body that breaks off
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      ...agents,
      connectionTimeout: timeouts.connectMs,
      requestTimeout: timeouts.answerMs,
      throwOnRequestTimeout: true,
      socketTimeout: 0, // a pause of ours would look like a stall of theirs; `range-download.ts` watches instead
    },
  } as const;
  let client = new AwsClient(settings);
  if (endpoint !== undefined && !(await hasRegion(client))) {
    // Servers other than AWS rarely care; AWS itself would, and is asked without an endpoint.
    client = new AwsClient({ ...settings, region: 'us-east-1' });
  }

  return {
    head: async (key) => {
      const { ContentLength, ETag, VersionId, LastModified } = await client.send(
        new HeadObjectCommand({ Bucket: bucket, Key: key, RequestPayer }),
      );
      return {
        key,
        ...(ContentLength === undefined ? {} : { size: ContentLength }),
        ...(ETag === undefined ? {} : { etag: ETag }),
        versionId: VersionId,
        modified: LastModified?.getTime(),
      };
    },
    checksum: async ({ key, etag, versionId, size }) => {
      const parts = isOfParts(etag);
      const one = { Bucket: bucket, Key: key, VersionId: versionId, IfMatch: etag, RequestPayer } as const;
      const [whole, part] = await Promise.all([
        client.send(new HeadObjectCommand({ ...one, ChecksumMode: 'ENABLED' })),
        parts ? client.send(new HeadObjectCommand({ ...one, PartNumber: 1 })) : undefined,
      ]);
      return checksumOf({
        size,
        etag,
        type: whole.ChecksumType,
        encryption: whole.ServerSideEncryption,
        crc32: whole.ChecksumCRC32,
        crc64nvme: whole.ChecksumCRC64NVME,
        partBytes: part?.ContentLength,
      });
    },
    range: async ({ key, etag, versionId }, { from, to, signal }) => {
      const answer = await client.send(
        new GetObjectCommand({
          Bucket: bucket,
          Key: key,
          Range: `bytes=${from}-${to - 1}`,
          IfMatch: etag,
          VersionId: versionId,
          RequestPayer,
        }),
        { abortSignal: signal },
      );
      return rangeAnswer(answer);
    },
    firstBytes: async (key) =>
      rangeAnswer(
        await client.send(
          new GetObjectCommand({ Bucket: bucket, Key: key, Range: 'bytes=0-511', RequestPayer }),
        ),
      ),
    list: async (prefix, { next, most, isDeep = false }) => {
      const page = await client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          ...(isDeep ? {} : { Delimiter: '/' }),
          ContinuationToken: next,
          MaxKeys: most,
          RequestPayer,
        }),
      );
      if (page.Name === undefined || (page.IsTruncated && page.NextContinuationToken === undefined))
        return undefined;
      return {
        objects: (page.Contents ?? []).map(({ Key, Size, ETag, LastModified }) => ({
          key: textApart(Key),
          size: Size ?? 0,
          etag: textApart(ETag),
          versionId: undefined,
          modified: LastModified?.getTime(),
        })),
        folders: (page.CommonPrefixes ?? []).flatMap(({ Prefix }) =>
          Prefix === undefined ? [] : [textApart(Prefix)],
        ),
        next: page.IsTruncated ? page.NextContinuationToken : undefined,
      };
    },
    put: async (key, { bytes, sha256 }) => {
      await client.send(
        new PutObjectCommand({
          Bucket: bucket,
          Key: key,
          Body: bytes,
          ChecksumSHA256: Buffer.from(sha256, 'hex').toString('base64'),
          RequestPayer,
        }),
        { requestTimeout: timeouts.answerMs + bytes.length / LEAST_BYTES_PER_MS },
      );
    },
    remove: async (key) => {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key, RequestPayer }));
    },
    proxy,
    close: () => client.destroy(),
  };
}

/** The parser cuts texts out of the answer: one that is kept would keep the whole page, half a megabyte, in memory. */
function textApart(text = ''): string {
  return Buffer.from(text).toString();
}

/**
 * Has sockets read much at a time: by default it is 64 KiB, each into memory of its own, which costs more processor time
 * than all that is done with the bytes. The buffer is shared by all sockets; the HTTP parser has copied what it keeps
 * by the time the callback returns.
 */
function connections(): AgentOptions {
  return {
    keepAlive: true,
    maxSockets: 50,
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback(this: Socket, length: number, buffer: Uint8Array) {
        this.emit('data', buffer.subarray(0, length));
        return true;
      },
    },
  };
}

async function hasRegion(client: { readonly config: { region(): Promise<string> } }): Promise<boolean> {
  return client.config.region().then(
    () => true,
    () => false,
  );
}

interface SdkAnswer {
  readonly $metadata: { readonly httpStatusCode?: number | undefined };
  readonly ContentRange?: string | undefined;
  readonly ContentLength?: number | undefined;
  readonly ContentType?: string | undefined;
  readonly Body?: unknown;
}

function rangeAnswer(answer: SdkAnswer): RangeAnswer {
  return {
    status: answer.$metadata.httpStatusCode,
    contentRange: answer.ContentRange,
    contentLength: answer.ContentLength,
    contentType: answer.ContentType,
    body: answer.Body as Readable, // on Node.js the SDK hands out the IncomingMessage
  };
}

/** A real S3 server (MinIO) in a temporary folder, and the few calls that tests make on it. */
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { minioBinary } from './binaries.ts';
import { temporaryFolder } from './guard.ts';
import { freePort, type ServerProcess, startServerProcess } from './server-process.ts';

/** Where an S3 server is and who may use it: all that another process needs to reach it. */
export interface S3Address {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface S3Server extends S3Address {
  readonly port: number;
  readonly process: ServerProcess;
  /** Where it keeps its objects; only for storing very many of them at once (`copyObject`). */
  readonly dataFolder: string;
  /** Starts it again on the same port and objects after `process.kill()`. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Credentials that no output may ever hold; tests search for them. */
export const CANARY_KEY_ID = 'CANARYAWSKEYID000001';
export const CANARY_SECRET_KEY = 'canary/aws+secret/key/0123456789abcdefgh';

export async function startS3Server(): Promise<S3Server> {
  const binary = await minioBinary();
  const folder = temporaryFolder('minio');
  const port = await freePort();
  const consolePort = await freePort();
  const start = async (): Promise<ServerProcess> => {
    const server = await startServerProcess({
      name: 'minio',
      binary,
      port,
      logFile: join(folder.path, 'minio.log'),
      arguments: [
        ...['server', join(folder.path, 'data'), '--quiet'],
        ...['--address', `127.0.0.1:${port}`, '--console-address', `127.0.0.1:${consolePort}`],
      ],
      env: {
        MINIO_ROOT_USER: CANARY_KEY_ID,
        MINIO_ROOT_PASSWORD: CANARY_SECRET_KEY,
        MINIO_BROWSER: 'off',
        MINIO_UPDATE: 'off',
        HOME: folder.path,
      },
    });
    await untilReady(port);
    return server;
  };
  let server = await start();
  return {
    endpoint: `http://127.0.0.1:${port}`,
    accessKeyId: CANARY_KEY_ID,
    secretAccessKey: CANARY_SECRET_KEY,
    port,
    dataFolder: join(folder.path, 'data'),
    get process() {
      return server;
    },
    restart: async () => {
      await server.kill();
      server = await start();
    },
    stop: async () => {
      await server.kill();
      folder.remove();
    },
  };
}

async function untilReady(port: number): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/minio/health/ready`).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return;
    if (Date.now() > deadline) throw new Error('minio did not become ready in time');
    await sleep(20);
  }
}

/** A client as the product would make it; close it with `destroy()`. */
export function s3Client(server: S3Address): S3Client {
  return new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}

/** The environment through which a program finds this server's credentials, and no others. */
export function s3Environment(server: S3Address): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    AWS_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/nonexistent/config',
    AWS_SHARED_CREDENTIALS_FILE: '/nonexistent/credentials',
  };
}

/** A bucket in an S3 server. */
export interface Bucket {
  readonly name: string;
  readonly client: S3Client;
  /** Stores an object; returns its ETag. */
  put(key: string, body: Buffer | string): Promise<string>;
  /** Stores a file; in parts of 16 MiB when it is larger than that. Returns its ETag. */
  putFile(key: string, path: string): Promise<string>;
  remove(key: string): Promise<void>;
  /** Removes every object. */
  clear(): Promise<void>;
}

export async function createBucket(client: S3Client, name: string): Promise<Bucket> {
  await client.send(new CreateBucketCommand({ Bucket: name }));
  const put = async (key: string, body: Buffer | string): Promise<string> =>
    (await client.send(new PutObjectCommand({ Bucket: name, Key: key, Body: body }))).ETag ?? '';
  const remove = async (key: string): Promise<void> => {
    await client.send(new DeleteObjectCommand({ Bucket: name, Key: key }));
  };
  return {
    name,
    client,
    put,
    putFile: (key, path) => putInParts({ client, name, put }, key, path),
    remove,
    clear: async () => {
      for (;;) {
        const page = await client.send(new ListObjectsV2Command({ Bucket: name }));
        for (const { Key } of page.Contents ?? []) if (Key !== undefined) await remove(Key);
        if (!page.IsTruncated) return;
      }
    },
  };
}

// The SDK announces on stderr which Node versions it will stop supporting; that is no news to a test.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';

const PART_BYTES = 16 * 1024 * 1024;

async function putInParts(
  bucket: Pick<Bucket, 'client' | 'name' | 'put'>,
  key: string,
  path: string,
): Promise<string> {
  const { size } = await stat(path);
  const file = await open(path);
  try {
    if (size <= PART_BYTES) return await bucket.put(key, await file.readFile());
    const where = { Bucket: bucket.name, Key: key };
    const { UploadId } = await bucket.client.send(new CreateMultipartUploadCommand(where));
    const parts: { ETag: string; PartNumber: number }[] = [];
    for (let start = 0; start < size; start += PART_BYTES) {
      const body = Buffer.allocUnsafe(Math.min(PART_BYTES, size - start));
      const { bytesRead } = await file.read(body, 0, body.length, start);
      if (bytesRead !== body.length) throw new Error(`${path} changed while it was stored`);
      const part = { ...where, UploadId, PartNumber: parts.length + 1 };
      const { ETag } = await bucket.client.send(new UploadPartCommand({ ...part, Body: body }));
      parts.push({ ETag: ETag ?? '', PartNumber: part.PartNumber });
    }
    const whole = { ...where, UploadId, MultipartUpload: { Parts: parts } };
    return (await bucket.client.send(new CompleteMultipartUploadCommand(whole))).ETag ?? '';
  } finally {
    await file.close();
  }
}

import { RestorePlanError } from '../../errors.ts';
import type { S3Location } from '../../plan/sources/s3.ts';
import type { Run } from '../../run.ts';
import type { Store, StoredFile, StoredFolder } from '../storage/store.ts';
import { type BucketOptions, S3Bucket } from './s3-bucket.ts';
import type { ObjectFacts } from './s3-client.ts';
import { fingerprintOf, S3Object } from './s3-object.ts';
import type { S3Patience } from './s3-patience.ts';

export function openS3({ emit, signal }: Run, location: S3Location, patience: S3Patience): Store {
  return new S3Store(location, { emit, signal, patience });
}

/** A bucket as folders and files. A key that ends in `/` (a folder made by a console) is a folder, never a file. */
export class S3Store implements Store {
  readonly #bucket: S3Bucket;

  constructor(location: S3Location, options: BucketOptions) {
    this.#bucket = new S3Bucket(location, options);
  }

  describe(path: string): string {
    return this.#bucket.describe(path);
  }

  async *list(folder: string, nameStart = ''): AsyncGenerator<StoredFile | StoredFolder> {
    for await (const page of this.#bucket.list(folder + nameStart)) {
      for (const path of page.folders) yield { kind: 'folder', path };
      for (const object of page.objects) if (!object.key.endsWith('/')) yield this.#file(object);
    }
  }

  async find(path: string): Promise<StoredFile | StoredFolder | undefined> {
    if (path !== '' && !path.endsWith('/')) {
      const object = await this.#bucket.head(path).catch((error: unknown) => {
        if (isMissingKey(error)) return undefined;
        throw error;
      });
      if (object !== undefined) return this.#file(object);
    }
    const folder = path === '' || path.endsWith('/') ? path : `${path}/`;
    for await (const { objects, folders } of this.#bucket.list(folder, { most: 1, as: path })) {
      return objects.length + folders.length > 0 ? { kind: 'folder', path: folder } : undefined;
    }
    return undefined;
  }

  close(): Promise<void> {
    return this.#bucket.close();
  }

  #file(object: ObjectFacts): StoredFile {
    return {
      kind: 'file',
      path: object.key,
      size: object.size,
      modified: object.modified,
      fingerprint: fingerprintOf(object),
      open: () => new S3Object(this.#bucket, object),
    };
  }
}

function isMissingKey(error: unknown): boolean {
  const facts =
    error instanceof RestorePlanError ? (error.facts['s3'] as { error?: string; status?: number }) : {};
  return facts?.error === 'NoSuchKey' || (facts?.status === 404 && facts.error === 'NotFound');
}

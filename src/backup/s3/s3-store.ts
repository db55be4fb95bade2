/**
 * S3, as a server that keeps objects.
 *
 * Alone because: it is loaded only for a plan that names S3.
 */
import { RestorePlanError } from '../../errors.ts';
import type { S3Location } from '../../plan/sources/s3.ts';
import type { Run } from '../../run.ts';
import type { ObjectServer } from '../remote/object-server.ts';
import type { RemotePatience } from '../remote/patience.ts';
import { RemoteStore } from '../remote/remote-store.ts';
import type { Store } from '../storage/store.ts';
import { explainS3Fault, readS3Fault } from './s3-fault.ts';

export function openS3(run: Run, location: S3Location, patience: RemotePatience): Store {
  return new RemoteStore(run, s3Server(location), patience);
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

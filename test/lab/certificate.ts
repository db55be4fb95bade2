import { spawnSync } from 'node:child_process';

/** PEM text that nobody vouches for: both the private key and the certificate of 127.0.0.1. */
export function selfSigned(): string | undefined {
  // The system's openssl makes it: Node can sign, but not write certificates.
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  const to = [
    '-nodes',
    '-keyout',
    '-',
    '-out',
    '-',
    '-days',
    '2',
    '-subj',
    '/CN=127.0.0.1',
    '-addext',
    'subjectAltName=IP:127.0.0.1',
  ];
  const { status, stdout } = spawnSync('openssl', ['req', '-x509', ...curve, ...to], { encoding: 'utf8' });
  return status === 0 ? stdout : undefined;
}

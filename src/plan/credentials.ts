/**
 * Finds credentials that were written into a plan. A plan is committed and reviewed: whatever is in it is published,
 * in a comment as much as in a value.
 */

/** Offsets in the text, `end` exclusive. */
export interface HiddenRange {
  readonly start: number;
  readonly end: number;
  /** What was found there (never its value); undefined: it only looks like a secret, so it is hidden but no fault. */
  readonly what: string | undefined;
}

/** Each pattern has one group: the secret part. Variables in the text were replaced by `VARIABLE` characters before. */
const PATTERNS: readonly { readonly what: string | undefined; readonly pattern: RegExp }[] = [
  {
    what: 'a password in an address',
    pattern: /\b[a-z][a-z0-9+.-]{0,30}:\\?\/\\?\/[^\s/?#@:'"]*:([^\s/?#@'"]+)@/dgi,
  },
  {
    // A MongoDB password may hold a bare / or # by mistake: everything up to the last @ of the word is hidden, within bounds:
    // many such words that nothing parts would otherwise each be searched to the end of the file.
    what: 'a password in an address',
    pattern: /\bmongodb(?:\+srv)?:\\?\/\\?\/[^\s:@'"]*:([^\s'"]{1,4000})@/dgi,
  },
  { what: 'an AWS access key', pattern: /\b((?:AKIA|ASIA)[A-Z0-9]{16})\b/dg },
  {
    what: 'an AWS secret key',
    pattern: /\b(?:aws_?secret_?access_?key|aws_?session_?token)\b["']?\s*[:=]\s*["']?([^\s"'#,}]+)/dgi,
  },
  {
    what: 'a secret in the options of a connection string',
    pattern: /(?:[?&](?:tlsCertificateKeyFilePassword|proxyPassword)=|AWS_SESSION_TOKEN:)([^\s&,'"]+)/dgi,
  },
  {
    what: 'the address of a Slack webhook',
    pattern: /hooks\.slack\.com\/(?:services|workflows)\/([^\s'"]+)/dg,
  },
  { what: 'a GitHub token', pattern: /\b((?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,})/dg },
  { what: 'a private key', pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----([\s\S]*?)(?:-----END|$)/dg },
  {
    what: undefined,
    pattern: /\b(?:secret|password|passwd|token|api_?key)["']?\s*:\s*["']?([^\s"',{}[\]#]+)/dgi,
  },
];

/** Stands for one character of a `${VARIABLE}`: part of no pattern's fixed text, allowed in every group. */
const VARIABLE = '\u0001';

/** All credentials in a text, in order; overlapping finds are one. */
export function findCredentials(text: string): HiddenRange[] {
  const literal = text.replace(/\$\{[^}\n]*\}/g, (variable) => VARIABLE.repeat(variable.length));
  const found: HiddenRange[] = [];
  for (const { what, pattern } of PATTERNS) {
    for (const match of literal.matchAll(pattern)) {
      const [start, end] = match.indices![1] as [number, number];
      const value = literal.slice(start, end);
      if (value.replaceAll(VARIABLE, '') !== '') found.push({ start, end, what });
    }
  }
  // A named find goes before one that is only hidden, a longer before a shorter one.
  found.sort(
    (a, b) =>
      Number(a.what === undefined) - Number(b.what === undefined) || b.end - b.start - (a.end - a.start),
  );
  const isTaken = new Uint8Array(text.length);
  return found
    .filter(({ start, end }) => {
      const isFree = !isTaken.subarray(start, end).includes(1);
      if (isFree) isTaken.fill(1, start, end);
      return isFree;
    })
    .sort((a, b) => a.start - b.start);
}

/** Replaces what must not be shown by asterisks, one for each character, so that columns stay. Ranges may overlap. */
export function hideCredentials(text: string, ranges: readonly HiddenRange[]): string {
  let out = '';
  let at = 0;
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    if (end <= at) continue;
    const from = Math.max(at, start);
    out += text.slice(at, from) + text.slice(from, end).replace(/[^\r\n]/g, '*');
    at = end;
  }
  return out + text.slice(at);
}

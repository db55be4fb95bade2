/**
 * The template of a backup's key or path: `db/backup/{time:yyyy.MM.dd.HH.mm.ss}/db.tar`.
 *
 * `{time:…}` stands for the time of the backup, `*` for any text without `/`, `{collection}` for a collection's name,
 * where each collection is a file of its own. Everything else is literal. Time patterns use the letters of Unicode (LDML): yyyy MM dd HH
 * mm ss; `'text'` is literal, and so are `T` and `Z`.
 */

export type TimeField = 'year' | 'month' | 'day' | 'hour' | 'minute' | 'second';

export type TemplatePart =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'collection' }
  | { readonly kind: 'time'; readonly field: TimeField; readonly digits: number };

export interface LocationTemplate {
  /** A time pattern contributes one part per field, with the literals between them. */
  readonly parts: readonly TemplatePart[];
  /** The fields that all its `{time:…}` have together, from the year down; empty = no time in the name. */
  readonly fields: readonly TimeField[];
}

/** A template that cannot be read; offsets count characters of the template, `end` exclusive. */
interface TemplateFault {
  readonly message: string;
  readonly expected: string;
  readonly start: number;
  readonly end: number;
}

const FIELDS: Readonly<Record<string, { readonly field: TimeField; readonly digits: number } | undefined>> = {
  yyyy: { field: 'year', digits: 4 },
  MM: { field: 'month', digits: 2 },
  dd: { field: 'day', digits: 2 },
  HH: { field: 'hour', digits: 2 },
  mm: { field: 'minute', digits: 2 },
  ss: { field: 'second', digits: 2 },
};

const ORDER: readonly TimeField[] = ['year', 'month', 'day', 'hour', 'minute', 'second'];

/** Letters that people write by habit of other tools, and what they mean here. */
const HABITS: Readonly<Record<string, string | undefined>> = {
  YYYY: 'yyyy',
  DD: 'dd',
  D: 'dd',
  d: 'dd',
  M: 'MM',
  hh: 'HH',
  h: 'HH',
  H: 'HH',
  SS: 'ss',
  s: 'ss',
  m: 'mm',
};

/** Times that names are sorted by in other ways than time passes; a search goes by their order. */
const UNREAD: Readonly<Record<string, string | undefined>> = {
  MMM: 'months by name',
  MMMM: 'months by name',
  X: 'epoch times',
  x: 'epoch times',
  epoch: 'epoch times',
  unix: 'epoch times',
};
/** One letter stands for numbers without their zero. */
const UNPADDED = /^[MdDHhms]$/;
const NAMED_IN_FULL = 'name the one backup in full instead, without {time:…}';

const TIME_LETTERS = 'yyyy MM dd HH mm ss, as in {time:yyyy-MM-dd}';

export function parseLocationTemplate(text: string): LocationTemplate | { readonly fault: TemplateFault } {
  const parts: TemplatePart[] = [];
  const literal = (more: string): void => {
    const last = parts.at(-1);
    if (last?.kind === 'literal') parts[parts.length - 1] = { kind: 'literal', text: last.text + more };
    else parts.push({ kind: 'literal', text: more });
  };
  let at = 0;
  while (at < text.length) {
    const character = text[at] as string;
    if (character === '*') {
      if (text[at + 1] === '*') {
        return faulty(at, at + 2, '** is no part of a template', '*, which stands for text without /');
      }
      parts.push({ kind: 'any' });
      at++;
    } else if (character === '{') {
      const end = closingBrace(text, at);
      const name = text.slice(at + 1, end ?? text.length);
      if (end === undefined) return faulty(at, text.length, 'a { is not closed', 'a } after it');
      if (name === 'collection') parts.push({ kind: 'collection' });
      else if (name.startsWith('time:')) {
        const fault = parseTime(name.slice(5), at + 6, { parts, literal });
        if (fault !== undefined) return { fault };
      } else {
        const expected = '{time:…}, as in {time:yyyy.MM.dd.HH.mm.ss}, or {collection}';
        return faulty(at, end + 1, `{${name}} is no part of a template`, expected);
      }
      at = end + 1;
    } else {
      literal(character);
      at++;
    }
  }
  return withCompleteDate(parts, text);
}

/** Offset of the `}` that closes the `{` at `open`; one inside quotes does not count. */
function closingBrace(text: string, open: number): number | undefined {
  let isQuoted = false;
  for (let i = open + 1; i < text.length; i++) {
    if (text[i] === "'") isQuoted = !isQuoted;
    else if (text[i] === '}' && !isQuoted) return i;
  }
  return undefined;
}

interface PartSink {
  readonly parts: TemplatePart[];
  readonly literal: (text: string) => void;
}

function parseTime(pattern: string, offset: number, { parts, literal }: PartSink): TemplateFault | undefined {
  if (pattern === '') {
    return faulty(offset, offset + 1, 'the {time:} has no pattern', TIME_LETTERS).fault;
  }
  for (const match of pattern.matchAll(/'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+|'/g)) {
    const [token, quotedText] = match;
    const start = offset + match.index;
    const known = FIELDS[token];
    if (known !== undefined) {
      const isTwice = parts.some((part) => part.kind === 'time' && part.field === known.field);
      if (isTwice) return faulty(start, start + token.length, `${token} is there twice`, 'each once').fault;
      parts.push({ kind: 'time', ...known });
    } else if (token === "'") {
      return faulty(start, start + 1, 'a quote is not closed', "pairs of ' around literal letters").fault;
    } else if (quotedText !== undefined) {
      literal(token === "''" ? "'" : quotedText.replaceAll("''", "'"));
    } else if (/^[A-Za-z]/.test(token) && !/^[TZ]$/.test(token)) {
      const unread = UNREAD[/^[A-Za-z]+/.exec(pattern.slice(match.index))?.[0] ?? ''];
      if (unread !== undefined)
        return faulty(start, start + token.length, `${unread} are not read from names`, NAMED_IN_FULL).fault;
      const meant = HABITS[token];
      const padded = UNPADDED.test(token)
        ? `, two digits; where names leave the zero out, ${NAMED_IN_FULL}`
        : '';
      const expected =
        meant === undefined ? `${TIME_LETTERS}; quotes around literal letters` : `${meant}${padded}`;
      return faulty(start, start + token.length, `${token} is no letter of a time pattern`, expected).fault;
    } else {
      literal(token);
    }
  }
  return undefined;
}

/** A time needs its date, and no finer field without the coarser ones: otherwise it would not be one moment. */
function withCompleteDate(
  parts: readonly TemplatePart[],
  text: string,
): LocationTemplate | { readonly fault: TemplateFault } {
  const given = new Set(parts.flatMap((part) => (part.kind === 'time' ? [part.field] : [])));
  const fields = ORDER.filter((field) => given.has(field));
  if (fields.length === 0) return { parts, fields };
  const needed = ORDER.slice(0, Math.max(3, fields.length));
  const missing = needed.find((field) => !given.has(field));
  if (missing === undefined) return { parts, fields };
  const letters = Object.entries(FIELDS).find(([, value]) => value?.field === missing)?.[0];
  const start = text.indexOf('{time:');
  return faulty(start, text.indexOf('}', start) + 1, `the time has no ${missing}`, `${letters} in it`);
}

function faulty(
  start: number,
  end: number,
  message: string,
  expected: string,
): { readonly fault: TemplateFault } {
  return { fault: { message, expected, start, end } };
}

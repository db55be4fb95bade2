/** Times that people put into the names of backups, and the template that finds all of a kind. */

export interface TimedName {
  /** The name with its time as a template spells it: `db-{time:yyyy-MM-dd}.tar`. */
  readonly template: string;
  /** The time as the name spells it. */
  readonly text: string;
}

const YEAR = String.raw`(?:19|20)\d\d`;
const DATE = String.raw`(?<y>${YEAR})(?<s>[-._]?)(?<M>0[1-9]|1[0-2])\k<s>(?<d>0[1-9]|[12]\d|3[01])`;
const CLOCK = String.raw`(?<t>[T_.\- ]?)(?<H>[01]\d|2[0-3])(?:(?<c>[-:._hH]?)(?<m>[0-5]\d)(?:(?<c2>[-:._mM]?)(?<sec>[0-5]\d))?)?`;
const TIME = new RegExp(String.raw`(?<!\d)${DATE}(?:${CLOCK})?(?!\d)`);

/** Undefined where the name has no date. */
export function timeInName(name: string): TimedName | undefined {
  const found = TIME.exec(name);
  if (found?.groups === undefined) return undefined;
  const { s = '', t, c = '', c2 = '', H, m, sec } = found.groups;
  const day = ['yyyy', 'MM', 'dd'].join(quoted(s));
  const clock = [
    H === undefined ? '' : `${quoted(t ?? '')}HH`,
    m === undefined ? '' : `${quoted(c)}mm`,
    sec === undefined ? '' : `${quoted(c2)}ss`,
  ];
  const [text] = found;
  const [before, after] = [name.slice(0, found.index), name.slice(found.index + text.length)];
  return { template: `${before}{time:${day}${clock.join('')}}${after}`, text };
}

/** Letters stand for fields in a time pattern, unless they are quoted; `T` is one that stands for itself. */
function quoted(separator: string): string {
  return /[a-z]/i.test(separator) && separator !== 'T' ? `'${separator}'` : separator;
}

/** The template that finds most of these paths by the times in their last parts, where it finds two or more of them. */
export function templateOf(paths: readonly string[]): string | undefined {
  const found = new Map<string, Set<string>>();
  for (const path of paths) {
    const start = path.lastIndexOf('/', path.length - 2) + 1;
    const timed = timeInName(path.slice(start));
    if (timed === undefined) continue;
    const template = path.slice(0, start) + timed.template;
    found.set(template, (found.get(template) ?? new Set()).add(timed.text));
  }
  const [most] = [...found].sort(([, a], [, b]) => b.size - a.size);
  return most !== undefined && most[1].size > 1 ? most[0] : undefined;
}

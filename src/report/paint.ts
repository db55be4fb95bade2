/** Colours by meaning. Without colours the words and symbols beside them carry the same meaning. */
export interface Paint {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly odd: (text: string) => string;
  readonly quiet: (text: string) => string;
  readonly strong: (text: string) => string;
}

const plain = (text: string): string => text;
const PLAIN: Paint = { good: plain, bad: plain, odd: plain, quiet: plain, strong: plain };

const sgr =
  (on: number, off: number) =>
  (text: string): string =>
    text === '' ? '' : `\u001b[${on}m${text}\u001b[${off}m`;

const COLORS: Paint = {
  good: sgr(32, 39),
  bad: sgr(31, 39),
  odd: sgr(33, 39),
  quiet: sgr(2, 22),
  strong: sgr(1, 22),
};

export function paintWith(color: boolean): Paint {
  return color ? COLORS : PLAIN;
}

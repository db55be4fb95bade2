/** One thing that the product must show, what it is measured against, and how the figures are put together. */
import type { Grounds } from './grounds.ts';

export interface Measure {
  /** For `--only` and the first column. */
  readonly name: string;
  /** What is compared with what. */
  readonly about: string;
  run(grounds: Grounds, options: MeasureOptions): Promise<readonly Result[]>;
}

export interface MeasureOptions {
  /** Pairs of runs that a median is taken of. */
  readonly pairs: number;
  /** Says on stderr what is going on. */
  readonly say: (text: string) => void;
}

export interface Result {
  readonly name: string;
  /** Figures with their units, as they are shown. */
  readonly ours: string;
  readonly reference: string;
  /** How much better ours is, or the figure itself where a limit is set on that. */
  readonly figure: number;
  readonly unit: string;
  readonly mustReach: { readonly atLeast: number } | { readonly atMost: number };
}

/** One paired run, in milliseconds. */
export interface Pair {
  readonly ours: number;
  readonly reference: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

/** Takes the median of the pairs' own ratios: what slows the machine for a moment slows both halves of a pair. */
export function comparePairs(name: string, pairs: readonly Pair[], atLeast: number): Result {
  return {
    name,
    ours: seconds(median(pairs.map(({ ours }) => ours))),
    reference: seconds(median(pairs.map(({ reference }) => reference))),
    figure: median(pairs.map(({ ours, reference }) => reference / ours)),
    unit: '×',
    mustReach: { atLeast },
  };
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;

export const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

export const isReached = ({ figure, mustReach }: Result): boolean =>
  'atLeast' in mustReach ? figure >= mustReach.atLeast : figure <= mustReach.atMost;

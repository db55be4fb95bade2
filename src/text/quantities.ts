/** Numbers as people read them. Bytes are decimal (1 MB = 1,000,000 bytes), as storage and networks count them. */
import type { OutcomeWords } from '../outcomes.ts';

/** A whole number with commas. By hand: the first number formatter of a process takes 10 to 30 ms to load. */
export function showCount(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** `1 document`, `2 documents`. */
export function showCounted(count: number, noun: string, plural = `${noun}s`): string {
  return `${showCount(count)} ${count === 1 ? noun : plural}`;
}

/** `1 insert`, `2 inserts`. */
export function countedAs({ one, many }: OutcomeWords, count: number): string {
  return `${showCount(count)} ${count === 1 ? one : many}`;
}

export function showBytes(bytes: number): string {
  const units = ['kB', 'MB', 'GB', 'TB'];
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes;
  let unit = -1;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/**
 * The two largest units: `41 s`, `2 min 10 s`, `26 h 5 min`, `3 d 4 h`; days only from three on, as plans count in hours. Rounded `down`, a
 * time that is not over never looks over.
 */
export function showDuration(milliseconds: number, rounded: 'down' | 'nearest' = 'nearest'): string {
  const whole = rounded === 'down' ? Math.floor(milliseconds / 1000) : Math.round(milliseconds / 1000);
  const seconds = Math.max(0, whole);
  const days = seconds >= 3 * 86_400 ? Math.floor(seconds / 86_400) : 0;
  const parts: readonly (readonly [number, string])[] = [
    [days, 'd'],
    [Math.floor(seconds / 3600) - days * 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}

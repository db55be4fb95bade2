/**
 * Progress in words, shared by every view that a person looks at: an event becomes one line of text and the stage of
 * the run that it belongs to.
 */
import { RELAXED_TYPES } from '../backup/backup.ts';
import type { RunEvent, TargetName } from '../events.ts';
import { neutral } from '../text/escape.ts';
import { showBytes, showCounted, showDuration } from '../text/quantities.ts';

/** What a run goes through, and how a task list calls it before it has begun. */
export const STAGE_TITLES = {
  backup: 'Find the backup',
  selection: 'Select the documents',
  'comparison with staging': 'Compare with staging',
  'comparison with production': 'Compare with production',
  gate: 'Ask the gate',
  writing: 'Write',
  verification: 'Read back and compare',
  'follow-ups': 'Follow up',
  reverting: 'Take back',
  oplog: 'Read the oplog',
} as const;

export type Stage = keyof typeof STAGE_TITLES;

export type TaskEnd = 'done' | 'failed';

/** A display of events. `end` leaves the screen whole; it is called exactly once. */
export interface ProgressView {
  emit(event: RunEvent): void;
  end(outcome: TaskEnd): Promise<void>;
}

interface ProgressLine {
  /** Undefined: a remark about the run as a whole. */
  readonly stage: Stage | undefined;
  /** `started` and `note` are worth a line of their own; `running` only replaces the line before. */
  readonly state: 'started' | 'running' | 'done' | 'skipped' | 'note';
  readonly text: string;
}

/** Turns events into lines; remembers totals and start times, from which rate and time left are told. */
export class ProgressTeller {
  readonly #now: () => number;
  #startedAt = 0;
  #total: number | undefined;

  /** `now` gives milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  tell(event: RunEvent): ProgressLine {
    const line = this.#words(event);
    return { ...line, text: neutral(line.text) };
  }

  #words(event: RunEvent): ProgressLine {
    switch (event.type) {
      case 'oplog-save-progress':
        return {
          stage: 'oplog',
          state: 'running',
          text: `Save the oplog: ${showCounted(event.entries, 'entry', 'entries')}, ${showBytes(event.bytes)}`,
        };
      case 'plan-read':
        return note(`Plan ${event.name}`);
      case 'backup-located':
        return { stage: 'backup', state: 'done', text: `Backup: ${backupText(event)}` };
      case 'selection-started':
        this.#begin(event.totalBytes);
        return { stage: 'selection', state: 'started', text: `Select from ${event.collections.join(', ')}` };
      case 'selection-progress':
        return {
          stage: 'selection',
          state: 'running',
          text: `Select: ${this.#share(event.bytesRead, 'bytes')}, ${showCounted(event.selected, 'document')} chosen`,
        };
      case 'workers-progress': {
        const { level, levels, parts, slices, running, waiting } = event;
        return {
          stage: 'selection',
          state: 'running',
          text:
            `Select together: level ${level + 1} of ${levels}: ${parts} of ${showCounted(slices, 'slice')} handed in, ` +
            `${showCounted(running, 'worker')} running, ${waiting} waiting`,
        };
      }
      case 'selection-reused':
        return {
          stage: 'selection',
          state: 'done',
          text: `Selection ${short(event.digest)} is already here`,
        };
      case 'selection-finished':
        return {
          stage: 'selection',
          state: 'done',
          text: `Selected ${showCounted(event.selected, 'document')} (${showBytes(event.bytes)}) from ${showBytes(event.bytesRead)} read`,
        };
      case 'comparison-started':
        this.#begin(event.documents);
        return {
          stage: comparisonWith(event.target),
          state: 'started',
          text: `Compare ${showCounted(event.documents, 'document')} with ${event.target}`,
        };
      case 'comparison-progress':
        return {
          stage: comparisonWith(event.target),
          state: 'running',
          text: `Compare with ${event.target}: ${this.#share(event.compared, 'documents')}`,
        };
      case 'comparison-finished':
        return {
          stage: comparisonWith(event.target),
          state: 'done',
          text: `Compared with ${event.target}`,
        };
      case 'target-skipped':
        return {
          stage: comparisonWith(event.target),
          state: 'skipped',
          text: `Not compared with ${event.target}: ${event.reason}`,
        };
      case 'gate-opened':
        return { stage: 'gate', state: 'done', text: `Gate of ${event.target} is open: ${event.reason}` };
      case 'lock-acquired':
        return {
          stage: 'writing',
          state: 'started',
          text: `Locked ${event.target} (fence ${event.fencing})`,
        };
      case 'collection-created':
        return note(
          `Created collection ${event.collection} in ${event.target} with ${event.indexes} index${event.indexes === 1 ? '' : 'es'}`,
        );
      case 'apply-started':
        this.#begin(event.bytes);
        return {
          stage: 'writing',
          state: 'started',
          text: `${event.resumed ? 'Resume writing' : 'Write'} ${showCounted(event.documents, 'document')} (${showBytes(event.bytes)}) to ${event.target}`,
        };
      case 'apply-progress':
        return {
          stage: 'writing',
          state: 'running',
          text: `Write to ${event.target}: ${showCounted(event.written, 'document')}, ${this.#share(event.bytes, 'bytes')}`,
        };
      case 'apply-finished':
        return {
          stage: 'writing',
          state: 'done',
          text: `Wrote ${showCounted(event.written, 'document')} to ${event.target}`,
        };
      case 'verification-started':
        this.#begin(event.documents);
        return {
          stage: 'verification',
          state: 'started',
          text: `Read back ${showCounted(event.documents, 'document')} from ${event.target}`,
        };
      case 'verification-progress':
        return {
          stage: 'verification',
          state: 'running',
          text: `Read back from ${event.target}: ${this.#share(event.verified, 'documents')}`,
        };
      case 'verification-finished':
        return {
          stage: 'verification',
          state: 'done',
          text: `Read back from ${event.target}: ${readBack(event)}`,
        };
      case 'revert-started':
        this.#begin(event.documents);
        return {
          stage: 'reverting',
          state: 'started',
          text: `${event.isPreview ? 'Look at' : 'Take back'} ${event.documents === undefined ? 'what was restored' : showCounted(event.documents, 'document')} in ${event.target}`,
        };
      case 'revert-progress':
        return {
          stage: 'reverting',
          state: 'running',
          text: `In ${event.target}: ${this.#share(event.done, 'documents')}`,
        };
      case 'revert-finished':
        return event.isPreview
          ? note(`Looked at ${showCounted(event.done, 'document')} in ${event.target}`)
          : {
              stage: 'reverting',
              state: 'done',
              text: `Went through ${showCounted(event.done, 'document')} in ${event.target}`,
            };
      case 'follow-up':
        return {
          stage: 'follow-ups',
          state: event.state === 'started' ? 'started' : 'note',
          text: `Follow-up "${event.name}" on ${event.target}: ${event.state}${event.detail === undefined ? '' : ` (${event.detail})`}`,
        };
      case 'retry':
        return note(
          `${event.what}: ${event.reason}; ${inAMoment(event.delayMs)} (attempt ${event.attempt + 1})`,
        );
      case 'warning':
        return note(`Warning: ${event.message}`);
    }
  }

  #begin(total: number | undefined): void {
    this.#startedAt = this.#now();
    this.#total = total;
  }

  /** `312 MB of 690 MB, 45 %, 820 MB/s, 3 s left`; rate and rest appear when a second has passed. */
  #share(done: number, unit: 'bytes' | 'documents'): string {
    const show = unit === 'bytes' ? showBytes : (amount: number) => showCounted(amount, 'document');
    const total = this.#total;
    const known = total !== undefined && total > 0;
    const parts = [known ? `${show(done)} of ${show(total)}` : show(done)];
    if (known) parts.push(`${Math.min(100, Math.floor((done / total) * 100))} %`);
    const elapsed = this.#now() - this.#startedAt;
    if (elapsed >= 1000 && done > 0) {
      const perSecond = (done / elapsed) * 1000;
      parts.push(`${show(Math.round(perSecond))}/s`);
      if (known && done < total) parts.push(`${showDuration(((total - done) / perSecond) * 1000)} left`);
    }
    return parts.join(', ');
  }
}

function note(text: string): ProgressLine {
  return { stage: undefined, state: 'note', text };
}

function comparisonWith(target: TargetName): Stage {
  return target === 'staging' ? 'comparison with staging' : 'comparison with production';
}

function backupText(event: RunEvent & { readonly type: 'backup-located' }): string {
  const facts = [event.kind];
  if (event.size !== undefined) facts.push(showBytes(event.size));
  if (event.localTime !== undefined) facts.push(event.localTime);
  if (event.beforeAtMs !== undefined) facts.push(`${showDuration(event.beforeAtMs)} before \`at\``);
  return `${event.location} (${facts.join(', ')})`;
}

/** Digests are shown by their first twelve characters. */
function short(digest: string): string {
  return digest.slice(0, 12);
}

function inAMoment(delayMs: number): string {
  return delayMs < 1_000 ? 'trying again' : `trying again in ${showDuration(delayMs)}`;
}

function readBack({
  differences,
  notWritten,
  relaxed,
}: RunEvent & { type: 'verification-finished' }): string {
  if (differences > 0) return showCounted(differences, 'difference');
  const but = notWritten === 0 ? '' : `, but for ${showCounted(notWritten, 'document')} not written`;
  return `every byte as ${relaxed ? `it was read; ${RELAXED_TYPES}` : 'in the backup'}${but}`;
}

// Progress as plain lines, for logs: each stage's start and end, remarks, and a sign of life every ten seconds.

const SIGN_OF_LIFE_MS = 10_000;

export class LineView implements ProgressView {
  readonly #out: { write(text: string): void };
  readonly #now: () => number;
  readonly #teller: ProgressTeller;
  #lastLine: number;

  constructor(out: { write(text: string): void }, now: () => number) {
    this.#out = out;
    this.#now = now;
    this.#teller = new ProgressTeller(now);
    this.#lastLine = now();
  }

  emit(event: RunEvent): void {
    const line = this.#teller.tell(event);
    if (line.state === 'running' && this.#now() - this.#lastLine < SIGN_OF_LIFE_MS) return;
    this.#lastLine = this.#now();
    this.#out.write(`${line.text}\n`);
  }

  async end(): Promise<void> {}
}

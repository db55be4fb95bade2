/**
 * What a command is given of the world: everything it may know of the process, and nothing it could keep.
 */

import type { Readable } from 'node:stream';
import type { Environment } from '../plan/interpolate.ts';
import type { Surroundings } from '../restore/restore.ts';
import type { Run } from '../run.ts';
import type { TextWriter } from '../text/terminal.ts';
import type { GivenWords } from './given-words.ts';
import type { Stage } from './progress.ts';

/** What the process edge hands to the program. */
export interface ProcessEdge {
  readonly env: Environment;
  /** For the variables of an env file: the credential chain of the AWS SDK reads the process's own environment. */
  readonly adoptVariables: (variables: Environment) => void;
  /** How this program was started: Node.js, its options, the main file. Absolute, for other machines that have it at the same place. */
  readonly program: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  /** Opened when it is asked for. */
  readonly stdin: () => Readable & { readonly isTTY?: boolean };
  readonly stdout: TextWriter;
  readonly stderr: TextWriter;
  /** Aborted by the first SIGINT or SIGTERM; its reason is a RestorePlanError of that code. */
  readonly signal: AbortSignal;
  /** UTC milliseconds. */
  readonly now: () => number;
  /** Tells the holder of a lock from others of the same person. */
  readonly processId: number;
  /** Called at the named moments of an apply or a revert. */
  readonly checkpoint: Run['checkpoint'];
}

/** Its `Surroundings` are what the engine is handed of it; `env` has `--env-file` beneath it. */
export interface CommandContext
  extends Surroundings,
    Omit<ProcessEdge, 'adoptVariables' | keyof Surroundings> {
  readonly options: {
    /** NDJSON on stdout instead of a page. */
    readonly json: boolean;
    /** No progress on stderr; errors and results are still written. */
    readonly quiet: boolean;
  };
  /** Of the command line: what the next one needs as well. */
  readonly given: GivenWords;
  /** Whether ANSI colours may be written to each stream. */
  readonly color: { readonly stdout: boolean; readonly stderr: boolean };
  /** Whether somebody can be asked: a terminal on stdin and on stderr. */
  readonly interactive: boolean;
  /** What was warned of so far: who reads only the end is told of it there. Grows. */
  readonly warnings: readonly string[];
  /** Names the stages that this run will go through, so that a task list can show what is still to come. */
  follow(stages: readonly Stage[]): Promise<void>;
  /** One NDJSON object on stdout; nothing without `--json`. */
  json(value: { readonly type: string }): void;
  /**
   * Asks on the terminal (progress rests meanwhile) and returns the answer without its newline.
   * Undefined without a terminal on stdin and stderr.
   */
  ask(question: string): Promise<string | undefined>;
  /** Ends the progress display; a command calls it before it writes its page, the program at the end. */
  endProgress(): Promise<void>;
  /** Called when the command has ended, however it did. */
  atEnd(act: () => Promise<void>): void;
}

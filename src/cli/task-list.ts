/**
 * Progress as a task list on a terminal. The only file that knows listr2, and listr2 only shows: the task bodies wait
 * for the stream of events, the work runs elsewhere and does not know whether anybody looks.
 *
 * listr2 is kept from three things it does by default: ending the process on SIGINT (exit 127, `finally` blocks
 * skipped), writing to stdout, and taking over the process's streams.
 */
import {
  DefaultRenderer,
  Listr,
  ListrLogger,
  type ListrTaskWrapper,
  ProcessOutput,
  type SimpleRenderer,
  Spinner,
} from 'listr2';
import type { RunEvent } from '../events.ts';
import { fitted, wrapped } from '../text/terminal.ts';
import { ProgressTeller, type ProgressView, STAGE_TITLES, type Stage, type TaskEnd } from './progress.ts';

/** listr2 9 leaks in fast updates, and nobody reads faster: four redraws a second. */
const REDRAW_MS = 250;

/** Room for indentation, icon and arrow before a line's text. */
const MARGIN = 6;

/** Lines that one text may take. */
const MOST_LINES = 6;

export interface Terminal {
  readonly columns: number;
  write(text: string): void;
}

interface TaskListSettings {
  /** In the order in which they come. */
  readonly stages: readonly Stage[];
  readonly now: () => number;
}

export class TaskListView implements ProgressView {
  readonly #terminal: Terminal;
  readonly #now: () => number;
  readonly #teller: ProgressTeller;
  readonly #rows: readonly StageRow[];
  readonly #finished: Promise<unknown>;
  #current = 0;
  #lastRedraw = 0;
  #over = false;

  constructor(terminal: Terminal, { stages, now }: TaskListSettings) {
    this.#terminal = terminal;
    this.#now = now;
    this.#teller = new ProgressTeller(now);
    this.#rows = stages.map((stage) => new StageRow(stage));
    const list = new Listr(
      this.#rows.map((row) => ({
        title: row.title,
        rendererOptions: { outputBar: Number.POSITIVE_INFINITY, persistentOutput: true },
        // Asked again before each task starts: what did not begin before the end is left off the list.
        enabled: () => !this.#over || row.hasBegun,
        task: (_context, task) => row.show(task),
      })),
      {
        concurrent: false,
        exitOnError: false,
        registerSignalListeners: false,
        renderer: TerminalRenderer,
        fallbackRendererCondition: false,
        rendererOptions: {
          logger: new ListrLogger({ useIcons: true, processOutput: outputTo(terminal) }),
          spinner: new SlowSpinner(),
          showErrorMessage: false,
        },
      },
    );
    this.#finished = list.run();
  }

  /** The stages that no event has finished yet. */
  get remaining(): readonly Stage[] {
    return this.#rows.slice(this.#current).map((row) => row.stage);
  }

  emit(event: RunEvent): void {
    // The list is about the work; the plan's name stands in the command line above it.
    if (event.type === 'plan-read') return;
    const line = this.#teller.tell(event);
    const text = this.#fitted(line.text);
    const index = this.#rows.findIndex((row) => row.stage === line.stage);
    const row = this.#rows[index];
    if (row === undefined || index < this.#current) {
      (this.#rows[this.#current] ?? this.#rows.at(-1))?.remark(text);
      return;
    }
    // A stage that was jumped over was not needed in this run.
    while (this.#current < index) this.#rows[this.#current++]?.end('skipped');
    if (line.state === 'done' || line.state === 'skipped') {
      this.#current = index + 1;
      row.end(line.state, text);
    } else if (line.state !== 'running' || this.#now() - this.#lastRedraw >= REDRAW_MS) {
      this.#lastRedraw = this.#now();
      row.retitle(text);
    }
  }

  /** Broken into lines rather than cut: how much time is left, or why a target was left out, stands at the end. */
  #fitted(text: string): string {
    const columns = Math.max(10, this.#terminal.columns - MARGIN);
    return wrapped(fitted(text, columns * MOST_LINES), { columns }).join('\n');
  }

  async end(outcome: TaskEnd): Promise<void> {
    this.#over = true;
    const row = this.#rows[this.#current];
    if (outcome === 'failed' || row?.hasBegun) row?.end(outcome);
    else row?.vanish();
    await this.#finished;
  }
}

type Row = ListrTaskWrapper<unknown, typeof TerminalRenderer, typeof SimpleRenderer>;
type Ending = 'done' | 'skipped' | 'failed' | 'vanished';

/** One line of the list. What happens before listr2 has started its task is kept until then. */
class StageRow {
  readonly stage: Stage;
  title: string;
  /** Some event was about it. */
  hasBegun = false;
  readonly #remarks: string[] = [];
  readonly #ended: Promise<Ending>;
  #end: (ending: Ending) => void = () => {};
  #task: Row | undefined;

  constructor(stage: Stage) {
    this.stage = stage;
    this.title = STAGE_TITLES[stage];
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** The task body: waits until an event has ended the stage. */
  async show(task: Row): Promise<void> {
    this.#task = task;
    task.title = this.title;
    for (const remark of this.#remarks) task.output = remark;
    const ending = await this.#ended;
    // A task without a title is not drawn; the wrapper would make text of the absence of one.
    if (ending === 'vanished') task.task.title$ = undefined as unknown as string;
    if (ending === 'skipped') task.skip(this.title);
    if (ending === 'failed') throw new Error(this.title);
  }

  retitle(title: string): void {
    this.hasBegun = true;
    this.title = title;
    if (this.#task !== undefined) this.#task.title = title;
  }

  remark(text: string): void {
    this.#remarks.push(text);
    if (this.#task !== undefined) this.#task.output = text;
  }

  /** Ends a stage that the run never came to, without a trace. */
  vanish(): void {
    this.#end('vanished');
  }

  end(ending: Ending, title: string = this.title): void {
    this.retitle(title);
    this.#end(ending);
  }
}

/** listr2 asks the class, and then stdout, whether there is a terminal; ours is stderr, and was asked before. */
class TerminalRenderer extends DefaultRenderer {
  static override nonTTY = true as unknown as false;
}

class SlowSpinner extends Spinner {
  override start(redraw?: () => void): void {
    super.start(redraw, REDRAW_MS);
  }
}

/** A stream that listr2 may take over without touching the process's own. */
function outputTo(terminal: Terminal): ProcessOutput {
  const stream = () =>
    ({
      isTTY: true,
      columns: terminal.columns,
      write(text: string): boolean {
        terminal.write(text);
        return true;
      },
    }) as unknown as NodeJS.WriteStream;
  return new ProcessOutput(stream(), stream());
}

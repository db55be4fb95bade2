/**
 * Where a command's events go: to a view that is opened when there is something to show and closed for a question or
 * a page, after which the next event opens it again.
 */
import type { Emit, RunEvent } from '../events.ts';
import { LineView } from '../report/lines.ts';
import type { Outcome, ProgressView, Stage } from '../report/progress.ts';
import type { TextWriter } from './context.ts';

export interface ProgressSettings {
  readonly kind: 'none' | 'lines' | 'tasks';
  readonly now: () => number;
}

export class ProgressSwitch {
  readonly #stderr: TextWriter;
  readonly #settings: ProgressSettings;
  #open: () => ProgressView | undefined;
  #view: ProgressView | undefined;

  constructor(stderr: TextWriter, settings: ProgressSettings) {
    this.#stderr = stderr;
    this.#settings = settings;
    this.#open = () => (settings.kind === 'none' ? undefined : new LineView(stderr, settings.now));
  }

  /** Loads the task list, which only a terminal needs, and tells it what is to come. */
  async follow(stages: readonly Stage[]): Promise<void> {
    if (this.#settings.kind !== 'tasks') return;
    const { TaskListView } = await import('../report/task-list.ts');
    let left = stages;
    this.#open = () => {
      const view = new TaskListView(this.#stderr, { stages: left, now: this.#settings.now });
      return {
        emit: (event) => view.emit(event),
        end(outcome) {
          left = view.remaining;
          return view.end(outcome);
        },
      };
    };
  }

  readonly emit: Emit = (event: RunEvent) => {
    this.#view ??= this.#open();
    this.#view?.emit(event);
  };

  async end(outcome: Outcome): Promise<void> {
    const view = this.#view;
    this.#view = undefined;
    await view?.end(outcome);
  }
}

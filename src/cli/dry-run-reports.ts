/** The files of `dry-run --report`. */
import { mkdir, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { ComparedDocument } from '../comparison/comparison.ts';
import { DocumentSpill } from '../comparison/document-spill.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { DryRun } from '../report/dry-run/page.ts';
import { buildReport, type DocumentPlace, type ReportInput } from '../report/report-model.ts';
import { type ReportFormat, reportFormatOf, writeReport } from '../report/write-report.ts';
import { redact } from '../secret.ts';
import { VERSION } from '../version.ts';
import type { OptionValue } from './command.ts';
import type { CommandContext } from './context.ts';
import { SHOWN } from './dry-run-listing.ts';

export interface ReportFile {
  readonly path: string;
  readonly format: ReportFormat;
}

/** Documents per class and collection that a report lists when `--full` is not given. */
const IN_REPORT = 1_000;

/** Throws USAGE for a file of another kind, before anything is read. */
export function checkReports(value: OptionValue): readonly ReportFile[] {
  const paths = Array.isArray(value) ? (value as readonly string[]) : [];
  return paths.map((path) => {
    const format = reportFormatOf(path);
    if (format !== undefined) return { path, format };
    throw new RestorePlanError('USAGE', `no report can be written as ${path}`, {
      hint: 'The ending of the file says which kind: .html, .md or .json.',
    });
  });
}

export interface Reports {
  /** Documents per class and collection that the comparison has to keep. */
  readonly show: number;
  /** Wants every compared document as it comes. */
  readonly each?: (target: TargetName, collection: string, document: ComparedDocument) => Promise<void>;
  write(run: DryRun): Promise<void>;
  close(): Promise<void>;
}

/** Existing files are overwritten: a report is made anew with every dry-run. */
export function openReports(context: CommandContext, files: readonly ReportFile[], full: boolean): Reports {
  if (files.length === 0) return NO_REPORTS;
  return full ? new FullReports(context, files) : new KeptReports(context, files);
}

const NO_REPORTS: Reports = { show: SHOWN, write: async () => {}, close: async () => {} };

class KeptReports implements Reports {
  readonly show = IN_REPORT;
  readonly #context: CommandContext;
  readonly #files: readonly ReportFile[];

  constructor(context: CommandContext, files: readonly ReportFile[]) {
    this.#context = context;
    this.#files = files;
  }

  write(run: DryRun): Promise<void> {
    return writeFiles(this.#context, this.#files, run);
  }

  async close(): Promise<void> {}
}

/** All documents may be hundreds of thousands: they wait on the disk. */
class FullReports implements Reports {
  readonly show = SHOWN;
  readonly #context: CommandContext;
  readonly #files: readonly ReportFile[];
  readonly #spills = new Map<TargetName, DocumentSpill>();

  constructor(context: CommandContext, files: readonly ReportFile[]) {
    this.#context = context;
    this.#files = files;
  }

  readonly each = async (
    target: TargetName,
    collection: string,
    document: ComparedDocument,
  ): Promise<void> => {
    let spill = this.#spills.get(target);
    if (spill === undefined) {
      spill = await DocumentSpill.create(this.#context.workDirectory);
      this.#spills.set(target, spill);
    }
    await spill.add(collection, document);
  };

  async write(run: DryRun): Promise<void> {
    await writeFiles(this.#context, this.#files, { ...run, allDocuments: (place) => this.#read(place) });
  }

  async *#read({ target, collection, documentClass }: DocumentPlace): AsyncGenerator<ComparedDocument> {
    const spill = this.#spills.get(target);
    if (spill !== undefined) yield* spill.read(collection, documentClass);
  }

  async close(): Promise<void> {
    for (const spill of this.#spills.values()) await spill.remove();
  }
}

async function writeFiles(
  context: CommandContext,
  files: readonly ReportFile[],
  run: Omit<ReportInput, 'toolVersion' | 'writtenAt'>,
): Promise<void> {
  const report = buildReport({ ...run, toolVersion: VERSION, writtenAt: context.now() });
  for (const { path, format } of files) {
    const file = resolve(context.cwd, path);
    await mkdir(dirname(file), { recursive: true });
    const handle = await open(file, 'w');
    try {
      for await (const piece of writeReport(format, report)) await handle.write(redact(piece));
    } finally {
      await handle.close();
    }
    context.json({ type: 'report', file });
    context.stderr.write(context.options.quiet ? '' : `Report: ${file}\n`);
  }
}

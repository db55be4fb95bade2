/** The files of `dry-run --report`. */
import { mkdir, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { RestorePlanError } from '../errors.ts';
import type { DryRun } from '../report/dry-run/page.ts';
import { buildReport } from '../report/report-model.ts';
import { type ReportFormat, reportFormatOf, writeReport } from '../report/write-report.ts';
import { redact } from '../secret.ts';
import { VERSION } from '../version.ts';
import type { OptionValue } from './command.ts';
import type { CommandContext } from './context.ts';
import { SHOWN } from './dry-run-output.ts';
import type { FullDocuments } from './full-documents.ts';

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

/** Dangling references per collection that `--full` lists: they are kept in memory, not on the disk as documents are. */
const DANGLING = 10_000;

/** How much of each class and collection the comparison has to keep. */
export function keptForShowing(
  reports: readonly ReportFile[],
  isFull: boolean,
): { readonly show: number; readonly showDangling: number } {
  if (isFull) return { show: SHOWN, showDangling: DANGLING };
  const show = reports.length === 0 ? SHOWN : IN_REPORT;
  return { show, showDangling: show };
}

/** Existing files are overwritten: a report is made anew with every dry-run. */
export async function writeReports(
  context: CommandContext,
  run: DryRun,
  { files, full }: { readonly files: readonly ReportFile[]; readonly full: FullDocuments | undefined },
): Promise<void> {
  const report = buildReport({
    ...run,
    toolVersion: VERSION,
    writtenAt: context.now(),
    ...(full && { allDocuments: (place) => full.read(place) }),
  });
  for (const { path, format } of files) {
    const file = resolve(context.cwd, path);
    try {
      await writeTo(file, writeReport(format, report));
    } catch (error) {
      throw notWritten(path, error);
    }
    context.json({ type: 'report', file });
    context.stderr.write(context.options.quiet ? '' : `Report: ${file}\n`);
  }
}

async function writeTo(file: string, pieces: ReturnType<typeof writeReport>): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const handle = await open(file, 'w');
  try {
    for await (const piece of pieces) await handle.appendFile(redact(piece));
  } finally {
    await handle.close();
  }
}

/** What the operating system says of it may not even name the file. */
function notWritten(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('syscall' in error)) return error;
  return new RestorePlanError('UNEXPECTED', `the report ${path} could not be written: ${error.message}`, {
    hint: 'What the dry-run found is complete without it. Name another file with --report.',
    cause: error,
  });
}

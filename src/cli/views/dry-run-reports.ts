/** The files of `dry-run --report`. */

import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { RestorePlanError } from '../../errors.ts';
import { makeDirectory, PRIVATE_FILE, reasonOf, removeUnused, SHARED_DIRECTORY } from '../../files.ts';
import { DOCUMENTS_TOLD, type DocumentsTold, type Plan } from '../../plan/plan.ts';
import type { DryRun } from '../../report/report-model.ts';
import { buildReport } from '../../report/report-model.ts';
import { type ReportFormat, reportFormatOf, writeReport } from '../../report/write-report.ts';
import { redact } from '../../secret.ts';
import { neutral } from '../../text/escape.ts';
import { VERSION } from '../../version.ts';
import type { OptionValue } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { type Reader, show } from '../view.ts';
import { SHOWN, type SpilledDocuments } from './dry-run-documents.ts';

interface ReportFile {
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

/** The most that reports tell of documents: as the plan says, or less where `--report-documents` says less. */
export function toldInReports(plan: Plan, asked: OptionValue): DocumentsTold {
  const most = plan.report.documents;
  const wanted = DOCUMENTS_TOLD.find((each) => each === asked) ?? most;
  return DOCUMENTS_TOLD.indexOf(wanted) < DOCUMENTS_TOLD.indexOf(most) ? wanted : most;
}

/** `--report-mode 640`; undefined when it was not given. Throws USAGE. */
export function reportMode(value: OptionValue): number | undefined {
  if (typeof value !== 'string') return undefined;
  if (/^0?[0-7]{3}$/.test(value)) return Number.parseInt(value, 8);
  throw new RestorePlanError('USAGE', `--report-mode ${neutral(value)} is not a file mode`, {
    hint: 'It is three octal digits, as chmod takes them: 640 lets the group read, 644 everybody.',
  });
}

/** Dangling references per collection that `--full` lists: they are kept in memory, not on the disk as documents are. */
const DANGLING = 10_000;

interface Output {
  readonly reports: readonly ReportFile[];
  readonly told: DocumentsTold;
  readonly isFull: boolean;
}

/** How much of each class and collection the comparison has to keep for this reader and these reports, and what of it on the disk. */
export function keptForShowing(reader: Reader, { reports, told, isFull }: Output) {
  const isReport = reports.length > 0 && told !== 'none';
  const inJson = reports.some(({ format }) => format === 'json') && told === 'whole';
  const forms = {
    canonical: reader === 'program' || inJson,
    masked: isReport && told === 'masked',
    long: isFull && reader === 'file',
  };
  const most = isFull ? Number.POSITIVE_INFINITY : isReport ? IN_REPORT : SHOWN;
  return {
    show: SHOWN,
    showDangling: isFull ? DANGLING : most,
    spilled: isFull || isReport || reader === 'program' ? { most, forms } : undefined,
  };
}

/** What reports are made of, beside the dry-run. */
interface ReportOrders {
  readonly files: readonly ReportFile[];
  readonly told: DocumentsTold;
  readonly spilled: SpilledDocuments | undefined;
  /** Permissions of the files; undefined: their owner's alone. */
  readonly mode: number | undefined;
}

/** Existing files are overwritten: a report is made anew with every dry-run. */
export async function writeReports(
  context: CommandContext,
  run: DryRun,
  { files, told, spilled, mode }: ReportOrders,
): Promise<void> {
  const report = buildReport({
    ...run,
    toolVersion: VERSION,
    writtenAt: context.now(),
    told,
    ...(spilled && { allDocuments: (place) => spilled.read(place) }),
  });
  for (const { path, format } of files) {
    const file = resolve(context.cwd, path);
    try {
      await writeTo(file, writeReport(format, report), mode);
    } catch (error) {
      throw notWritten(path, error);
    }
    await show(context, { page: () => [], objects: () => [{ type: 'report', file }] });
    context.stderr.write(context.options.quiet ? '' : `Report: ${file}\n`);
  }
}

/**
 * A file that is there already is made as private as a new one, before anything is written; a pipe or a device is left as it is. Half a
 * report is none.
 */
async function writeTo(
  file: string,
  pieces: ReturnType<typeof writeReport>,
  mode = PRIVATE_FILE,
): Promise<void> {
  await makeDirectory(dirname(file), SHARED_DIRECTORY);
  const handle = await open(file, 'w', mode);
  let isFile = false;
  try {
    try {
      isFile = (await handle.stat()).isFile();
      if (isFile) await handle.chmod(mode);
      for await (const piece of pieces) await handle.appendFile(redact(piece));
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isFile) await removeUnused(file);
    throw error;
  }
}

/** What the operating system says of it may not even name the file. */
function notWritten(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('syscall' in error)) return error;
  const reason = reasonOf(error) ?? error.message;
  return new RestorePlanError('UNEXPECTED', `the report ${path} could not be written: ${reason}`, {
    hint: 'What the dry-run found is complete without it. Name another file with --report.',
    cause: error,
  });
}

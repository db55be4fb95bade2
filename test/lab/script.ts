/** Scripts of the tests that run as processes of their own: the runner builds them together with the test files. */
import { join, relative } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** Names the folder of what the runner has built; see test/runner/build-tests.ts. */
export const BUILT_TESTS = 'RESTORE_PLAN_TEST_BUILT';

/** Holds the addresses of the shared servers as JSON (`LabAddresses`); set by the test runner. */
export const LAB_VARIABLE = 'RESTORE_PLAN_TEST_LAB';

/** What tests start by itself, below the root. */
export const SCRIPTS = [
  'src/main.ts',
  'test/demo/demo.ts',
  'test/faults/child.ts',
  'test/faults/dying-program.ts',
  'test/target/writing-child.ts',
] as const;

/** Programs of threads, below the root. */
export const THREADS = ['src/selection/slices/slice-thread.ts'] as const;

/** In the folder of what the runner has built: test files, scripts and all that they use. */
export const PACK = 'pack.cjs';

/** First argument of the program that starts from the pack (test/runner/start-built.ts), to keep what V8 compiles. */
export const KEEP = '--keep-compiled';

/** Where a TypeScript file of this repository lies once it is built. */
export function builtPath(folder: string, file: string): string {
  return join(folder, relative(ROOT, file).replace(/\.ts$/, '.mjs'));
}

/** Arguments with which node runs one of `SCRIPTS` or `THREADS`, given by its absolute path: what was built, else the source through tsx. */
export function scriptArguments(file: string): string[] {
  const folder = process.env[BUILT_TESTS];
  if (folder === undefined) return ['--import', import.meta.resolve('tsx'), file];
  return [builtPath(folder, file)];
}

/** Whether this process was started to run that file. */
export function isStarted(file: string): boolean {
  return scriptArguments(file).at(-1) === process.argv[1];
}

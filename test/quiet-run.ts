/** A run that tells nobody, is never stopped and keeps no files: for engine functions that a test calls by themselves. */
import { type Run, runIn } from '../src/run.ts';

export const QUIET: Run = runIn('/nowhere/.restore-plan');

/** What of a command line the advised ones repeat, so that they can be typed as they stand. */
import { shellWord } from '../text/escape.ts';

/** The options that a command was given in the place of a plan file. */
export interface InsteadOfFile {
  readonly planName?: string | undefined;
  readonly uriEnv: string;
  readonly database: string;
}

/** What of a command line the next one needs as well, so that it can be typed as it is advised. */
export interface GivenWords {
  /** The plan: its file, or what stands for it. */
  readonly plan?: string | InsteadOfFile | undefined;
  readonly envFile?: string | undefined;
  readonly workDir?: string | undefined;
}

/** Words for a shell: those that name the plan, and those at the end. */
export function wordsOf(
  { plan, envFile, workDir }: GivenWords,
  command: string,
): { named: readonly string[]; last: readonly string[] } {
  const last = Object.entries({ '--env-file': envFile, '--work-dir': workDir });
  return {
    named: wordsNaming(plan, command),
    last: last.flatMap(([option, value]) => (value === undefined ? [] : [option, shellWord(value)])),
  };
}

/** `<plan>` where the command needs the file that was not given. */
function wordsNaming(plan: GivenWords['plan'], command: string): readonly string[] {
  if (plan === undefined) return [];
  if (typeof plan === 'string') return [shellWord(plan)];
  const { planName, uriEnv, database } = plan;
  const place = ['--uri-env', shellWord(uriEnv), '--database', shellWord(database)];
  if (command === 'unlock') return place;
  if (command === 'revert' && planName !== undefined) return ['--plan-name', shellWord(planName), ...place];
  return ['<plan>'];
}

import { RestorePlanError } from '../../errors.ts';

export async function run(): Promise<never> {
  throw new RestorePlanError('UNEXPECTED', '`plan follow-up` is not supported yet');
}

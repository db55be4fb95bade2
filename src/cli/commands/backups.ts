import { RestorePlanError } from '../../errors.ts';

export async function run(): Promise<never> {
  throw new RestorePlanError('UNEXPECTED', '`plan backups` is not supported yet');
}

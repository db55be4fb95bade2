/** The program as it ships. */
import { runProcess } from './process.ts';

runProcess(() => {});

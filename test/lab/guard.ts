/**
 * Makes sure that no server, child or folder of a test outlives it, not even when its process is killed with SIGKILL:
 * a tiny shell script waits for the end of a pipe that only this process holds, and then cleans up.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let guard: ChildProcess | undefined;

function tellGuard(line: string): void {
  if (guard === undefined) {
    // Detached: Ctrl-C goes to the whole process group, and the guard must see the end of the others.
    guard = spawn('sh', [join(import.meta.dirname, 'guard.sh')], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    guard.unref();
    (guard.stdin as unknown as { unref(): void }).unref();
    guard.stdin?.on('error', () => undefined);
  }
  guard.stdin?.write(`${line}\n`);
}

/** Has the child killed when this process ends before the child does. */
export function guardProcess(child: ChildProcess): void {
  if (child.pid === undefined) return;
  tellGuard(`process ${child.pid}`);
  child.once('exit', () => tellGuard(`ended ${child.pid}`));
}

export interface TemporaryFolder {
  /** Absolute path. */
  readonly path: string;
  remove(): void;
}

/** A new empty folder, mode 0700, removed by `remove` or at the latest when this process is gone. */
export function temporaryFolder(name: string, root = tmpdir()): TemporaryFolder {
  const path = mkdtempSync(join(root, `restore-plan-${name}-`));
  tellGuard(`folder ${path}`);
  return { path, remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }) };
}

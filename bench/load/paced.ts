// Starts the paced load in a process of its own.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Workbench } from '../workbench.ts';
import type { PacedOptions, PacedResult } from './paced-process.ts';

/** Resolves when the last transaction is committed. */
export async function pacedLoad(bench: Workbench, options: PacedOptions): Promise<PacedResult> {
  const child = fork(resolve(import.meta.dirname, 'paced-process.ts'), [JSON.stringify(options)], {
    stdio: 'inherit',
  });
  const forget = bench.onEnd(async () => void child.kill('SIGKILL'));
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`the paced load ended with code ${String(code)}`);
  });
  failed.catch(() => undefined);
  try {
    const [result] = await Promise.race([once(child, 'message'), failed]);
    return result as PacedResult;
  } finally {
    forget();
  }
}

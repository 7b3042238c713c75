// Loaded into every thread of a service (`--import`): once the file that TAILRACE_TEST_BLOCK_FILE names is there, each thread that runs sinks
// does nothing at all for as long as the file says, in milliseconds. Once.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { isMainThread, workerData } from 'node:worker_threads';

const file = process.env['TAILRACE_TEST_BLOCK_FILE'] ?? '';
const runsSinks = !isMainThread && (workerData as { sinks?: unknown } | null)?.sinks !== undefined;
if (runsSinks) {
  const timer = setInterval(() => {
    if (!existsSync(file)) return;
    clearInterval(timer);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(readFileSync(file, 'utf8')));
    writeFileSync(`${file}.done`, '');
  }, 50);
  timer.unref();
}

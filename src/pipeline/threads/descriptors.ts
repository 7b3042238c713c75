// A thread that is to start without a file descriptor would end the service: it waits for some.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { areDescriptorsFree } from '../../core/descriptors.ts';
import { shortageNamed } from '../../core/shortages.ts';

/** Its event loop, the modules that it reads one after the other, the store, a segment of the log, a ledger. */
const NEEDED = 16;
const INTERVAL_MS = 200;

/** Resolves when there are descriptors for one more thread, or when `signal` aborts. */
export async function untilDescriptorsFree(logger: Logger, signal: AbortSignal): Promise<void> {
  for (let isTold = false; !areDescriptorsFree(NEEDED) && !signal.aborted; isTold = true) {
    const { what, cure } = shortageNamed('EMFILE')!;
    if (!isTold) logger.warn({ hint: cure }, `${what}: the sinks wait for some before they start`);
    await sleep(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}

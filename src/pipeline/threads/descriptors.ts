// What is to start without a file descriptor would end the service, or with words that name no cure: it waits for some.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { areDescriptorsFree } from '../../core/descriptors.ts';
import { shortageNamed } from '../../core/shortages.ts';

/** Of a thread: its event loop, the modules that it reads one after the other, the store, a segment of the log, a ledger. */
const NEEDED = 16;
const INTERVAL_MS = 200;

/** `who`: what is to start (`the sinks of database "shop"`). Resolves when there are descriptors for it, or when `signal` aborts. */
export async function untilDescriptorsFree(who: string, logger: Logger, signal?: AbortSignal): Promise<void> {
  for (let isTold = false; !areDescriptorsFree(NEEDED) && signal?.aborted !== true; isTold = true) {
    const { what, cure } = shortageNamed('EMFILE')!;
    if (!isTold) logger.warn({ hint: cure }, `${what}: before a start of ${who} some must be free`);
    await sleep(INTERVAL_MS, undefined, { ...(signal && { signal }) }).catch(() => undefined);
  }
}

// One run each of a sink whose filter lets nothing through but the first change and the last, which tell when it began and ended: from
// the slot, and from the change log.
import { waitFor } from '../../test/support/wait.ts';
import { changesIn } from '../load/mixed.ts';
import type { Run } from '../measurement.ts';
import { whenActive } from '../slots.ts';
import { startTailrace } from '../tailrace.ts';
import type { Workbench } from '../workbench.ts';
import { processFigures, RUN_TIMEOUT_MS, type SinkReplay, type StartUp } from './replay-runs.ts';

/** The key of the last change of the load, an insert. */
export const LAST_ID = 2_000_000_000;
export const ALL_PASS = `id > 0 and id <= ${LAST_ID}`;
export const NONE_PASS = `id = 1 and meta.action = 'insert' or id = ${LAST_ID}`;
export const PASSING = 2;

export async function rejectOnce(bench: Workbench, replay: SinkReplay, startUp: StartUp): Promise<Run> {
  const changes = changesIn(replay.committed);
  await bench.endpoint.reset();
  const directory = bench.newDirectory();
  const tailrace = startTailrace(bench, directory.path, { ...replay, sinks: [replay.sink] });
  const sender = await tailrace.until(whenActive(replay.database, replay.slot));
  await tailrace.until(bench.endpoint.waitFor(replay.queue, PASSING));
  const figures = processFigures(tailrace, sender, { changes, ...startUp });
  const { lastAcceptedMs } = await bench.endpoint.report(replay.queue);
  await tailrace.stop();
  directory.remove();
  const seconds = (lastAcceptedMs - sender.activeSinceMs) / 1000;
  return { figures: { ...figures, seconds, changesPerSecond: changes / seconds } };
}

/** Fills the log first; then a sink begins at its start. The clock runs from the first change to the last. */
export async function rejectFromLog(bench: Workbench, replay: SinkReplay, startUp: StartUp): Promise<Run> {
  const changes = changesIn(replay.committed);
  const directory = bench.newDirectory();
  const options = { ...replay, slotOptions: { ack: 'durable' } };
  const before = startTailrace(bench, directory.path, { ...options, sinks: [] });
  await before.until(
    waitFor(
      async () => {
        const [database] = (await before.service.health()).databases;
        return database?.changes === changes && database.durableEnd === database.loggedEnd;
      },
      'the log to hold all changes',
      RUN_TIMEOUT_MS,
    ),
  );
  await before.stop();
  await bench.endpoint.reset();
  const { sink } = replay;
  const fromStart = { ...sink, options: { ...sink.options, start: 'earliest' } };
  const tailrace = startTailrace(bench, directory.path, { ...options, sinks: [fromStart] });
  const sender = await tailrace.until(whenActive(replay.database, replay.slot));
  await tailrace.until(bench.endpoint.waitFor(replay.queue, PASSING));
  const figures = processFigures(tailrace, sender, { changes, ...startUp });
  const { firstAcceptedMs, lastAcceptedMs } = await bench.endpoint.report(replay.queue);
  await tailrace.stop();
  directory.remove();
  const seconds = (lastAcceptedMs - firstAcceptedMs) / 1000;
  return { figures: { ...figures, seconds, changesPerSecond: changes / seconds } };
}

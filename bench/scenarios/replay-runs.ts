// One run each of what reads a slot's backlog: Tailrace with a queue, Tailrace without sinks, the plain client.
import { statSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { waitFor } from '../../test/support/wait.ts';
import { wallClockMs } from '../clock.ts';
import { changesIn, type ChangeCounts } from '../load/mixed.ts';
import type { Figures, LanesAt, Run } from '../measurement.ts';
import type { Network, QueueReport } from '../endpoint/protocol.ts';
import { cpuUsOf, diskBytesWrittenBy, peakRssMiBOf } from '../process-figures.ts';
import { startPlainClient } from '../references/plain-client.ts';
import { walsenderCpuUs, whenActive, type Walsender } from '../slots.ts';
import { startTailrace, type BenchSink, type Tailrace } from '../tailrace.ts';
import type { Database, Workbench } from '../workbench.ts';

export type Replay = {
  readonly database: Database;
  readonly slot: string;
  readonly publication: string;
  readonly queue: string;
  /** What the slot holds. */
  readonly committed: ChangeCounts;
  /** Default: the loopback as it is. */
  readonly network?: Network;
};

/** CPU of a start without work, which the figures are told with and without. */
export type StartUp = { readonly startUpCpuUs: number };

export const RUN_TIMEOUT_MS = 3_600_000;

export type SinkReplay = Replay & { readonly sink: BenchSink };

/** Drains the slot to the sink's queue. */
export async function drainOnce(bench: Workbench, replay: SinkReplay, startUp: StartUp): Promise<Run> {
  const changes = changesIn(replay.committed);
  await bench.endpoint.reset();
  if (replay.network !== undefined) await bench.endpoint.setNetwork(replay.network);
  const directory = bench.newDirectory();
  const tailrace = startTailrace(bench, directory.path, { ...replay, sinks: [replay.sink] });
  const sender = await tailrace.until(whenActive(replay.database, replay.slot));
  const lanes = replay.network === undefined ? undefined : watchLanes(tailrace, sender);
  await tailrace.until(bench.endpoint.waitFor(replay.queue, changes));
  const figures = processFigures(tailrace, sender, { changes, ...startUp });
  const lanesOverTime = await lanes?.stop();
  const logBytes = logFiles(tailrace).reduce((sum, { bytes }) => sum + bytes, 0);
  // What is in flight is settled before it ends: a repeat would show.
  await tailrace.stop();
  directory.remove();
  return {
    figures: {
      ...figures,
      ...(await queueFigures(bench, replay, sender)),
      logBytesPerChange: logBytes / changes,
      ...(lanesOverTime !== undefined && { lanes: lanesOverTime.at(-1)?.lanes ?? Number.NaN }),
    },
    ...(lanesOverTime !== undefined && { lanesOverTime }),
  };
}

/** Between two looks: each costs the service half a millisecond. */
const LANES_INTERVAL_MS = 200;

/** How many lanes the service's only route has, as it says itself, until `stop`. */
function watchLanes({ service }: Tailrace, sender: Walsender): { stop(): Promise<readonly LanesAt[]> } {
  const seen: LanesAt[] = [];
  const look = async (): Promise<void> => {
    const [sink] = (await service.health()).sinks;
    const route = sink?.state === 'running' ? sink.routes[0] : undefined;
    if (route !== undefined)
      seen.push({ seconds: (wallClockMs() - sender.activeSinceMs) / 1000, lanes: route.lanes });
  };
  const ended = new AbortController();
  const watching = (async () => {
    while (!ended.signal.aborted) {
      await look();
      await setTimeout(LANES_INTERVAL_MS, undefined, { signal: ended.signal }).catch(() => undefined);
    }
  })();
  return {
    stop: async () => {
      ended.abort();
      await watching;
      return seen;
    },
  };
}

/** Reads the slot into the change log. The clock stops at the log's last write; that all of it is durable is then asked. */
export async function logOnce(bench: Workbench, replay: Replay, startUp: StartUp): Promise<Run> {
  const changes = changesIn(replay.committed);
  const directory = bench.newDirectory();
  const tailrace = startTailrace(bench, directory.path, {
    ...replay,
    sinks: [],
    slotOptions: { ack: 'durable' },
  });
  const sender = await tailrace.until(whenActive(replay.database, replay.slot));
  await tailrace.until(
    waitFor(
      async () => {
        const [database] = (await tailrace.service.health()).databases;
        return database?.changes === changes && database.durableEnd === database.loggedEnd;
      },
      'the log to be durable',
      RUN_TIMEOUT_MS,
    ),
  );
  const figures = processFigures(tailrace, sender, { changes, ...startUp });
  const files = logFiles(tailrace);
  const seconds = (Math.max(...files.map(({ writtenMs }) => writtenMs)) - sender.activeSinceMs) / 1000;
  const logBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  await tailrace.stop();
  directory.remove();
  return {
    figures: {
      ...figures,
      seconds,
      changesPerSecond: changes / seconds,
      logBytesPerChange: logBytes / changes,
    },
  };
}

/** The same work by the reference. */
export async function plainClientOnce(bench: Workbench, replay: Replay): Promise<Run> {
  const changes = changesIn(replay.committed);
  const { database, slot, publication, queue } = replay;
  await bench.endpoint.reset();
  if (replay.network !== undefined) await bench.endpoint.setNetwork(replay.network);
  const client = startPlainClient(bench, {
    url: database.url,
    slot,
    publication,
    endpoint: bench.destination.url,
    queue,
  });
  const sender = await client.until(whenActive(database, slot));
  const { startUpCpuUs } = await client.until(client.started);
  await client.until(bench.endpoint.waitFor(queue, changes));
  const cpuUs = cpuUsOf(client.child.pid!) ?? Number.NaN;
  const figures: Figures = {
    changes,
    cpuUsPerChange: (cpuUs - startUpCpuUs) / changes,
    cpuUsPerChangeWithStart: cpuUs / changes,
    startUpCpuMs: startUpCpuUs / 1000,
    senderCpuUsPerChange: walsenderCpuUs(sender) / changes,
    peakRssMiB: peakRssMiBOf(client.child.pid!),
  };
  await client.stop();
  return { figures: { ...figures, ...(await queueFigures(bench, replay, sender)) } };
}

/** To be read while the service still runs. */
export function processFigures(
  { pid }: Tailrace,
  sender: Walsender,
  { changes, startUpCpuUs }: StartUp & { changes: number },
): Figures {
  const cpuUs = cpuUsOf(pid) ?? Number.NaN;
  return {
    changes,
    cpuUsPerChange: (cpuUs - startUpCpuUs) / changes,
    cpuUsPerChangeWithStart: cpuUs / changes,
    startUpCpuMs: startUpCpuUs / 1000,
    senderCpuUsPerChange: walsenderCpuUs(sender) / changes,
    peakRssMiB: peakRssMiBOf(pid),
    diskBytesPerChange: diskBytesWrittenBy(pid) / changes,
  };
}

/** From the moment that somebody reads the slot to the last change that the queue accepts. */
async function queueFigures(bench: Workbench, replay: Replay, sender: Walsender): Promise<Figures> {
  const report = await bench.endpoint.report(replay.queue);
  const changes = changesIn(replay.committed);
  const seconds = (report.lastAcceptedMs - sender.activeSinceMs) / 1000;
  return {
    seconds,
    changesPerSecond: changes / seconds,
    secondsToFirst: (report.firstAcceptedMs - sender.activeSinceMs) / 1000,
    steadyPerSecond: steadyPerSecond(report),
    changesPerRequest: changes / report.requests,
    throttledPercent: (100 * report.throttled) / (report.requests + report.throttled),
    endpointCpuUsPerChange: report.cpuUs / changes,
  };
}

/** What is found in the first two seconds is apart. Of a run that is not much longer nothing is known. */
const STEADY_FROM_TENTH = 20;

function steadyPerSecond({ timeline, lastAcceptedMs, firstAcceptedMs, accepted }: QueueReport): number {
  const before = timeline.slice(0, STEADY_FROM_TENTH).at(-1) ?? 0;
  const seconds = (lastAcceptedMs - firstAcceptedMs) / 1000 - STEADY_FROM_TENTH / 10;
  return timeline.length < STEADY_FROM_TENTH * 1.5 ? Number.NaN : (accepted - before) / seconds;
}

type LogFile = { readonly bytes: number; readonly writtenMs: number };

/** The segments of the change log. */
function logFiles({ dataDirectory }: Tailrace): LogFile[] {
  const directory = join(dataDirectory, 'log', 'bench');
  return readdirSync(directory).flatMap((name) => {
    if (name === 'state') return [];
    const { size, mtimeMs } = statSync(join(directory, name));
    return [{ bytes: size, writtenMs: mtimeMs }];
  });
}

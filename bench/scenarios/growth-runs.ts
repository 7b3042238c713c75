// A slot drained to several sinks, each change counted: the runs of `growth`.
import { waitFor } from '../../test/support/wait.ts';
import { accountingFaults } from '../accounting-check.ts';
import { changesIn, type ChangeCounts } from '../load/mixed.ts';
import type { Run } from '../measurement.ts';
import { cpuUsOf, peakRssMiBOf } from '../process-figures.ts';
import { walsenderCpuUs, whenActive } from '../slots.ts';
import { startTailrace, startUpCpuUs, type BenchSink } from '../tailrace.ts';
import type { Database, Workbench } from '../workbench.ts';

export const PUBLICATION = 'bench';

export type Backlog = {
  readonly database: Database;
  readonly slot: string;
  readonly sinks: readonly BenchSink[];
  /** What each sink is to deliver, and what the slot holds. */
  readonly wanted: ChangeCounts;
  readonly changes: number;
  /** Has each sink some changes of a transaction only? */
  readonly isFiltered?: boolean;
};

/** Drains a slot to all the sinks; figures are per change of the slot, whatever becomes of it. */
export async function drainToSinks(bench: Workbench, backlog: Backlog): Promise<Run> {
  const { database, slot, sinks, wanted, changes } = backlog;
  const options = { database, publication: PUBLICATION, sinks };
  const startUp = await startUpCpuUs(bench, { ...options, slot: 'idle' });
  await bench.endpoint.reset();
  const directory = bench.newDirectory();
  const tailrace = startTailrace(bench, directory.path, { ...options, slot });
  const sender = await tailrace.until(whenActive(database, slot));
  await tailrace.until(
    Promise.all(sinks.map(({ queue }) => bench.endpoint.waitFor(queue, changesIn(wanted)))),
  );
  await tailrace.until(sourceHasRead(tailrace, changes));
  const cpuUs = cpuUsOf(tailrace.pid) ?? Number.NaN;
  const peakRssMiB = peakRssMiBOf(tailrace.pid);
  const senderCpuUs = walsenderCpuUs(sender);
  await tailrace.stop();
  directory.remove();
  const reports = await Promise.all(sinks.map(({ queue }) => bench.endpoint.report(queue)));
  for (const [i, report] of reports.entries()) {
    for (const fault of accountingFaults(report, wanted, backlog))
      bench.fault(`growth, ${sinks[i]!.queue}: ${fault}`);
  }
  const lastMs = Math.max(...reports.map(({ lastAcceptedMs }) => lastAcceptedMs));
  const seconds = (lastMs - sender.activeSinceMs) / 1000;
  return {
    figures: {
      changes,
      changesPerSecond: changes / seconds,
      wantedShare: changesIn(wanted) / changes,
      messagesPerSecond: (changesIn(wanted) * sinks.length) / seconds,
      cpuUsPerChange: (cpuUs - startUp) / changes,
      cpuUsPerChangeWithStart: cpuUs / changes,
      senderCpuUsPerChange: senderCpuUs / changes,
      peakRssMiB,
    },
  };
}

/** The last wanted row need not be the last row. */
const sourceHasRead = (tailrace: ReturnType<typeof startTailrace>, changes: number): Promise<true> =>
  waitFor(async () => {
    const [source] = (await tailrace.service.health()).databases;
    return source !== undefined && source.changes >= changes && source.durableEnd === source.loggedEnd;
  }, 'the source to have read everything');

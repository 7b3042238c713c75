// `backlog`: a restart with a million messages of 2 kB that the queue has not taken yet.
import { accountingFaults } from '../accounting-check.ts';
import { waitFor } from '../../test/support/wait.ts';
import { wallClockMs } from '../clock.ts';
import { TABLE_COLUMNS } from '../load/mixed.ts';
import { lineOf, type Line } from '../measurement.ts';
import { cpuUsOf, peakRssMiBOf } from '../process-figures.ts';
import { startTailrace, type TailraceOptions } from '../tailrace.ts';
import type { Workbench } from '../workbench.ts';
import { QUEUE, SINK } from './live.ts';

const MESSAGE_BYTES = 2_000;
const ROWS_PER_TRANSACTION = 1_000;
const LOG_TIMEOUT_MS = 1_200_000;

export async function backlog(bench: Workbench): Promise<Line> {
  const rows = bench.sizes.backlogMessages;
  await bench.endpoint.reset();
  await bench.endpoint.setMode(QUEUE, 'refusing');
  const database = await bench.newDatabase();
  await database.client.query(`create table t (${TABLE_COLUMNS})`);
  await database.client.query('create publication bench for table t');
  const options: TailraceOptions = { database, slot: database.name, publication: 'bench', sinks: [SINK] };
  const directory = bench.newDirectory();

  const before = startTailrace(bench, directory.path, options);
  await before.until(before.service.ready());
  bench.progress(`backlog: ${rows.toLocaleString('en')} messages that the queue refuses`);
  for (let at = 0; at < rows; at += ROWS_PER_TRANSACTION) {
    await database.client.query(
      `insert into t (string_field, updated_at) select repeat('x', $1), now() from generate_series(1, $2::int)`,
      [MESSAGE_BYTES, Math.min(ROWS_PER_TRANSACTION, rows - at)],
    );
  }
  await before.until(
    waitFor(
      async () => {
        const [source] = (await before.service.health()).databases;
        return source?.changes === rows && source.durableEnd === source.loggedEnd;
      },
      'the log to hold the backlog',
      LOG_TIMEOUT_MS,
    ),
  );
  await before.stop();

  await bench.endpoint.reset();
  const startedMs = wallClockMs();
  const after = startTailrace(bench, directory.path, options);
  await after.until(bench.endpoint.waitFor(QUEUE, rows));
  const cpuUs = cpuUsOf(after.pid) ?? Number.NaN;
  const peakRssMiB = peakRssMiBOf(after.pid);
  await after.stop();
  directory.remove();
  await database.drop();
  const report = await bench.endpoint.report(QUEUE);
  const committed = { inserts: rows, updates: 0, deletes: 0 };
  for (const fault of accountingFaults(report, committed)) bench.fault(`backlog: ${fault}`);
  const figures = {
    changes: rows,
    changesPerSecond: rows / ((report.lastAcceptedMs - report.firstAcceptedMs) / 1000),
    cpuUsPerChangeWithStart: cpuUs / rows,
    endpointCpuUsPerChange: report.cpuUs / rows,
    peakRssMiB,
    changesPerRequest: rows / report.requests,
    secondsToFirst: (report.firstAcceptedMs - startedMs) / 1000,
    secondsToLast: (report.lastAcceptedMs - startedMs) / 1000,
  };
  const work = `${rows.toLocaleString('en')} messages of 2 kB in the log; seconds from the start of the process`;
  return lineOf({ scenario: 'backlog', name: 'backlog', work }, [{ figures }]);
}

// `node bench/backfill-proof.ts`: a large table is read beside writers, by a service that is killed again and again; then, by another one
// that is not, how long live changes take with a backfill and without. Says what it saw. Exit codes: 0 all is well, 1 a row was lost,
// stale, or read twice too often.
import { parseArgs } from 'node:util';
import { startService, type ServiceProcess } from '../test/support/service.ts';
import { waitFor } from '../test/support/wait.ts';
import { cpuUsOf, peakRssMiBOf } from './process-figures.ts';
import { startConsumer, type Consumer } from './proof/consumer.ts';
import { loggedRows } from './proof/logged-rows.ts';
import { startWriters } from './proof/writers.ts';
import { BUILT_MAIN } from './tailrace.ts';
import { NO_SIZES, withWorkbench, type Database, type Workbench } from './workbench.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '2000000' },
    /** Changes a second. */
    rate: { type: 'string', default: '1000' },
    /** Seconds from the moment when it streams to the next kill. */
    kill: { type: 'string', default: '20' },
    /** Seconds for which latencies are taken without a backfill. */
    seconds: { type: 'string', default: '30' },
    workers: { type: 'string', default: '4' },
    /** Live changes do not go first. */
    'full-speed': { type: 'boolean', default: false },
    /** `kills`, `latency`, or both. */
    parts: { type: 'string', default: 'kills,latency' },
  },
});
const rows = Number(values.rows);
const changesPerSecond = Number(values.rate);
const MOST_TWICE = 0.005;
const TIMEOUT_MS = 1_800_000;
const ROWS_AT_ONCE = 100_000;
const STANDSTILL_MS = 20_000;
const WINDOW_MS = 3_000;

type Progress = {
  readonly id: string;
  readonly state: string;
  readonly reason: string | null;
  readonly rows_appended: number;
  readonly rows_dropped: number;
  readonly rows_read_again: number;
};

async function fill(bench: Workbench): Promise<Database> {
  const database = await bench.newDatabase();
  await database.client.query('create table t (id int primary key, v bigint, note text)');
  for (let at = 0; at < rows; at += ROWS_AT_ONCE) {
    await database.client.query(
      `insert into t select i, 0, 'a note of about a hundred characters, number ' || i || repeat(' x', 30) from generate_series($1::int, $2::int) i`,
      [at + 1, Math.min(rows, at + ROWS_AT_ONCE)],
    );
  }
  await database.client.query('vacuum analyze t');
  return database;
}

/** The sink `rows` gets what is read; another one changes alone. */
const configOf = ({ port, name }: Database, consumer: Consumer, sinks: readonly string[]): string => `
databases:
  - { name: bench, hostname: 127.0.0.1, port: ${port}, database: ${name}, username: postgres, password: postgres,
      slot: { name: ${name}, create_if_not_exists: true }, publication: { name: ${name}, create_if_not_exists: true } }
sinks:
${sinks
  .map(
    (
      sink,
    ) => `  - { name: ${sink}, database: bench, source: { include_tables: [public.t] }, backfill: { reads: ${sink === 'rows'} },
      destination: { type: sqs, queue_name: ${sink}.fifo, region: us-east-1, emulator_base_url: "${consumer.url}" } }`,
  )
  .join('\n')}
api: { listen: "127.0.0.1:0" }
metrics: { listen: off }
`;

const api = async (service: ServiceProcess): Promise<string> =>
  `${await service.apiUrl()}/api/databases/bench/backfills`;

async function begin(service: ServiceProcess, { givesWay }: { readonly givesWay: boolean }): Promise<string> {
  const answer = await fetch(await api(service), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      sinks: ['rows'],
      workers: Number(values.workers),
      gives_way: givesWay,
    }),
  });
  return ((await answer.json()) as { readonly backfill: Progress }).backfill.id;
}

async function progressOf(service: ServiceProcess, id: string): Promise<Progress> {
  const progress = (await (await fetch(`${await api(service)}/${id}`)).json()) as Progress;
  if (progress.state === 'failed') throw new Error(`the backfill failed: ${progress.reason}`);
  return progress;
}

const completed = (service: ServiceProcess, id: string): Promise<Progress> =>
  waitFor(
    async () => {
      const progress = await progressOf(service, id);
      return progress.state === 'completed' && progress;
    },
    'the backfill to complete',
    TIMEOUT_MS,
  );

/** Until the consumer has what the table has, or nothing new comes any more; answers how many rows it has otherwise. */
async function compared(consumer: Consumer, { url }: Database): Promise<number> {
  for (let messages = -1; ;) {
    const different = await consumer.compare(url);
    const now = (await consumer.figures()).messages;
    if (different === 0 || now === messages) return different;
    messages = now;
    await new Promise((next) => setTimeout(next, STANDSTILL_MS));
  }
}

async function underKills(bench: Workbench): Promise<void> {
  const database = await fill(bench);
  const consumer = await startConsumer(bench, 'rows.fifo', rows);
  const directory = bench.newDirectory();
  const config = configOf(database, consumer, ['rows']);
  const start = async (): Promise<ServiceProcess> => {
    const started = startService({ directory: directory.path, config, main: BUILT_MAIN });
    await started.ready();
    return started;
  };
  let service = await start();
  bench.onEnd(() => service.kill());
  const writers = await startWriters({ url: database.url, rows, changesPerSecond });
  const beganMs = performance.now();
  // As much as can be is under way at each kill.
  const id = await begin(service, { givesWay: false });
  let kills = 0;
  let cpuUs = 0;
  let rssMiB = 0;
  let progress: Progress | undefined;
  while (progress?.state !== 'completed') {
    const killAtMs = performance.now() + Number(values.kill) * 1000;
    while (performance.now() < killAtMs && progress?.state !== 'completed') {
      await new Promise((next) => setTimeout(next, 200));
      progress = await progressOf(service, id);
    }
    cpuUs += cpuUsOf(service.child.pid!) ?? 0;
    rssMiB = Math.max(rssMiB, peakRssMiBOf(service.child.pid!));
    const { messages, reads } = await consumer.figures();
    bench.progress(
      `${progress!.rows_appended} rows appended, ${reads} delivered, ${messages} messages; kill -9`,
    );
    await service.kill();
    kills++;
    service = await start();
  }
  const seconds = (performance.now() - beganMs) / 1000;
  const { changes, lateMs } = await writers.stop();
  const different = await compared(consumer, database);
  const { reads, readRepeats, repeats, stale } = await consumer.figures();
  const { rows: known } = await database.client.query<{ system: string; oid: number }>(
    `select system_identifier::text as system, (select oid::int8::float8 from pg_database where datname = current_database()) as oid from pg_control_system()`,
  );
  await service.stop();
  const identity = { systemIdentifier: known[0]!.system, databaseOid: known[0]!.oid, slot: database.name };
  const logged = await loggedRows(directory.path, identity, rows);
  const { rows_appended: appended, rows_dropped: dropped, rows_read_again: again } = progress;
  console.log(
    JSON.stringify(
      {
        part: 'kills',
        rows,
        seconds,
        kills,
        changes,
        writerLateMs: lateMs,
        appended,
        dropped,
        again,
        delivered: { reads, readRepeats, repeats },
        logged,
        twiceShare: logged.twice / rows,
        different,
        stale,
        cpuUsPerRow: cpuUs / rows,
        rssMiB,
      },
      undefined,
      1,
    ),
  );
  if (different > 0) bench.fault(`${different} rows are not what the table has`);
  if (stale.length > 0) bench.fault(`stale: ${stale.join(', ')}`);
  if (logged.twice > rows * MOST_TWICE) bench.fault(`${logged.twice} rows were read twice`);
  directory.remove();
  await database.drop();
}

/** Medians over windows: on a machine that does other things, too, one of them says little. In milliseconds. */
type Latencies = {
  readonly windows: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
};

async function latenciesUntil(consumer: Consumer, isOver: () => Promise<boolean>): Promise<Latencies> {
  const windows: { readonly p50: number; readonly p99: number; readonly max: number }[] = [];
  await consumer.figures();
  do {
    await pause(WINDOW_MS);
    const { latency } = await consumer.figures();
    if (latency !== undefined) windows.push(latency);
  } while (!(await isOver()));
  const middle = (figure: 'p50' | 'p99' | 'max'): number =>
    windows.map((window) => window[figure]).toSorted((a, b) => a - b)[Math.floor(windows.length / 2)]!;
  return { windows: windows.length, p50: middle('p50'), p99: middle('p99'), max: middle('max') };
}

const pause = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms));

/** Of live changes of the first sink: without a backfill, and while one reads for the sink `rows`, itself or another one. */
async function latencies(bench: Workbench, sinks: readonly string[]): Promise<void> {
  const database = await fill(bench);
  const directory = bench.newDirectory();
  const consumer = await startConsumer(bench, `${sinks[0]}.fifo`, rows);
  const service = startService({
    directory: directory.path,
    config: configOf(database, consumer, sinks),
    main: BUILT_MAIN,
  });
  bench.onEnd(() => service.kill());
  await service.ready();
  const writers = await startWriters({ url: database.url, rows, changesPerSecond });
  await pause(5_000);
  const quiet = (): Promise<Latencies> => {
    const untilMs = performance.now() + Number(values.seconds) * 1000;
    return latenciesUntil(consumer, async () => performance.now() >= untilMs);
  };
  const before = await quiet();
  const beganMs = performance.now();
  const id = await begin(service, { givesWay: !values['full-speed'] });
  const during = await latenciesUntil(
    consumer,
    async () => (await progressOf(service, id)).state === 'completed',
  );
  const { rows_appended: appended } = await completed(service, id);
  const seconds = (performance.now() - beganMs) / 1000;
  await pause(5_000);
  const after = await quiet();
  const { lateMs } = await writers.stop();
  console.log(
    JSON.stringify(
      {
        part: 'latency',
        workers: values.workers,
        sinks,
        rows,
        seconds,
        rowsPerSecond: appended / seconds,
        givesWay: !values['full-speed'],
        before,
        during,
        after,
        writerLateMs: lateMs,
        ratio: during.p99 / ((before.p99 + after.p99) / 2),
      },
      undefined,
      1,
    ),
  );
  await service.stop();
  directory.remove();
  await database.drop();
}

process.exitCode = await withWorkbench({ sizes: NO_SIZES, profile: undefined }, async (bench) => {
  const parts = values.parts.split(',');
  if (parts.includes('kills')) await underKills(bench);
  if (parts.includes('latency')) {
    await latencies(bench, ['live', 'rows']);
    if (!parts.includes('other')) await latencies(bench, ['rows']);
  }
  return bench.faults.length === 0 ? 0 : 1;
});

// `node bench/backfill-proof.ts`: a large table is read beside writers, by a service that is killed again and again; then, by another one
// that is not, how long live changes take with a backfill and without. Says what it saw. Exit codes: 0 all is well, 1 a row was lost,
// stale, or read twice too often.
import { constants, setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { startService, type ServiceProcess } from '../test/support/service.ts';
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
    workers: { type: 'string', default: '4' },
    /** Milliseconds between a request of the `latency` part and its answer, give or take a quarter. */
    rtt: { type: 'string', default: '0' },
    /** Of the `latency` part: windows beside what is read, before four without it. */
    beside: { type: 'string', default: '4' },
    /** Live changes do not go first. */
    'full-speed': { type: 'boolean', default: false },
    /** `kills`, `latency`, or both. */
    parts: { type: 'string', default: 'kills,latency' },
  },
});
const rows = Number(values.rows);
const changesPerSecond = Number(values.rate);
const rttMs = Number(values.rtt);
const MOST_TWICE = 0.005;
const ROWS_AT_ONCE = 100_000;
const STANDSTILL_MS = 20_000;
const WARM_MS = 15_000;
const WINDOW_MS = 3_000;
/** Windows in turn, beside what is read, and without it; and how long each begins. Short: what else goes on comes and goes. */
const windowsBeside = Number(values.beside);
const WINDOWS_WITHOUT = 4;
const SETTLING_MS = 4_000;

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
const configOf = (
  { port, name }: Database,
  sinks: readonly { readonly name: string; readonly url: string }[],
): string => `
databases:
  - { name: bench, hostname: 127.0.0.1, port: ${port}, database: ${name}, username: postgres, password: postgres,
      slot: { name: ${name}, create_if_not_exists: true }, publication: { name: ${name}, create_if_not_exists: true } }
sinks:
${sinks
  .map(
    (
      sink,
    ) => `  - { name: ${sink.name}, database: bench, source: { include_tables: [public.t] }, backfill: { reads: ${sink.name === 'rows'} },
      destination: { type: sqs, queue_name: ${sink.name}.fifo, region: us-east-1, emulator_base_url: "${sink.url}" } }`,
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

/** Nothing where it has ended meanwhile. */
async function move(service: ServiceProcess, id: string, verb: 'pause' | 'resume'): Promise<void> {
  const answer = await fetch(`${await api(service)}/${id}/${verb}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  if (!answer.ok && (await progressOf(service, id)).state !== 'completed')
    throw new Error(`${verb}: ${await answer.text()}`);
}

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
  const consumer = await startConsumer(bench, 'rows.fifo', { maxRows: rows, rttMs: 0 });
  const directory = bench.newDirectory();
  const config = configOf(database, [{ name: 'rows', url: consumer.url }]);
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

type Latency = { readonly p50: number; readonly p99: number; readonly max: number };
type Latencies = Latency & { readonly windows: number };

/** Medians over windows: on a machine that does other things, too, one of them says little. In milliseconds. */
function medians(windows: readonly Latency[]): Latencies {
  const middle = (figure: keyof Latency): number =>
    windows.map((window) => window[figure]).toSorted((a, b) => a - b)[Math.floor(windows.length / 2)]!;
  return { windows: windows.length, p50: middle('p50'), p99: middle('p99'), max: middle('max') };
}

const pause = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms));

/** Windows of what came, until there are so many, or it is over. What has just begun says nothing. */
async function watch(
  consumer: Consumer,
  most: number,
  isOver: () => Promise<boolean> = async () => false,
): Promise<readonly Latency[]> {
  await pause(SETTLING_MS);
  await consumer.figures();
  const windows: Latency[] = [];
  while (windows.length < most && !(await isOver())) {
    await pause(WINDOW_MS);
    const { latency } = await consumer.figures();
    if (latency !== undefined && !(await isOver())) windows.push(latency);
  }
  return windows;
}

/**
 * Of live changes of the first sink: while a backfill reads for the sink `rows`, itself or another one, and while it is paused, in turn: what
 * else the machine does is beside both.
 */
async function latencies(bench: Workbench, sinks: readonly string[]): Promise<void> {
  const database = await fill(bench);
  const directory = bench.newDirectory();
  const consumers = await Promise.all(
    sinks.map((sink) => startConsumer(bench, `${sink}.fifo`, { maxRows: rows, rttMs })),
  );
  const consumer = consumers[0]!;
  // A real queue is far away: one that nobody measures takes no processor from those that are.
  for (const { pid } of consumers.slice(1)) setPriority(pid, constants.priority.PRIORITY_LOW);
  const service = startService({
    directory: directory.path,
    config: configOf(
      database,
      sinks.map((name, i) => ({ name, url: consumers[i]!.url })),
    ),
    main: BUILT_MAIN,
  });
  bench.onEnd(() => service.kill());
  await service.ready();
  const writers = await startWriters({ url: database.url, rows, changesPerSecond });
  await pause(WARM_MS);
  const without: Latency[] = [];
  const beside: Latency[] = [];
  const id = await begin(service, { givesWay: !values['full-speed'] });
  const isCompleted = async (): Promise<boolean> => (await progressOf(service, id)).state === 'completed';
  let readMs = 0;
  let isOver = false;
  while (!isOver) {
    const fromMs = performance.now();
    beside.push(...(await watch(consumer, windowsBeside, isCompleted)));
    readMs += performance.now() - fromMs;
    isOver = await isCompleted();
    if (!isOver) await move(service, id, 'pause');
    without.push(...(await watch(consumer, WINDOWS_WITHOUT)));
    if (!isOver) await move(service, id, 'resume');
  }
  const { rows_appended: appended } = await progressOf(service, id);
  const { lateMs } = await writers.stop();
  if (beside.length === 0) throw new Error(`it has read too soon: more rows than ${rows} (--rows) tell more`);
  const [during, otherwise] = [medians(beside), medians(without)];
  console.log(
    JSON.stringify(
      {
        part: 'latency',
        workers: values.workers,
        rttMs,
        sinks,
        rows,
        seconds: readMs / 1000,
        rowsPerSecond: (appended * 1000) / readMs,
        givesWay: !values['full-speed'],
        beside: during,
        without: otherwise,
        writerLateMs: lateMs,
        ratio: during.p99 / otherwise.p99,
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

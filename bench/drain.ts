// Drains a slot that holds many changes to a FIFO queue and says how fast, and at what cost of CPU and memory.
// `node bench/drain.ts [changes]`; everything it needs it starts itself, and ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from 'pg';
import { startEmbeddedPostgres } from '../src/cli/demo/embedded-postgres.ts';

const CHANGES = Number(process.argv[2] ?? 200_000);
/** Clock ticks a second of /proc/<pid>/stat. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
const TICKS = 100;

const TABLE = `create table t (id serial primary key, string_field text, numeric_field numeric, timestamp_field timestamptz,
  json_field jsonb, inserted_at timestamp, updated_at timestamp)`;
const ROWS = `insert into t (string_field, numeric_field, timestamp_field, json_field, inserted_at, updated_at)
  select 'a string of some length, number ' || i, i * 1.25, now(), jsonb_build_object('key', i, 'name', 'value "' || i || '"'), now(), now()
  from generate_series(1, $1::int) i`;

async function load(client: Client): Promise<void> {
  // Two inserts to one update and one delete, in transactions of 1 to 1,000 rows.
  const sizes = [1, 10, 100, 1000];
  let made = 0;
  for (let round = 0; made < CHANGES; round++) {
    const size = Math.min(sizes[round % sizes.length]!, CHANGES - made);
    const kind = round % 4;
    const result =
      kind === 0 || kind === 3
        ? await client.query(ROWS, [size])
        : kind === 1
          ? await client.query(
              `update t set updated_at = now(), numeric_field = numeric_field + 1
               where id in (select id from t order by id desc limit $1)`,
              [size],
            )
          : await client.query('delete from t where id in (select id from t order by id limit $1)', [size]);
    made += result.rowCount ?? 0;
  }
}

const cpuSeconds = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
};
const peakMiB = (pid: number): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

const directory = mkdtempSync(join(tmpdir(), 'tailrace-bench-'));
const postgres = await startEmbeddedPostgres();
const endpoint = spawn(process.execPath, [resolve(import.meta.dirname, 'endpoint.ts')], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
try {
  const reports = createInterface({ input: endpoint.stdout })[Symbol.asyncIterator]();
  const url = String((await reports.next()).value);
  const client = new Client({ connectionString: postgres.url() });
  await client.connect();
  await client.query(TABLE);
  await client.query('create publication bench for table t');
  await client.query("select pg_create_logical_replication_slot('bench', 'pgoutput')");
  await load(client);
  const { rows } = await client.query<{ n: number }>('select count(*)::int as n from t');
  const config = join(directory, 'tailrace.yaml');
  writeFileSync(
    config,
    `
databases:
  - { name: bench, hostname: 127.0.0.1, port: ${postgres.port}, database: postgres, username: postgres, password: postgres,
      slot: { name: bench }, publication: { name: bench } }
sinks:
  - name: bench
    database: bench
    source: { include_tables: [public.t] }
    destination: { type: sqs, queue_name: bench.fifo, create_if_not_exists: true, region: us-east-1, emulator_base_url: "${url}" }
api: { listen: "127.0.0.1:0" }
metrics: { listen: off }
log_level: warn
`,
  );
  const started = performance.now();
  const service = spawn(
    process.execPath,
    [
      resolve(import.meta.dirname, '../src/main.ts'),
      'run',
      '-c',
      config,
      '--data-dir',
      join(directory, 'data'),
    ],
    { stdio: 'inherit' },
  );
  endpoint.stdin.write(`${CHANGES}\n`);
  const report = JSON.parse(String((await reports.next()).value)) as {
    accepted: number;
    duplicates: number;
    requests: number;
    firstAt: number;
    lastAt: number;
  };
  const cpu = cpuSeconds(service.pid!);
  const rss = peakMiB(service.pid!);
  service.kill('SIGTERM');
  await once(service, 'close');
  const seconds = (report.lastAt - report.firstAt) / 1000;
  console.log(
    JSON.stringify(
      {
        changes: CHANGES,
        rowsLeft: rows[0]!.n,
        accepted: report.accepted,
        duplicates: report.duplicates,
        changesPerSecond: Math.round(report.accepted / seconds),
        secondsToFirst: Math.round(report.firstAt - performance.timeOrigin - started) / 1000,
        cpuMicrosecondsPerChange: Math.round((cpu / report.accepted) * 1e8) / 100,
        peakRssMiB: Math.round(rss),
        changesPerRequest: Math.round((report.accepted / report.requests) * 100) / 100,
      },
      undefined,
      2,
    ),
  );
  await client.end();
} finally {
  endpoint.kill();
  await postgres.remove();
  rmSync(directory, { recursive: true, force: true });
}

// `node bench/soak.ts --minutes N`: the service bound to one core, with a queue, a webhook and a pull stream that all
// fail now and then, under a paced load. Says at its start, middle and end what it takes and holds, and at the end what
// was lost, out of order or repeated. Exit codes: 0 all is well, 1 something was lost, out of order or repeated for nothing.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startService, type ServiceProcess } from '../test/support/service.ts';
import { wallClockMs } from './clock.ts';
import { changesIn, TABLE_COLUMNS } from './load/mixed.ts';
import { pacedLoad } from './load/paced.ts';
import { cpuUsOf, peakRssMiBOf } from './process-figures.ts';
import { pullReceiver, queueReceiver, webhookReceiver, type Receiver } from './soak/endpoints.ts';
import { NO_SIZES, withWorkbench, type Database, type Workbench } from './workbench.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '2000' },
    faults: { type: 'string', default: '0.03' },
    /** The core that the service has for itself; everything else takes the others. */
    core: { type: 'string', default: '0' },
  },
});
const minutes = Number(values.minutes);
const rate = Number(values.rate);
const faultShare = Number(values.faults);
/** Rows of a transaction. */
const ROWS = 20;
const SAMPLES = 12;
const TABLE = 'soak';
/** After the load's end, for what is on its way, milliseconds. */
const SETTLING_MS = 120_000;
function configOf(database: Database, receivers: readonly Receiver[]): string {
  const sinks = receivers.map(
    ({ name, destination, options }) =>
      `  - { name: ${name}, database: bench, source: { include_tables: [public.${TABLE}] }${options === '' ? '' : `, ${options}`},\n      destination: ${destination} }`,
  );
  return `
databases:
  - { name: bench, hostname: 127.0.0.1, port: ${database.port}, database: ${database.name}, username: postgres, password: postgres,
      slot: { name: soak, create_if_not_exists: true }, publication: { name: soak, create_if_not_exists: true } }
sinks:
${sinks.join('\n')}
api: { listen: "127.0.0.1:0" }
metrics: { listen: off }
`;
}

const rssMiBOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** Binds every thread of a process, and what they start, to cores. */
const bind = (pid: number, cores: string): void =>
  void execFileSync('taskset', ['-acp', cores, String(pid)], { stdio: 'ignore' });

async function sample(
  service: ServiceProcess,
  receivers: readonly Receiver[],
  startMs: number,
): Promise<string> {
  const pid = service.child.pid!;
  const lags = (await service.health()).sinks.map(({ lagBytes }) => `${Math.round(lagBytes / 1024)} KiB`);
  return [
    `${Math.round((wallClockMs() - startMs) / 1000)} s`,
    `RSS ${rssMiBOf(pid).toFixed(0)} MiB (peak ${peakRssMiBOf(pid).toFixed(0)})`,
    `descriptors ${readdirSync(`/proc/${pid}/fd`).length}`,
    `CPU ${((cpuUsOf(pid) ?? 0) / 1e6).toFixed(0)} s`,
    `taken ${receivers.map((receiver) => receiver.figures().accepted).join('/')}`,
    `lag ${lags.join('/')}`,
    `log lines ${service.log.length}`,
  ].join(', ');
}

/** Waits until each has taken so many changes, or nothing new comes for long. */
async function settled(receivers: readonly Receiver[], changes: number): Promise<void> {
  const taken = (): number => receivers.reduce((sum, receiver) => sum + receiver.figures().accepted, 0);
  for (let last = taken(), sinceMs = wallClockMs(); ;) {
    if (receivers.every((receiver) => receiver.figures().accepted >= changes)) return;
    const now = taken();
    if (now !== last) sinceMs = wallClockMs();
    else if (wallClockMs() - sinceMs > SETTLING_MS) return;
    last = now;
    await new Promise((done) => setTimeout(done, 200));
  }
}

function judge(bench: Workbench, receivers: readonly Receiver[], changes: number): void {
  for (const receiver of receivers) {
    const { name, counts } = receiver;
    const { accepted, outOfOrder, duplicates, missing, badKeys, unreadable } = receiver.figures();
    const lost = changes - accepted;
    console.log(
      `${name}: ${accepted} of ${changes}, lost ${lost}, out of order ${outOfOrder}, repeated ${duplicates} (may ${counts.mayRepeat}), faults ${counts.faults}`,
    );
    const faults = { lost, outOfOrder, missing, badKeys, unreadable };
    for (const [what, count] of Object.entries(faults))
      if (count !== 0) bench.fault(`${name}: ${what} ${count}`);
    if (duplicates > counts.mayRepeat)
      bench.fault(`${name}: repeated ${duplicates - counts.mayRepeat} for nothing`);
  }
}

async function soak(bench: Workbench): Promise<number> {
  const database = await bench.newDatabase();
  await database.client.query(`create table ${TABLE} (${TABLE_COLUMNS})`);
  const pull = pullReceiver(faultShare);
  const receivers = [await queueReceiver(faultShare), await webhookReceiver(faultShare), pull];
  const service = startService({
    directory: bench.newDirectory().path,
    config: configOf(database, receivers),
  });
  const forget = bench.onEnd(() => service.kill());
  bind(service.child.pid!, values.core);
  await service.ready();
  pull.work(await service.apiUrl());
  const startMs = wallClockMs();
  const say = async (): Promise<void> => console.log(await sample(service, receivers, startMs));
  await say();
  const sampling = setInterval(() => void say().catch(console.error), (minutes * 60_000) / SAMPLES);
  const { committed, committedMsP99 } = await pacedLoad(bench, {
    url: database.url,
    table: TABLE,
    changesPerSecond: rate,
    rows: ROWS,
    seconds: minutes * 60,
  });
  clearInterval(sampling);
  const changes = changesIn(committed);
  console.log(
    `${changes} changes in ${Math.round((wallClockMs() - startMs) / 1000)} s, commit p99 ${committedMsP99.toFixed(0)} ms late`,
  );
  await settled(receivers, changes);
  await say();
  const { sinks } = await service.health();
  for (const { name, retried, deadLettered } of sinks) {
    console.log(`${name}: retried ${retried}, dead letters ${deadLettered}`);
  }
  for (const receiver of receivers) await receiver.stop();
  forget();
  const code = await service.stop();
  if (code !== 0) bench.fault(`the service ended with ${code}`);
  judge(bench, receivers, changes);
  await database.drop();
  return bench.faults.length;
}

process.exitCode = (await withWorkbench({ sizes: NO_SIZES, profile: undefined }, soak)) === 0 ? 0 : 1;

// `tailrace demo`: a Postgres, an SQS emulator, the real service, an application and a consumer, in one terminal.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { steadyMs } from '../../core/clock.ts';
import { loadSettings } from '../../config/load.ts';
import { LatencyWindow } from '../../pipeline/delivery/latency.ts';
import type { RunningService } from '../../pipeline/service/service.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { abortOnInterrupt, EXIT, painterFor, writeLine, type CliPorts } from '../ports.ts';
import { aborted } from '../../core/abort.ts';
import { Accounting, exactlyOnce, inOrder } from './accounting.ts';
import { DEMO_CREDENTIALS, DEMO_REGION, startConsumer } from './consumer.ts';
import { startEmbeddedPostgres } from './embedded-postgres.ts';
import { startEmulator } from './emulator.ts';
import { formatReceived, formatSummary } from './report.ts';
import { createDemoTables, DEMO_TABLES, runWorkload } from './workload.ts';

export type DemoOptions = { readonly rows?: number };

const SUMMARY_INTERVAL_MS = 5_000;
/** With nothing arriving for so long, what is missing is lost. */
const ARRIVAL_TIMEOUT_MS = 30_000;
const ARRIVAL_POLL_MS = 20;

export async function demo(options: DemoOptions, ports: CliPorts): Promise<number> {
  // Everything that is started here ends soon when told to: nobody gains by leaving processes behind.
  using interruption = abortOnInterrupt({ ...ports, exit: () => undefined });
  const { signal } = interruption;
  // Whatever was started is removed again, the last first, however this ends.
  await using cleanup = new AsyncDisposableStack();
  try {
    return await watch(options, ports, { signal, cleanup });
  } catch (error) {
    // Interrupted while something was starting: what then fails is no news.
    if (signal.aborted) return EXIT.no;
    throw error;
  }
}

type Stage = { readonly signal: AbortSignal; readonly cleanup: AsyncDisposableStack };

async function watch(options: DemoOptions, ports: CliPorts, { signal, cleanup }: Stage): Promise<number> {
  const paint = painterFor(ports.stdout, ports.env);
  const say = (text: string): void => void writeLine(ports.stdout, paint('dim', text));

  say('starting Postgres and an SQS emulator …');
  const postgres = await startEmbeddedPostgres({ detached: true });
  cleanup.defer(() => postgres.remove());
  signal.throwIfAborted();
  const emulator = await startEmulator();
  cleanup.defer(() => emulator.stop());
  const client = new Client({ connectionString: postgres.url() });
  client.on('error', () => undefined);
  await client.connect();
  cleanup.defer(() => client.end());
  await createDemoTables(client);
  signal.throwIfAborted();

  say('starting tailrace …');
  const service = await startDemoService(ports, {
    signal,
    cleanup,
    config: configText(postgres.port, emulator.url),
  });

  const accounting = new Accounting();
  const latency = new LatencyWindow();
  let lastArrivalMs = steadyMs();
  const consumer = startConsumer({
    endpoint: emulator.url,
    queues: DEMO_TABLES.map((table) => `${table}.fifo`),
    onMessage: (received) => {
      lastArrivalMs = steadyMs();
      accounting.receive(received.change, received.idempotencyKey);
      latency.add(lastArrivalMs, received.latencyMs);
      writeLine(ports.stdout, formatReceived(received, paint));
    },
  });
  cleanup.defer(() => consumer.close());
  const summary = (final: boolean): string =>
    formatSummary(accounting.verdict(), latency.quantiles(steadyMs()), { paint, final });
  const ticker = setInterval(() => writeLine(ports.stdout, summary(false)), SUMMARY_INTERVAL_MS);
  cleanup.defer(() => clearInterval(ticker));

  const over = new AbortController();
  cleanup.defer(() => over.abort());
  const stop = AbortSignal.any([signal, over.signal]);
  const broken = Promise.race([
    consumer.failed,
    service.ended.then(({ exitCode }) => {
      throw new Error(`the service ended with code ${exitCode}`);
    }),
  ]);
  broken.catch(() => undefined);
  const { rows } = options;
  await Promise.race([runWorkload({ client, accounting, rows, signal: stop, random: Math.random }), broken]);
  const arrived = async (): Promise<void> => {
    lastArrivalMs = steadyMs();
    const waiting = (): boolean => steadyMs() - lastArrivalMs < ARRIVAL_TIMEOUT_MS;
    while (accounting.verdict().outstanding > 0 && waiting() && !stop.aborted) await sleep(ARRIVAL_POLL_MS);
    // A repeat would come after the original.
    await consumer.untilEmpty();
  };
  await Promise.race([arrived(), aborted(signal), broken]);
  const verdict = accounting.verdict();
  writeLine(ports.stdout, summary(!signal.aborted));
  if (signal.aborted) {
    const nothingWrong = exactlyOnce({ ...verdict, outstanding: 0 }) && inOrder(verdict);
    return nothingWrong && rows === undefined ? EXIT.ok : EXIT.no;
  }
  return exactlyOnce(verdict) && inOrder(verdict) ? EXIT.ok : EXIT.no;
}

/** The service exactly as `tailrace run` has it, in a temporary data directory. Resolves once it streams. */
async function startDemoService(
  ports: CliPorts,
  { signal, cleanup, config }: Stage & { readonly config: string },
): Promise<RunningService> {
  const directory = await mkdtemp(join(tmpdir(), 'tailrace-demo-'));
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  const configFile = join(directory, 'tailrace.yaml');
  await writeFile(configFile, config, { mode: 0o600 });
  const { settings } = await loadSettings({
    configFile,
    dataDir: join(directory, 'data'),
    env: {},
    cwd: directory,
  });
  const logger = createLogger({ level: 'warn', destination: ports.stderr, env: ports.env });
  const service = await ports.startService(settings, { version: ports.version, logger });
  cleanup.defer(() => service.stop());
  let ended = false;
  void service.ended.then(() => (ended = true));
  while (service.status().databases.some((database) => database.state !== 'streaming')) {
    signal.throwIfAborted();
    const halted = service.status().databases.find((database) => database.health === 'halted');
    if (ended || halted !== undefined) {
      throw new Error(halted?.reason ?? 'the service ended before it streamed');
    }
    await sleep(ARRIVAL_POLL_MS);
  }
  return service;
}

const configText = (postgresPort: number, endpoint: string): string => `
databases:
  - name: demo
    hostname: 127.0.0.1
    port: ${postgresPort}
    database: postgres
    username: postgres
    password: postgres
    tls: { mode: disable }
    slot: { name: tailrace_demo, create_if_not_exists: true }
    publication: { name: tailrace_demo, create_if_not_exists: true }
sinks:${DEMO_TABLES.map(
  (table) => `
  - name: ${table}
    database: demo
    source: { include_tables: [public.${table}] }
    format: tailrace
    destination:
      type: sqs
      queue_name: ${table}.fifo
      create_if_not_exists: true
      region: ${DEMO_REGION}
      access_key_id: ${DEMO_CREDENTIALS.accessKeyId}
      secret_access_key: ${DEMO_CREDENTIALS.secretAccessKey}
      emulator_base_url: ${endpoint}`,
).join('')}
api: { listen: "127.0.0.1:0" }
metrics: { listen: "off" }
shutdown_timeout: 5s
`;

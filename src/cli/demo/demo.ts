// `tailrace demo`: a Postgres, an SQS emulator, the real service, an application and a consumer, in one terminal.
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { steadyMs } from '../../core/clock.ts';
import { abortWhenUnwanted, EXIT, painterFor, writeLine, type CliPorts } from '../ports.ts';
import { Accounting, exactlyOnce, inOrder } from './accounting.ts';
import { startConsumer, type Consumer, type Received } from './consumer.ts';
import { startDemoService } from './demo-service.ts';
import { startEmbeddedPostgres } from './embedded-postgres.ts';
import { startEmulator } from './emulator.ts';
import { figuresOf, LatencySample, partsOf, type Figures } from './figures.ts';
import { afterwards, meanwhile } from './next-steps.ts';
import { openPlace, type DemoPlace } from './place.ts';
import { formatFigures, formatProgress, formatReceived, formatVerdict } from './report.ts';
import { createDemoTables, createWorkload, DEMO_TABLES, type EarlierRows, type Work } from './workload.ts';

/** `keep`: the directory, or true without one. */
export type DemoOptions = { readonly rows?: number; readonly keep?: string | true };

const PROGRESS_INTERVAL_MS = 5_000;
/** Until connections are made and the code is compiled: what a process does for its first messages says nothing of the rest. */
const WARM_UP_CHANGES = 200;
/** With nothing arriving for so long, what is missing is lost. */
const ARRIVAL_TIMEOUT_MS = 30_000;
/** Somebody who interrupts waits no longer for what is on its way. */
const INTERRUPTED_TIMEOUT_MS = 2_000;
const ARRIVAL_POLL_MS = 20;

export async function demo(options: DemoOptions, ports: CliPorts): Promise<number> {
  // Everything that is started here ends soon when told to: nobody gains by leaving processes behind.
  using interruption = abortWhenUnwanted({ ...ports, exit: () => undefined });
  const { signal } = interruption;
  signal.addEventListener('abort', () => writeLine(ports.stdout, 'stopping …'));
  // Whatever was started is removed again, the last first, however this ends.
  await using cleanup = new AsyncDisposableStack();
  try {
    return await run(options, ports, { signal, cleanup });
  } catch (error) {
    // Interrupted while something was starting: what then fails is no news.
    if (signal.aborted) return EXIT.no;
    throw error;
  }
}

type Stage = { readonly signal: AbortSignal; readonly cleanup: AsyncDisposableStack };

async function run(options: DemoOptions, ports: CliPorts, stage: Stage): Promise<number> {
  const { signal } = stage;
  const paint = painterFor(ports.stdout, ports.env);
  const print = (lines: readonly string[]): void => lines.forEach((line) => writeLine(ports.stdout, line));
  const say = (text: string): void => print([paint('dim', text)]);
  const place = await openPlace(options.keep, ports.cwd);
  stage.cleanup.defer(() => place.leave());
  const parts = await startParts(place, ports, { ...stage, say });
  const show = (received: Received): void =>
    print([formatReceived(received, paint, ports.stdout.isTTY === true ? ports.stdout.columns : undefined)]);
  const observation = observe(parts, { ...stage, show });

  say('warming up …');
  const { rows } = options;
  const measured: Figures[] = [];
  await observation.measure('warm-up', { pace: 'steady', changes: WARM_UP_CHANGES }, { shown: false });
  if (rows === undefined) {
    for (const line of meanwhile(parts.service.apiUrl, parts.postgresUrl)) say(line);
    const ticker = setInterval(() => print([observation.progress()]), PROGRESS_INTERVAL_MS);
    stage.cleanup.defer(() => clearInterval(ticker));
    measured.push(await observation.measure('small transactions', { pace: 'watching', changes: Infinity }));
    clearInterval(ticker);
  } else {
    const { steady, bulk } = partsOf(rows);
    measured.push(await observation.measure('one at a time', { pace: 'steady', changes: steady }));
    if (bulk > 0 && measured.at(-1)!.lost === 0) {
      measured.push(await observation.measure('as fast as it goes', { pace: 'bulk', changes: bulk }));
    }
    await observation.untilEmpty();
  }

  const verdict = parts.accounting.verdict();
  const figures = formatFigures(measured, signal.aborted ? 'on the way' : 'lost', paint);
  const notes = notesOn(measured, observation.earlier()).map((line) => paint('dim', line));
  print(['', ...figures, '', ...notes, '', formatVerdict(verdict, !signal.aborted, paint), '']);
  print(afterwards(place));
  const nothingWrong =
    exactlyOnce(signal.aborted ? { ...verdict, outstanding: 0 } : verdict) && inOrder(verdict);
  return nothingWrong && (rows === undefined || !signal.aborted) ? EXIT.ok : EXIT.no;
}

/** What the figures mean: lines of at most 60 columns. */
const notesOn = (measured: readonly Figures[], earlier: number): string[] => [
  'Times are from the commit on: until the message is in the',
  'queue, and until a consumer with the AWS SDK has it.',
  ...(measured.length > 1
    ? [
        'As fast as it goes: messages wait for that consumer, and for',
        'the emulator. "npm run bench" measures Tailrace alone.',
      ]
    : []),
  `Before it ${WARM_UP_CHANGES} changes to warm up: checked, not timed.`,
  ...(earlier === 0 ? [] : [`${earlier} more messages: changes of the demo before.`]),
];

type Parts = Awaited<ReturnType<typeof startParts>>;

async function startParts(
  place: DemoPlace,
  ports: CliPorts,
  { signal, cleanup, say }: Stage & { readonly say: (text: string) => void },
) {
  say('starting Postgres and an SQS emulator …');
  const postgres = await startEmbeddedPostgres({
    detached: true,
    root: place.postgres,
    ...(place.earlierPort !== undefined && { port: place.earlierPort }),
    ...(!place.kept && { removedWithOwner: place.root }),
  });
  cleanup.defer(() => postgres.remove());
  signal.throwIfAborted();
  const emulator = await startEmulator();
  cleanup.defer(() => emulator.stop());
  const client = new Client({ connectionString: postgres.url() });
  client.on('error', () => undefined);
  await client.connect();
  cleanup.defer(() => client.end());
  const earlier = await createDemoTables(client);
  await place.remember(postgres.port);
  signal.throwIfAborted();
  say('starting tailrace …');
  const service = await startDemoService(ports, {
    signal,
    cleanup,
    place,
    postgresPort: postgres.port,
    emulatorUrl: emulator.url,
  });
  return { client, earlier, service, emulator, postgresUrl: postgres.url(), accounting: new Accounting() };
}

/** Consumes what arrives, and measures one piece of work after the other. */
function observe(
  { client, accounting, service, emulator, earlier }: Parts,
  { signal, cleanup, show }: Stage & { readonly show: (received: Received) => void },
) {
  let queued = new LatencySample();
  let latency = new LatencySample();
  let isShown = true;
  let lastArrivalMs = steadyMs();
  let ofEarlierDemo = 0;
  const consumer = startConsumer({
    endpoint: emulator.url,
    queues: DEMO_TABLES.map((table) => `${table}.fifo`),
    onMessage: (received) => {
      if (isEarlier(received, earlier)) {
        ofEarlierDemo++;
        return;
      }
      lastArrivalMs = steadyMs();
      accounting.receive(received.change, received.idempotencyKey);
      queued.add(received.queuedMs);
      latency.add(received.latencyMs);
      if (isShown) show(received);
    },
  });
  cleanup.defer(() => consumer.close());
  const over = new AbortController();
  cleanup.defer(() => over.abort());
  const stop = AbortSignal.any([signal, over.signal]);
  const work = createWorkload({ client, accounting, random: Math.random });
  const unbroken = failingWith(consumer, service.ended);

  const arrived = async (): Promise<void> => {
    lastArrivalMs = Math.max(lastArrivalMs, steadyMs());
    const fromMs = lastArrivalMs;
    const waits = (): boolean =>
      signal.aborted
        ? steadyMs() - fromMs < INTERRUPTED_TIMEOUT_MS
        : steadyMs() - lastArrivalMs < ARRIVAL_TIMEOUT_MS;
    while (accounting.verdict().outstanding > 0 && waits() && !over.signal.aborted)
      await sleep(ARRIVAL_POLL_MS);
  };
  return {
    earlier: () => ofEarlierDemo,
    progress: () => formatProgress(accounting.verdict(), latency.quantiles()),
    /** A repeat would come after the original. */
    untilEmpty: () => (signal.aborted ? Promise.resolve() : unbroken(consumer.untilEmpty())),
    measure: async (
      title: string,
      what: Omit<Work, 'signal'>,
      { shown = true }: { readonly shown?: boolean } = {},
    ): Promise<Figures> => {
      const before = accounting.verdict();
      queued = new LatencySample();
      latency = new LatencySample();
      isShown = shown;
      const fromMs = steadyMs();
      await unbroken(work({ ...what, signal: stop }).then(arrived));
      const elapsedMs = lastArrivalMs - fromMs;
      return figuresOf({
        title,
        before,
        after: accounting.verdict(),
        elapsedMs,
        queued: queued.quantiles(),
        received: latency.quantiles(),
      });
    },
  };
}

/** A row that this demo has not made. */
const isEarlier = ({ change }: Received, earlier: EarlierRows): boolean =>
  change.id <= (earlier[change.table] ?? 0);

/** Waits for something, unless receiving fails or the service ends by itself meanwhile. */
function failingWith(
  consumer: Consumer,
  ended: Promise<{ readonly exitCode: number }>,
): <T>(promise: Promise<T>) => Promise<T> {
  const broken = Promise.race([
    consumer.failed,
    ended.then(({ exitCode }) => {
      throw new Error(`the service ended with code ${exitCode}`);
    }),
  ]);
  broken.catch(() => undefined);
  return (promise) => Promise.race([promise, broken]);
}

// A sink's runners one after the other, commands in between: runners that a test programs, a real log, ledger and store beneath.
import { expect, onTestFinished, test } from 'vitest';
import { steadyMs } from '../../../src/core/clock.ts';
import { TailraceError } from '../../../src/core/errors.ts';
import type { SinkStatus } from '../../../src/core/status.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import type { SinkOptions } from '../../../src/pipeline/sink/options.ts';
import { superviseSink, type Runner, type SupervisorPorts } from '../../../src/pipeline/sink/supervisor.ts';
import { patient } from '../../support/messages.ts';
import { SINK } from '../../support/letters.ts';
import { openSinkRoom } from '../../support/sink-room.ts';
import { sinkStatus } from '../../support/status.ts';
import { waitFor } from '../../support/wait.ts';

const AT_ONCE = { initialBackoffMs: 1, multiplier: 1, maxBackoffMs: 1, jitter: 0 };
const NEVER_MS = 1_000_000;

/** A runner that only runs, until it is told to fail or stopped. */
class TestRunner implements Runner {
  readonly options: SinkOptions;
  readonly #run = Promise.withResolvers<void>();
  stoppedAt: number | undefined;
  /** What is in flight. */
  settled = Promise.resolve();
  replays = 0;
  pull: Runner['pull'];
  delivered = 0;

  constructor(options: SinkOptions) {
    this.options = options;
    this.#run.promise.catch(() => undefined);
  }

  fail(error: unknown): void {
    this.#run.reject(error);
  }
  run(): Promise<void> {
    return this.#run.promise;
  }
  replay(): void {
    this.replays++;
  }
  rewindRows(): void {}
  hurry(deadlineMs: number): void {
    this.stoppedAt = deadlineMs;
  }
  stop(deadlineMs: number): Promise<void> {
    this.stoppedAt = deadlineMs;
    return this.settled;
  }
  status(): SinkStatus {
    return sinkStatus({ delivered: this.delivered });
  }
}

async function supervised(what: { settings?: Partial<SinkSettings>; ports?: Partial<SupervisorPorts> } = {}) {
  const room = await openSinkRoom(what.settings);
  const runners: TestRunner[] = [];
  const running: TestRunner[] = [];
  const sink = superviseSink(room.options, {
    createRunner: (options) => {
      // At any moment one runner at most has the sink's place.
      for (const runner of runners) expect(runner.stoppedAt).toBeDefined();
      const runner = new TestRunner(options);
      runners.push(runner);
      running.push(runner);
      return Promise.resolve(runner);
    },
    restart: AT_ONCE,
    mendedMs: NEVER_MS,
    ...what.ports,
  });
  onTestFinished(() => sink.stop(0));
  const next = (): Promise<TestRunner> => waitFor(() => running.shift(), 'a runner');
  const ask = <Reply>(request: Parameters<typeof sink.request>[0]): Promise<Reply> =>
    sink.request(request, patient).then(({ reply }) => reply as Reply);
  return {
    room,
    sink,
    runners,
    next,
    ask,
    holds: () => room.signals.isHolding(room.options.slot),
    delivers: () => room.signals.isDelivering(room.options.slot),
  };
}

const DENIED = new TailraceError('the queue denies us', { code: 'DENIED', kind: 'fatal', hint: 'allow it' });

test('a runner that fails is made anew, and the status says why it halted until the new one has run for a while', async () => {
  const s = await supervised();
  const first = await s.next();
  expect(s.sink.status()).toMatchObject({ state: 'running', health: 'healthy' });
  first.fail(DENIED);
  await s.next();
  expect(s.sink.status()).toMatchObject({
    state: 'halted',
    health: 'halted',
    reason: 'the queue denies us',
    cure: 'allow it',
  });
});

test('a runner that is held is not made anew before somebody says that the sink goes on', async () => {
  const s = await supervised();
  const held = new TailraceError('too many', { code: 'MANY', kind: 'fatal', mend: 'resume', hint: 'resume' });
  (await s.next()).fail(held);
  await waitFor(() => s.sink.status().state === 'halted', 'the sink to halt');
  // Others are made anew within milliseconds.
  for (let i = 0; i < 20; i++) await new Promise((done) => setTimeout(done, 5));
  expect(s.runners).toHaveLength(1);
  expect(s.sink.status()).toMatchObject({ health: 'halted', reason: 'too many', cure: 'resume' });
  expect(s.holds()).toBe(true);
  await s.ask({ type: 'set_status', status: 'active' });
  await s.next();
  expect(s.sink.status()).toMatchObject({ state: 'running', health: 'healthy' });
});

test('a runner that has run for a while counts as well again', async () => {
  const s = await supervised({ ports: { mendedMs: 1 } });
  (await s.next()).fail(DENIED);
  await s.next();
  await waitFor(() => s.sink.status().health === 'healthy', 'the sink to count as well');
  expect(s.sink.status().state).toBe('running');
});

test('a sink says that it delivers while it runs, and not when it is paused or has halted', async () => {
  const s = await supervised();
  const held = new TailraceError('too many', { code: 'MANY', kind: 'fatal', mend: 'resume', hint: 'resume' });
  const first = await s.next();
  await waitFor(() => s.delivers(), 'the sink to deliver');
  first.fail(held);
  await waitFor(() => !s.delivers(), 'the sink to halt');
  await s.ask({ type: 'set_status', status: 'active' });
  await waitFor(() => s.delivers(), 'the sink to deliver again');
  await s.ask({ type: 'set_status', status: 'paused' });
  expect([s.delivers(), s.holds()]).toEqual([false, true]);
});

test('counts go on over the runners of a sink', async () => {
  const s = await supervised();
  const first = await s.next();
  first.delivered = 5;
  first.fail(DENIED);
  const second = await s.next();
  second.delivered = 2;
  expect(s.sink.status().delivered).toBe(7);
  second.fail(DENIED);
  const third = await s.next();
  third.delivered = 1;
  expect(s.sink.status().delivered).toBe(8);
});

test('a sink that cannot even be made is tried again', async () => {
  let tries = 0;
  const s = await supervised({
    ports: {
      createRunner: (options) => {
        if (++tries < 3) return Promise.reject(DENIED);
        return Promise.resolve(new TestRunner(options));
      },
    },
  });
  await waitFor(() => tries === 3, 'the third try');
  expect(s.sink.status()).toMatchObject({ state: 'halted', reason: 'the queue denies us' });
});

test('a pause is answered when the runner has stopped; the sink holds its place in the log, and goes on when resumed', async () => {
  const s = await supervised();
  const first = await s.next();
  expect(await s.ask({ type: 'set_status', status: 'paused' })).toEqual({ status: 'paused' });
  expect(first.stoppedAt).toBeGreaterThan(0);
  await waitFor(() => s.sink.status().state === 'paused', 'the pause');
  expect([s.holds(), s.runners.length]).toEqual([true, 1]);
  await s.ask({ type: 'set_status', status: 'active' });
  const second = await s.next();
  expect(second.options.settings.status).toBe('active');
  expect(s.sink.status()).toMatchObject({ state: 'running', health: 'healthy' });
});

test('a sink that is disabled holds nothing in the log', async () => {
  const s = await supervised();
  await s.next();
  await s.ask({ type: 'set_status', status: 'disabled' });
  await waitFor(() => s.sink.status().state === 'disabled', 'the sink to rest');
  expect(s.holds()).toBe(false);
});

test('a paused sink lets the log go where the source demands it for its budget', async () => {
  const s = await supervised({ settings: { status: 'paused' } });
  s.room.insert(100, [1]);
  await waitFor(() => s.sink.status().state === 'paused' && s.sink.status().lagBytes > 0, 'the sink to rest');
  expect(s.holds()).toBe(true);
  s.room.signals.shed(s.room.options.slot, s.room.signals.writtenEnd());
  await waitFor(() => !s.holds(), 'the log to be let go');
});

test('a gap halts the sink where it stands, with the cure, and it goes on once somebody has accepted that', async () => {
  const s = await supervised();
  const first = await s.next();
  const { store, signals, slot } = s.room.options;
  const gap = store.gaps.declare(
    SINK.database,
    {
      cause: 'member_lost',
      from: '0/10',
      to: '0/20',
      reason: 'it was taken out',
      halts: true,
      skips: false,
      ends: [],
    },
    new Date(),
  );
  signals.setHalted(slot, true);
  await waitFor(() => s.sink.status().state === 'halted', 'the sink to halt');
  expect(first.stoppedAt).toBeGreaterThan(0);
  expect(s.sink.status()).toMatchObject({
    health: 'halted',
    reason: expect.stringContaining('it was taken out') as string,
    cure: expect.stringContaining(`/gaps/${gap.id}/accept`) as string,
    since: gap.since,
  });
  expect([s.holds(), s.runners.length]).toEqual([true, 1]);
  // Told to run it stays halted, and a rewind is done all the same.
  expect(await s.ask({ type: 'set_status', status: 'active' })).toEqual({ status: 'active' });
  expect(s.runners).toHaveLength(1);
  store.gaps.accept(SINK.database, gap.id, new Date());
  signals.setHalted(slot, false);
  await s.next();
  expect(s.sink.status()).toMatchObject({ state: 'running', health: 'healthy' });
});

test('a sink that is halted by a gap when it starts is given no runner', async () => {
  const room = await openSinkRoom();
  room.signals.setHalted(room.options.slot, true);
  const sink = superviseSink(room.options, { createRunner: () => expect.fail('it runs') });
  onTestFinished(() => sink.stop(0));
  await waitFor(() => sink.status().state === 'halted', 'the sink to halt');
  expect(room.signals.isHolding(room.options.slot)).toBe(true);
});

test('a rewind runs while nobody has the ledger, and the next runner stands there', async () => {
  const s = await supervised();
  const first = await s.next();
  s.room.insert(100, [1]);
  // What is refused is told, and the sink goes on all the same.
  await expect(s.ask({ type: 'rewind', to: { from: 'lsn', lsn: 999_999n } })).rejects.toMatchObject({
    code: 'REWIND_FORWARD',
  });
  expect(first.stoppedAt).toBeDefined();
  const second = await s.next();
  expect(await s.ask({ type: 'rewind', to: { from: 'earliest' } })).toMatchObject({ rewinds: 1 });
  expect(second.stoppedAt).toBeDefined();
  await s.next();
  expect(s.room.options.store.sinks.find({ database: 'shop', sink: 'users' })?.rewindTo).toBeDefined();
});

test('a halted sink that is told to run is tried at once', async () => {
  const s = await supervised({
    ports: { restart: { ...AT_ONCE, initialBackoffMs: NEVER_MS, maxBackoffMs: NEVER_MS } },
  });
  (await s.next()).fail(DENIED);
  await waitFor(() => s.sink.status().health === 'halted', 'the halt');
  await s.ask({ type: 'set_status', status: 'active' });
  await s.next();
  expect(s.sink.status()).toMatchObject({ state: 'running', health: 'healthy' });
});

test('a replay is told to the runner, and is nothing to do where there is none: it finds the letters by itself', async () => {
  const s = await supervised();
  const first = await s.next();
  await s.ask({ type: 'replay' });
  expect(first.replays).toBe(1);
  await s.ask({ type: 'set_status', status: 'paused' });
  expect(await s.ask({ type: 'replay' })).toEqual({});
});

test('consumers are told why they cannot pull: no stream, halted, or stopping', async () => {
  const s = await supervised({
    ports: { restart: { ...AT_ONCE, initialBackoffMs: NEVER_MS, maxBackoffMs: NEVER_MS } },
  });
  const receive = { type: 'receive', maxCount: 1, waitMs: 0 } as const;
  const first = await s.next();
  await expect(s.ask(receive)).rejects.toMatchObject({ code: 'NOT_PULLED' });
  first.fail(DENIED);
  await waitFor(() => s.sink.status().health === 'halted' && s.runners.length === 1, 'the halt');
  await expect(s.ask(receive)).rejects.toMatchObject({ code: 'SINK_HALTED', kind: 'retryable' });
  await s.sink.stop(0);
  await expect(s.ask(receive)).rejects.toMatchObject({ code: 'STOPPING' });
});

test('a pause waits for what is in flight as long as the sink does, unless it is to be now, or the service stops', async () => {
  for (const hurry of ['pause', 'stop'] as const) {
    const s = await supervised();
    const first = await s.next();
    const inFlight = Promise.withResolvers<void>();
    first.settled = inFlight.promise;
    const paused = s.ask({ type: 'set_status', status: 'paused' });
    await waitFor(() => first.stoppedAt !== undefined, 'the runner to be stopped');
    expect(first.stoppedAt).toBe(Infinity);
    const before = steadyMs();
    const hurried =
      hurry === 'pause'
        ? s.ask({ type: 'set_status', status: 'disabled', now: true })
        : s.sink.stop(before + 1000);
    expect(first.stoppedAt).toBeGreaterThanOrEqual(before);
    expect(first.stoppedAt).toBeLessThanOrEqual(before + 1000);
    inFlight.resolve();
    await hurried;
    // A service that stops pauses nothing any more.
    const outcome = await paused.then(() => 'paused').catch((error: TailraceError) => error.code);
    expect(outcome).toBe(hurry === 'pause' ? 'paused' : 'STOPPING');
  }
});

test('a sink that cannot go on says so at once, lets requests in flight be answered, and is hurried by a stop', async () => {
  const s = await supervised();
  const first = await s.next();
  const inFlight = Promise.withResolvers<void>();
  first.settled = inFlight.promise;
  const before = steadyMs();
  first.fail(DENIED);
  await waitFor(() => first.stoppedAt !== undefined, 'the runner to be stopped');
  expect(s.sink.status()).toMatchObject({ state: 'halted', reason: 'the queue denies us' });
  expect(first.stoppedAt).toBeGreaterThanOrEqual(before + 5000);
  const stopped = s.sink.stop(before + 1);
  expect(first.stoppedAt).toBe(before + 1);
  inFlight.resolve();
  await stopped;
});

test('a stop gives the runner its deadline, and what was asked meanwhile is refused', async () => {
  const s = await supervised();
  const first = await s.next();
  const deadlineMs = steadyMs() + 12_345;
  const stopped = s.sink.stop(deadlineMs);
  await expect(s.ask({ type: 'set_status', status: 'paused' })).rejects.toMatchObject({ code: 'STOPPING' });
  await stopped;
  expect(first.stoppedAt).toBe(deadlineMs);
  expect(s.runners).toHaveLength(1);
});

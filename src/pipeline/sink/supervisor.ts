// Keeps one sink running: a runner that fails is made anew after a pause (a second, doubled up to a minute), and the status says
// why. Commands (pause, resume, rewind) run between two runners.
import { setTimeout as sleep } from 'node:timers/promises';
import { steadyMs, wallMs } from '../../core/clock.ts';
import { aborted } from '../../core/abort.ts';
import { describeError, TailraceError } from '../../core/errors.ts';
import { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import { backoffMs, type RetryPolicy } from '../../core/retry.ts';
import type { Condition, SinkStatus, WantedStatus } from '../../core/status.ts';
import {
  answerPull,
  answerPullPaused,
  halted,
  notPulled,
  notRunning,
  type PullRequest,
} from './pull/answers.ts';
import { conditionOf, gapCondition, healthyNow } from './conditions.ts';
import type { SinkAnswer, SinkRequest } from './requests.ts';
import { storeError } from '../../store/errors.ts';
import { idOf, openPlace, type SinkPlace } from './place.ts';
import { rewindSink } from './rewind.ts';
import { findLostKeys } from './rows/lost-keys.ts';
import { surveyRows } from './rows/survey.ts';
import { withEarlierCounts, newSinkStatus, restingStatus } from './status.ts';
import { SHED_INTERVAL_MS } from './load-shedding.ts';
import type { SinkOptions } from './options.ts';
import { SinkRunner } from './runner.ts';

/** The pauses between a sink's runners; a failure in a row doubles them. */
const RESTART: RetryPolicy = { initialBackoffMs: 1000, multiplier: 2, maxBackoffMs: 60_000, jitter: 0.2 };
/** A runner that ran this long starts its pauses from the shortest again. */
const STABLE_MS = 60_000;

/** A runner that was made anew counts as well once it has run this long. */
const MENDED_MS = 3000;

/** A rewind, which repeats anyway, waits so long for requests in flight; then they are aborted. */
const REWIND_SETTLE_MS = 5000;

/** How long requests in flight may take when the sink cannot go on: they are not to be sent again only because something else failed. */
const FAILED_SETTLE_MS = 5000;

/** How often to look whether a gap halts the sink, or does not any more. */
const GAPS_INTERVAL_MS = 200;

export type SupervisedSink = {
  status(): SinkStatus;
  /** Rejects with TailraceError when the sink cannot do it. */
  request<Request extends SinkRequest>(request: Request, signal: AbortSignal): Promise<SinkAnswer<Request>>;
  /** Resolves when the sink has settled what was in flight and saved its ledger. */
  stop(deadlineMs: number): Promise<void>;
};

/** What a supervisor keeps running. */
export type Runner = Pick<SinkRunner, 'run' | 'replay' | 'rewindRows' | 'hurry' | 'stop' | 'status' | 'pull'>;

export type SupervisorPorts = {
  /** Takes the sink's place: nobody else has it until the runner has stopped. */
  createRunner(options: SinkOptions): Promise<Runner>;
  readonly restart: RetryPolicy;
  /** How long a runner that was made anew has to run before it counts as well. */
  readonly mendedMs: number;
};

const PORTS: SupervisorPorts = {
  createRunner: (options) => SinkRunner.create(options),
  restart: RESTART,
  mendedMs: MENDED_MS,
};

export function superviseSink(options: SinkOptions, ports: Partial<SupervisorPorts> = {}): SupervisedSink {
  const supervisor = new Supervisor(options, { ...PORTS, ...ports });
  return {
    status: () => supervisor.status(),
    // Each case of `answer` gives the reply of its type.
    request: <Request extends SinkRequest>(request: Request, signal: AbortSignal) =>
      supervisor.answer(request, signal) as Promise<SinkAnswer<Request>>,
    stop: (deadlineMs) => supervisor.stop(deadlineMs),
  };
}

type Command = { run(): Promise<void>; reject(error: unknown): void };

/** At any moment one runner at most has the sink's ledger, and a command runs while there is none. */
class Supervisor {
  readonly #options: SinkOptions;
  readonly #ports: SupervisorPorts;
  readonly #lines: RepeatedLines;
  readonly #running: Promise<void>;
  readonly #commands: Command[] = [];
  #wanted: WantedStatus;
  #stopping = false;
  #deadlineMs = Infinity;
  /** The runner cannot go on, and settles what is in flight. */
  #isFailing = false;
  /** Aborts what the loop does now: run, rest, or wait before a new try. */
  #turn = new AbortController();
  #runner: Runner | undefined;
  #failure: Condition | undefined;
  /** Of the runners before this one. */
  #last: SinkStatus | undefined;
  /** Where it stands while it is paused. */
  #place: SinkPlace | undefined;
  #resting: Condition = healthyNow();
  /** Does a gap keep it from delivering? */
  #isHalted: boolean;
  /** The last parting that was there when this turn began. */
  #parted = 0;
  readonly #watching: NodeJS.Timeout;

  constructor(options: SinkOptions, ports: SupervisorPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#lines = new RepeatedLines(options.logger);
    this.#wanted = options.settings.status;
    this.#isHalted = options.signals.isHalted(options.slot);
    this.#watching = setInterval(() => this.#watchGaps(), GAPS_INTERVAL_MS);
    this.#running = this.#loop();
  }

  #watchGaps(): void {
    const { signals, slot } = this.#options;
    const parted = signals.parted();
    const isHalted = signals.isHalted(slot);
    if ((isHalted === this.#isHalted && parted === this.#parted) || this.#stopping) return;
    this.#isHalted = isHalted;
    this.#parted = parted;
    this.#endTurn(Infinity);
  }

  status(): SinkStatus {
    if (this.#runner !== undefined) {
      const status = withEarlierCounts(this.#runner.status(), this.#last);
      return this.#failure === undefined ? status : { ...status, ...this.#failure, state: 'halted' };
    }
    const { settings, signals, store } = this.#options;
    const last = this.#last ?? newSinkStatus(settings, this.#resting);
    if (this.#wanted === 'active' && !this.#isHalted) {
      return this.#failure === undefined ? last : { ...last, ...this.#failure, state: 'halted' };
    }
    return restingStatus({
      last,
      state: this.#wanted === 'active' ? 'halted' : this.#wanted,
      condition: this.#failure ?? this.#resting,
      place: this.#place,
      writtenEnd: signals.writtenEnd(),
      deadLetters: store.deadLetters.counts(idOf(this.#options)),
      wallMs: wallMs(),
    });
  }

  async answer(request: SinkRequest, asking: AbortSignal): Promise<SinkAnswer<SinkRequest>> {
    switch (request.type) {
      case 'set_status':
        // A sink that has halted is tried again at once; else there is nothing to do.
        if (request.status === this.#wanted && this.#failure === undefined) {
          return Promise.resolve({ reply: { status: request.status } });
        }
        // What is in flight is the sink's to time out: aborted, it would be sent again.
        return this.#betweenRunners(request.now === true ? steadyMs() : Infinity, async () => {
          this.#wanted = request.status;
          this.#failure = undefined;
          return { reply: { status: request.status } };
        });
      case 'rewind':
        return this.#betweenRunners(steadyMs() + REWIND_SETTLE_MS, async () => ({
          reply: await rewindSink(this.#currentOptions(), request.to),
        }));
      case 'survey_rows':
        return { reply: await surveyRows(request.choice, this.#options, asking) };
      case 'lost_keys':
        return { reply: await findLostKeys(request.partings, this.#options, asking) };
      case 'rewind_rows':
        this.#runner?.rewindRows();
        return { reply: {} };
      case 'replay':
        this.#runner?.replay();
        return { reply: {} };
      case 'receive':
      case 'ack':
      case 'nack':
        return this.#answerPull(request, asking);
      default:
        return request satisfies never;
    }
  }

  #answerPull(request: PullRequest, asking: AbortSignal): Promise<SinkAnswer<PullRequest>> {
    const { settings, ledgerFile } = this.#options;
    if (this.#runner !== undefined) {
      if (this.#runner.pull === undefined) throw notPulled(settings.name);
      return answerPull(this.#runner.pull, request, asking);
    }
    if (this.#stopping) throw stoppingError();
    if (this.#failure !== undefined) throw halted(settings.name, this.#failure.reason);
    if (this.#isHalted) throw halted(settings.name, this.#resting.reason);
    if (this.#wanted === 'active') throw notRunning(settings.name);
    // No runner is being made either while the sink is paused.
    return answerPullPaused(ledgerFile, request, AbortSignal.any([asking, this.#turn.signal]));
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#watching);
    this.#endTurn(deadlineMs);
    await this.#running;
    for (const command of this.#commands.splice(0)) command.reject(stoppingError());
  }

  /** Runs when no runner has the ledger; what was in flight is settled before. */
  #betweenRunners<Reply>(deadlineMs: number, command: () => Promise<Reply>): Promise<Reply> {
    return new Promise<Reply>((resolve, reject) => {
      if (this.#stopping) return reject(stoppingError());
      this.#commands.push({ run: () => command().then(resolve, reject), reject });
      this.#endTurn(deadlineMs);
    });
  }

  /** What is in flight has until then. Of several reasons to end one turn, the most urgent counts. */
  #endTurn(deadlineMs: number): void {
    const isEnding = this.#turn.signal.aborted || this.#isFailing;
    this.#deadlineMs = isEnding ? Math.min(this.#deadlineMs, deadlineMs) : deadlineMs;
    this.#turn.abort();
    if (isEnding) this.#runner?.hurry(this.#deadlineMs);
  }

  async #loop(): Promise<void> {
    for (let failures = 1; !this.#stopping; failures++) {
      this.#turn = new AbortController();
      this.#parted = this.#options.signals.parted();
      for (const command of this.#commands.splice(0)) {
        await command.run();
        failures = 1;
      }
      const { signal } = this.#turn;
      if (signal.aborted) continue;
      const startedMs = steadyMs();
      let isHeld = false;
      try {
        if (this.#wanted !== 'active' || this.#isHalted) {
          await this.#rest(signal);
          continue;
        }
        await this.#runOnce(signal);
      } catch (failure) {
        const error = storeError(failure);
        this.#failure = conditionOf(error, this.#failure);
        const kind = error instanceof TailraceError ? error.code : describeError(error);
        const fields = { sink: this.#options.settings.name, err: error };
        this.#lines.say({ level: 'error', message: 'sink failed', fields, kind });
        isHeld = error instanceof TailraceError && error.mend === 'resume';
      }
      if (steadyMs() - startedMs > STABLE_MS) failures = 1;
      const wait = backoffMs(this.#ports.restart, failures, Math.random());
      if (isHeld) await aborted(signal);
      else await sleep(wait, undefined, { signal }).catch(() => undefined);
    }
  }

  #currentOptions(): SinkOptions {
    return { ...this.#options, settings: { ...this.#options.settings, status: this.#wanted } };
  }

  /** Paused, or halted by a gap: holds its place in the log. Disabled: holds nothing. */
  async #rest(turn: AbortSignal): Promise<void> {
    const { signals, slot } = this.#options;
    const holds = this.#wanted !== 'disabled';
    this.#resting = this.#isHalted ? gapCondition(this.#options, this.#resting) : healthyNow();
    signals.setHolding(slot, holds);
    this.#place = holds ? await openPlace(this.#currentOptions()) : undefined;
    this.#place?.ledger.close();
    this.#place?.reader.close();
    this.#failure = undefined;
    // Paused: it holds the log until it is told to shed; whatever is gone when it comes back is a gap then.
    const timer = setInterval(() => {
      const { offset } = this.#place ?? { offset: Infinity };
      if (signals.shedBelow(slot) > offset) signals.setHolding(slot, false);
    }, SHED_INTERVAL_MS);
    await aborted(turn);
    clearInterval(timer);
  }

  /** Until the runner fails, or the turn is over. */
  async #runOnce(turn: AbortSignal): Promise<void> {
    const { signals, slot } = this.#options;
    signals.setHolding(slot, true);
    const runner = await this.#ports.createRunner(this.#currentOptions());
    this.#runner = runner;
    signals.setDelivering(slot, true);
    let mended: NodeJS.Timeout | undefined;
    try {
      const running = runner.run();
      mended = setTimeout(() => (this.#failure = undefined), this.#ports.mendedMs);
      await Promise.race([running, aborted(turn)]);
    } catch (error) {
      // Said at once: what is in flight may take its time.
      this.#failure = conditionOf(error, this.#failure);
      this.#isFailing = true;
      this.#deadlineMs = steadyMs() + FAILED_SETTLE_MS;
      throw error;
    } finally {
      clearTimeout(mended);
      signals.setDelivering(slot, false);
      await runner.stop(turn.aborted || this.#isFailing ? this.#deadlineMs : steadyMs());
      this.#isFailing = false;
      this.#last = withEarlierCounts(runner.status(), this.#last);
      this.#runner = undefined;
    }
  }
}

const stoppingError = (): TailraceError =>
  new TailraceError('the service is stopping', {
    code: 'STOPPING',
    kind: 'retryable',
    hint: 'ask again when it runs',
  });

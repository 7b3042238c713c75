// The pull stream: messages wait here until workers fetch them over HTTP and acknowledge them one by one.
// A delivery lasts until its message is acknowledged, so order, retries, bounds and restarts are the core's, as for any sink.
import { steadyMs, wallMs } from '../../core/clock.ts';
import type { DeliveryError, Outcome } from '../../core/errors.ts';
import { stableUuid } from '../../core/idempotency.ts';
import { ROW_ACTIONS, type Action } from '../../core/change.ts';
import type { LeaseStore } from '../../core/leases.ts';
import type { Message } from '../../core/message.ts';
import { Repeats } from '../../core/repeats.ts';
import type { PullStatus } from '../../core/status.ts';
import type {
  PullContext,
  PullPort,
  ReceiveRequest,
  Route,
  Sink,
  SinkContext,
  SinkDefinition,
} from '../sink.ts';
import { answerOf } from './answer.ts';
import { streamConfigSchema, type StreamConfig } from './config.ts';
import { LeaseBook, type Known } from './leases.ts';
import { NACKED, stopped, TIMED_OUT } from './outcomes.ts';
import { Returns } from './returns.ts';
import { WaitingRequests } from './waiting.ts';

export const stream: SinkDefinition<StreamConfig> = {
  type: 'stream',
  aliases: ['sequin_stream'],
  title: 'Pull stream (HTTP)',
  config: streamConfigSchema,
  isPulled: true,
  create: (config, context) => Promise.resolve(new Stream(config, context, pullContext(context))),
};

/** More than any row that the log takes (`log.max_message_bytes`) has as JSON. */
const MAX_MESSAGE_BYTES = 512 * 1024 * 1024;
/** An answer ends with the message that reaches this size: it is held in memory twice while it is sent. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
/** An early acknowledgement waits this long for its message, as long as the cursor of a sink that is gone is kept. */
const EARLY_ACK_KEPT_MS = 7 * 24 * 60 * 60 * 1000;

type Delivery = {
  readonly message: Message;
  readonly conclude: (outcome: Outcome) => void;
  readonly fail: (error: unknown) => void;
};

class Stream implements Sink, PullPort {
  readonly pull = this;
  readonly #config: StreamConfig;
  readonly #identity: readonly [name: string, rewinds: string];
  readonly #context: PullContext;
  readonly #store: LeaseStore;
  readonly #logger: SinkContext['logger'];
  readonly #forgetFaults = new Repeats();
  readonly #book = new LeaseBook<Delivery>(({ message }) => message.position);
  readonly #returns = new Returns();
  readonly #waiting: WaitingRequests;
  readonly #route: Route;
  #signal: AbortSignal | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #serving: NodeJS.Immediate | undefined;
  /** Of this turn: acknowledged before they were offered. */
  #acknowledged: string[] | undefined;
  #stopped = false;
  #timedOut = 0;
  #unknownAcks = 0;

  constructor(config: StreamConfig, context: SinkContext, pull: PullContext) {
    this.#config = config;
    this.#identity = [context.name, String(context.rewinds)];
    this.#context = pull;
    this.#logger = context.logger;
    this.#waiting = new WaitingRequests(config.max_waiting);
    this.#route = {
      id: context.name,
      keepsOrder: false,
      limits: {
        batchCount: 1,
        batchBytes: MAX_MESSAGE_BYTES,
        messageBytes: MAX_MESSAGE_BYTES,
        // A message that is out takes a lane until it is acknowledged.
        lanesPerRoute: config.max_ack_pending,
      },
      groupTemplate: undefined,
      target: undefined,
    };
    this.#store = pull.openLeases();
    this.#restore();
  }

  routeOf(): Route {
    return this.#route;
  }

  /** Its consumers are always told which action it was, whatever the sink wants. */
  actionsAt(): readonly Action[] {
    return ROW_ACTIONS;
  }

  sizeOf(message: Message): number {
    return message.end - message.start;
  }

  /** Resolves when the messages are acknowledged, given back or have timed out; rejects when the sink stops. */
  deliver(batch: readonly Message[], signal: AbortSignal): Promise<readonly Outcome[]> {
    this.#listen(signal);
    if (this.#stopped) return Promise.reject(signal.aborted ? (signal.reason as Error) : stopped());
    return Promise.all(
      batch.map(
        (message) => new Promise<Outcome>((conclude, fail) => this.#offer({ message, conclude, fail })),
      ),
    );
  }

  async receive(request: ReceiveRequest, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#stopped) throw stopped();
    // The timer may be late.
    this.#expire();
    await this.#returns.all;
    // A stop in between has woken those that waited already.
    if (this.#book.available === 0 && request.waitMs > 0 && !this.#stopped) {
      await this.#waiting.wait(request.waitMs, signal);
      await this.#returns.all;
    }
    return signal.aborted || this.#stopped ? undefined : this.#take(request.maxCount);
  }

  async ack(ids: readonly string[]): Promise<void> {
    if (this.#closed) throw stopped();
    const { settled, early, unknown } = this.#book.ack(new Set(ids));
    this.#unknownAcks += unknown;
    if (early.length > 0) this.#store.save(early, { visibleAtMs: wallMs(), acked: true });
    if (settled.length === 0) return;
    for (const { item } of settled) item.conclude('delivered');
    // Said to the worker, and forgotten here, only when a restart would know it (invariant 2). Else this rejects, and the lease
    // on record is still the worker's: it acknowledges once more.
    await this.#context.remembered();
    this.#forget(settled.map(({ id }) => id));
  }

  nack(ids: readonly string[]): Promise<void> {
    if (this.#closed) return Promise.reject(stopped());
    const { returned, dropped } = this.#book.nack(new Set(ids));
    this.#giveBack(returned, dropped, NACKED);
    return Promise.resolve();
  }

  status(): PullStatus {
    return {
      available: this.#book.available,
      outstanding: this.#book.leased,
      waiting: this.#waiting.count,
      timedOut: this.#timedOut,
      unknownAcks: this.#unknownAcks,
    };
  }

  check(): Promise<void> {
    return Promise.resolve();
  }

  #closed = false;
  close(): Promise<void> {
    this.#stop(stopped());
    if (!this.#closed) this.#store.close();
    this.#closed = true;
    return Promise.resolve();
  }

  /** The same before and after a restart, and for every time that the message is given out. */
  #ackId(message: Message): string {
    const { idempotencyKey, repeat } = message;
    return stableUuid('ack', ...this.#identity, idempotencyKey, ...(repeat === undefined ? [] : [repeat]));
  }

  #restore(): void {
    const now = wallMs();
    const stored = this.#store.load();
    const isOver = ({ acked, visibleAtMs }: (typeof stored)[number]): boolean =>
      acked ? visibleAtMs < now - EARLY_ACK_KEPT_MS : visibleAtMs <= now;
    const over = stored.filter(isOver).map(({ id }) => id);
    if (over.length > 0) this.#store.remove(over);
    const kept = stored.filter((lease) => !isOver(lease));
    const longest = this.#config.visibility_timeout_ms;
    this.#book.restore(
      // The store has times of day; here a clock counts that nobody sets.
      kept
        .filter(({ acked }) => !acked)
        .map(({ id, visibleAtMs }) => ({
          id,
          visibleAtMs: steadyMs() + Math.min(visibleAtMs - now, longest),
        })),
      kept.filter(({ acked }) => acked).map(({ id }) => id),
    );
    this.#expireInTime();
  }

  #offer(delivery: Delivery): void {
    const id = this.#ackId(delivery.message);
    this.#returns.comeBack(id);
    switch (this.#book.offer(id, delivery)) {
      case 'available':
        // After this turn, so that what becomes available together goes out together.
        this.#serving ??= setImmediate(() => this.#serve());
        return;
      case 'leased':
        return;
      case 'acked':
        delivery.conclude('delivered');
        this.#forgetSoon(id);
        return;
    }
  }

  /** The store forgets what was acknowledged early once the ledger has it. */
  #forgetSoon(id: string): void {
    if (this.#acknowledged !== undefined) {
      this.#acknowledged.push(id);
      return;
    }
    const ids = (this.#acknowledged = [id]);
    setImmediate(() => {
      this.#acknowledged = undefined;
      // A ledger that cannot be written ends the runner; the store still knows these ids at the next start.
      this.#context.remembered().then(
        () => this.#forget(ids),
        () => undefined,
      );
    });
  }

  /** Wakes as many waiting requests as there are messages; each takes its share. */
  #serve(): void {
    this.#serving = undefined;
    if (this.#book.available > 0 && this.#waiting.wakeFirst()) {
      this.#serving = setImmediate(() => this.#serve());
    }
  }

  #take(maxCount: number): Uint8Array<ArrayBuffer> | undefined {
    let bytes = 0;
    const next = this.#book.next(maxCount, ({ message }) => {
      bytes += message.end - message.start;
      return bytes <= MAX_ANSWER_BYTES;
    });
    if (next.length === 0) return undefined;
    const timeoutMs = this.#config.visibility_timeout_ms;
    const ids = next.map(({ id }) => id);
    this.#store.save(ids, { visibleAtMs: wallMs() + timeoutMs, acked: false });
    this.#book.lease(ids, steadyMs() + timeoutMs);
    this.#expireInTime();
    return answerOf(next.map(({ id, item }) => ({ id, message: item.message })));
  }

  #giveBack(returned: readonly Known<Delivery>[], dropped: readonly string[], error: DeliveryError): void {
    const ids = [...returned.map(({ id }) => id), ...dropped];
    if (ids.length > 0) this.#forget(ids);
    for (const { item } of returned) item.conclude(error);
  }

  #expire(): void {
    const { returned, dropped } = this.#book.expire(steadyMs());
    this.#timedOut += returned.length;
    this.#returns.leave(returned.map(({ id }) => id));
    this.#giveBack(returned, dropped, TIMED_OUT);
  }

  #expireInTime(): void {
    const next = this.#book.nextEndMs();
    if (this.#expiry !== undefined || next === undefined) return;
    this.#expiry = setTimeout(
      () => {
        this.#expiry = undefined;
        this.#expire();
        this.#expireInTime();
      },
      Math.max(1, Math.ceil(next - steadyMs())),
    );
  }

  /** What stays on record is harmless and times out, so neither a full disk nor a stop may hold up what is done here. */
  #forget(ids: readonly string[]): void {
    if (this.#closed) return;
    try {
      this.#store.remove(ids);
    } catch (error) {
      const times = this.#forgetFaults.note('forget', steadyMs());
      if (times === 0) return;
      const fields = { sink: this.#identity[0], err: error, ...(times > 1 && { times }) };
      this.#logger.warn(fields, 'leases that are over stay on record');
    }
  }

  /** One listener for all deliveries: there may be thousands. */
  #listen(signal: AbortSignal): void {
    if (this.#signal === signal) return;
    this.#signal = signal;
    if (signal.aborted) this.#stop(signal.reason);
    else signal.addEventListener('abort', () => this.#stop(signal.reason), { once: true });
  }

  /** Leases stay: what is acknowledged from now on is remembered for the next start. */
  #stop(reason: unknown): void {
    this.#stopped = true;
    clearTimeout(this.#expiry);
    clearImmediate(this.#serving);
    for (const { fail } of this.#book.detach()) fail(reason);
    this.#waiting.wakeAll();
    this.#returns.close();
  }
}

function pullContext({ name, pull }: SinkContext): PullContext {
  if (pull === undefined) throw new Error(`the sink ${name} was made without what a pull stream needs`);
  return pull;
}

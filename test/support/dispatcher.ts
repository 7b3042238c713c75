// A real dispatcher for tests and benches: any sink behind it, or an endpoint that the test programs; messages of any group.
import type { Action } from '../../src/core/change.ts';
import type { DeliveryError, Outcome } from '../../src/core/errors.ts';
import { toLsn, ZERO_LSN } from '../../src/core/lsn.ts';
import type { Message } from '../../src/core/message.ts';
import {
  Dispatcher,
  type DispatcherPorts,
  type DispatcherSettings,
} from '../../src/pipeline/delivery/dispatcher.ts';
import { Pending, type MessagePlan, type PendingTransaction } from '../../src/pipeline/delivery/pending.ts';
import { TableBarriers } from '../../src/pipeline/delivery/table-order.ts';
import type { Route } from '../../src/sinks/sink.ts';
import { bodyOf } from './messages.ts';
import { waitFor } from './wait.ts';

export const REFUSED: DeliveryError = {
  kind: 'retryable',
  scope: 'message',
  code: 'REFUSED',
  hint: 'refused',
};
export const REJECTED: DeliveryError = { kind: 'rejected', scope: 'message', code: 'BAD', hint: 'bad' };
export const HELD: DeliveryError = { kind: 'retryable', scope: 'group', code: 'HELD', hint: 'held back' };
export const DOWN: DeliveryError = { kind: 'retryable', scope: 'route', code: 'DOWN', hint: 'down' };

/** A route that keeps the order of a request, as a FIFO queue does. */
export const routeTo = (id: string, limits: Partial<Route['limits']> = {}): Route => ({
  id,
  keepsOrder: true,
  limits: { batchCount: 10, batchBytes: 1000, messageBytes: 500, lanesPerRoute: 4, ...limits },
  groupTemplate: undefined,
  severalActions: true,
});

const TRANSACTION: PendingTransaction = {
  epoch: 0,
  commitLsn: toLsn(1n),
  previousEndLsn: ZERO_LSN,
  commitTimeUs: 0n,
  xid: 1,
  timeline: 1,
  key: 't',
};

const nothing = (): undefined => undefined;

/** A dispatcher that tries again after a millisecond, and tells nobody anything but what `ports` says. */
export function createDispatcher(
  sink: DispatcherPorts['sink'],
  settings: Partial<DispatcherSettings> = {},
  ports: Partial<Omit<DispatcherPorts, 'sink'>> = {},
): Dispatcher {
  return new Dispatcher(
    {
      ordered: false,
      retry: { initialBackoffMs: 1, multiplier: 1, maxBackoffMs: 1, jitter: 0 },
      maxRetryCount: undefined,
      batchSize: undefined,
      lanesPerRoute: undefined,
      maxBuffered: 100_000,
      maxParked: 1000,
      ...settings,
    },
    {
      sink,
      render: nothing,
      keepDeadLetter: nothing,
      remember: nothing,
      record: nothing,
      discarded: nothing,
      changed: nothing,
      halt: nothing,
      warn: nothing,
      nowMs: () => Date.now(),
      chance: () => 0.5,
      ...ports,
    },
  );
}

export type Added = {
  readonly group?: string;
  readonly previousGroup?: string;
  readonly action?: Action;
  readonly route?: Route;
  /** Default: the next one. */
  readonly index?: number;
  readonly body?: string;
};

/** Messages of one table `public.t` and one transaction, let into a dispatcher as the intake does it. */
export class Messages {
  readonly barriers = new TableBarriers<Pending>();
  readonly #plan: MessagePlan = {
    schema: 'public',
    table: 't',
    grouped: true,
    barriers: this.barriers,
  };
  readonly #dispatcher: Dispatcher;
  readonly #transaction: PendingTransaction;
  readonly #bodies = new Map<Pending, string>();
  #index = 0;

  constructor(dispatcher: Dispatcher, transaction: Partial<PendingTransaction> = {}) {
    this.#dispatcher = dispatcher;
    this.#transaction = { ...TRANSACTION, ...transaction };
  }

  add(what: Added): Pending {
    const index = what.index ?? this.#index;
    this.#index = index + 1;
    const message = new Pending({
      transaction: this.#transaction,
      index,
      plan: this.#plan,
      action: what.action ?? 'insert',
      routeQueue: this.#dispatcher.routeQueue(what.route ?? routeTo('q')),
      group: what.group ?? '',
      offset: index + 1,
      frameLength: 1,
      rawBytes: 0,
    });
    this.#bodies.set(message, what.body ?? message.idempotencyKey);
    const isTruncate = message.action === 'truncate';
    const group = isTruncate ? undefined : what.group;
    if (!this.#dispatcher.shouldPark(this.barriers, group, message.routeQueue)) this.render(message);
    this.#dispatcher.add(message, { group, previousGroup: what.previousGroup });
    return message;
  }

  /** The dispatcher's port of the same name. */
  render(message: Pending): void {
    const arena = this.#dispatcher.arenas.enter();
    const { writer } = arena;
    const { length, escapes } = writer;
    writer.text(this.#bodies.get(message)!);
    message.rendered(arena, length, escapes);
  }
}

export type EndpointOptions = {
  /** Default: everything is delivered. */
  readonly answer?: (message: Message, attempt: number, batch: readonly Message[]) => Outcome;
  /** Requests wait in `held` until the test lets them go on. */
  readonly hold?: boolean;
};

/** What a sink is to the dispatcher, with an endpoint that a test programs. */
export class Endpoint {
  readonly sizeOf = (message: Message): number => message.end - message.start;
  /** Indexes and bodies, in the order of acceptance. */
  readonly accepted: { readonly index: number; readonly group: string; readonly body: string }[] = [];
  readonly batches: { readonly index: number; readonly body: string }[][] = [];
  readonly held: (() => void)[] = [];
  /** Requests that had a message of each, by idempotency key. */
  readonly attempts = new Map<string, number>();
  /** Requests that began while another one had a message of the same group. */
  overlaps = 0;
  readonly #options: EndpointOptions;
  readonly #inFlight = new Set<readonly string[]>();

  constructor(options: EndpointOptions) {
    this.#options = options;
  }

  readonly deliver = async (batch: readonly Message[]): Promise<readonly Outcome[]> => {
    this.batches.push(batch.map((message) => ({ index: message.position.index, body: bodyOf(message) })));
    const groups = batch.map(({ group }) => group).filter((group) => group !== '');
    if ([...this.#inFlight].flat().some((group) => groups.includes(group))) this.overlaps++;
    this.#inFlight.add(groups);
    if (this.#options.hold === true) await new Promise<void>((done) => this.held.push(done));
    else await new Promise((done) => setImmediate(done));
    this.#inFlight.delete(groups);
    return batch.map((message) => this.#answer(message, batch));
  };

  #answer(message: Message, batch: readonly Message[]): Outcome {
    const attempt = (this.attempts.get(message.idempotencyKey) ?? 0) + 1;
    this.attempts.set(message.idempotencyKey, attempt);
    const outcome = this.#options.answer?.(message, attempt, batch) ?? 'delivered';
    if (outcome === 'delivered') {
      const { group, position } = message;
      this.accepted.push({ index: position.index, group, body: bodyOf(message) });
    }
    return outcome;
  }
}

/** A dispatcher in front of an endpoint that a test programs, and all that came of it. */
export function dispatcherHarness(
  options: EndpointOptions & { readonly settings?: Partial<DispatcherSettings> } = {},
) {
  const endpoint = new Endpoint(options);
  const dead: Pending[] = [];
  const settled: Pending[] = [];
  const dispatcher: Dispatcher = createDispatcher(endpoint, options.settings, {
    render: (message) => messages.render(message),
    keepDeadLetter: (message) => dead.push(message),
    remember: (list) => settled.push(...list),
  });
  const messages = new Messages(dispatcher);
  return {
    dispatcher,
    dead,
    settled,
    accepted: endpoint.accepted,
    attempts: endpoint.attempts,
    held: endpoint.held,
    overlaps: () => endpoint.overlaps,
    /** What each request had, and what was accepted, by the messages' numbers. */
    batches: () => endpoint.batches.map((batch) => batch.map(({ index }) => index)),
    indexes: () => endpoint.accepted.map(({ index }) => index),
    add: (what: Added) => messages.add(what),
    drained: async (): Promise<void> => {
      dispatcher.dispatch();
      await waitFor(() => dispatcher.oldest === undefined, 'everything to settle');
    },
  };
}

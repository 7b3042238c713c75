// A real dispatcher for tests and benches: any sink behind it, or an endpoint that the test programs; messages of any group.
import { steadyMs, wallMs } from '../../src/core/clock.ts';
import type { Action } from '../../src/core/change.ts';
import { zeroCounts, type SinkCounts } from '../../src/core/counts.ts';
import type { DeliveryError, Outcome } from '../../src/core/errors.ts';
import { toLsn, ZERO_LSN } from '../../src/core/lsn.ts';
import type { Message } from '../../src/core/message.ts';
import {
  Dispatcher,
  type DispatcherPorts,
  type DispatcherSettings,
} from '../../src/pipeline/delivery/dispatcher.ts';
import { Pending, type PendingTransaction } from '../../src/pipeline/delivery/pending.ts';
import type { Outcomes } from '../../src/pipeline/delivery/outcomes.ts';
import type { RoomSettings } from '../../src/pipeline/delivery/room.ts';
import { Routes, type RouteSettings } from '../../src/pipeline/delivery/routes.ts';
import { Barriers } from '../../src/pipeline/delivery/table-order.ts';
import { Unsettled } from '../../src/pipeline/delivery/unsettled.ts';
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
export const BLAMED: DeliveryError = { kind: 'retryable', scope: 'batch', code: 'BAD', hint: 'bad' };
export const DOWN: DeliveryError = { kind: 'retryable', scope: 'route', code: 'DOWN', hint: 'down' };

/** A route that keeps the order of a request, as a FIFO queue does. */
export const routeTo = (id: string, limits: Partial<Route['limits']> = {}): Route => ({
  id,
  keepsOrder: true,
  limits: { batchCount: 10, batchBytes: 1000, messageBytes: 500, lanesPerRoute: 4, ...limits },
  groupTemplate: undefined,
  target: undefined,
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

export type DeliverySettings = DispatcherSettings & RouteSettings & RoomSettings;

/** What a dispatcher stands on: where messages are let in. */
export type Delivery = {
  readonly settings: DeliverySettings;
  readonly unsettled: Unsettled;
  readonly routes: Routes;
  readonly barriers: Barriers<Pending>;
  readonly counts: SinkCounts;
};

/** By default what fails is tried again after a millisecond. */
export function createDelivery(settings: Partial<DeliverySettings> = {}): Delivery {
  const all: DeliverySettings = {
    ordered: false,
    retry: { initialBackoffMs: 1, multiplier: 1, maxBackoffMs: 1, jitter: 0 },
    maxRetryCount: undefined,
    batchSize: undefined,
    maxBuffered: 100_000,
    maxParked: 1000,
    ...settings,
  };
  const unsettled = new Unsettled(all);
  const routes = new Routes(all, unsettled.room);
  return { settings: all, unsettled, routes, barriers: new Barriers<Pending>(), counts: zeroCounts() };
}

/** A dispatcher that tells nobody anything but what `ports` and `outcomes` say. */
export function createDispatcher(
  { settings, unsettled, routes, counts }: Delivery,
  sink: DispatcherPorts['sink'],
  ports: Partial<
    Pick<
      DispatcherPorts,
      'prepare' | 'warn' | 'warnRepeated' | 'nowMs' | 'wallMs' | 'chance' | 'spareMs' | 'unsetWallMs' | 'live'
    >
  > & {
    readonly outcomes?: Partial<Outcomes>;
  } = {},
): Dispatcher {
  const { outcomes, ...others } = ports;
  return new Dispatcher(settings, {
    sink,
    unsettled,
    routes,
    counts,
    prepare: nothing,
    outcomes: {
      settled: nothing,
      deadLetter: nothing,
      discarded: nothing,
      record: nothing,
      broken: nothing,
      halted: nothing,
      ...outcomes,
    },
    warn: nothing,
    warnRepeated: nothing,
    nowMs: steadyMs,
    wallMs,
    chance: () => 0.5,
    spareMs: steadyMs,
    unsetWallMs: () => 0,
    live: nothing,
    ...others,
  });
}

export type Added = {
  readonly group?: string;
  readonly previousGroup?: string;
  readonly action?: Action;
  readonly route?: Route;
  /** Default: the next one. */
  readonly index?: number;
  readonly body?: string;
  /** The columns that make the table's groups from here on. */
  readonly grouping?: string;
  /** It is this dead letter, sent again. */
  readonly letterId?: number;
};

const definedOf = <T extends object>(fields: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;

type PendingFields = ConstructorParameters<typeof Pending>[0];

/** The first insert into `public.t` of a transaction, unless the fields say otherwise; not let in. */
export const pendingMessage = (
  { routes, barriers }: Delivery,
  fields: { [Field in keyof PendingFields]?: PendingFields[Field] | undefined } = {},
): Pending =>
  new Pending({
    transaction: TRANSACTION,
    index: 0,
    plan: { schema: 'public', table: 't', grouped: true, barriers: barriers.of('public', 't') },
    action: 'insert',
    routeQueue: fields.routeQueue ?? routes.queue(routeTo('q')),
    group: '',
    offset: 1,
    frameLength: 1,
    rawBytes: 0,
    ...definedOf(fields),
  });

/** Messages of one table `public.t` and one transaction, let in as the intake does it. */
export class Messages {
  readonly #delivery: Delivery;
  readonly #transaction: PendingTransaction;
  readonly #bodies = new Map<Pending, string>();
  #index = 0;

  constructor(delivery: Delivery, transaction: Partial<PendingTransaction> = {}) {
    this.#delivery = delivery;
    this.#transaction = { ...TRANSACTION, ...transaction };
  }

  add(what: Added): Pending {
    const { unsettled } = this.#delivery;
    const index = what.index ?? this.#index;
    this.#index = index + 1;
    const message = pendingMessage(this.#delivery, {
      transaction: this.#transaction,
      index,
      action: what.action,
      routeQueue: what.route && this.#delivery.routes.queue(what.route),
      group: what.group,
      offset: index + 1,
      frameLength: what.body?.length,
    });
    this.#bodies.set(message, what.body ?? message.idempotencyKey);
    message.letterId = what.letterId ?? 0;
    const isTruncate = message.action === 'truncate';
    const group = isTruncate ? undefined : what.group;
    if (what.grouping !== undefined) message.plan.barriers.regroup(what.grouping);
    if (!unsettled.shouldPark(message.plan.barriers, group, message.routeQueue)) this.#render(message);
    unsettled.enter(message, group, what.previousGroup);
    return message;
  }

  /** The dispatcher's port of the same name. */
  prepare(messages: readonly Pending[]): void {
    for (const message of messages) this.#render(message);
  }

  #render(message: Pending): void {
    const arena = this.#delivery.unsettled.arenas.enter();
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

  readonly deliver = async (batch: readonly Message[], signal: AbortSignal): Promise<readonly Outcome[]> => {
    this.batches.push(batch.map((message) => ({ index: message.position.index, body: bodyOf(message) })));
    const groups = batch.map(({ group }) => group).filter((group) => group !== '');
    if ([...this.#inFlight].flat().some((group) => groups.includes(group))) this.overlaps++;
    this.#inFlight.add(groups);
    if (this.#options.hold === true) await this.#hold(signal);
    else await new Promise((done) => setImmediate(done));
    this.#inFlight.delete(groups);
    return batch.map((message) => this.#answer(message, batch));
  };

  #hold(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => reject(signal.reason as Error));
    this.held.push(resolve);
    return promise;
  }

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
  options: EndpointOptions & {
    readonly settings?: Partial<DeliverySettings>;
    /** How parked messages are rendered; default: at once. */
    readonly prepare?: (render: () => void, messages: readonly Pending[]) => void | Promise<void>;
  } = {},
) {
  const endpoint = new Endpoint(options);
  const dead: Pending[] = [];
  const faults: unknown[] = [];
  /** By the messages' numbers. */
  const prepared: number[][] = [];
  const settled: Pending[] = [];
  const delivery = createDelivery(options.settings);
  const messages = new Messages(delivery);
  const dispatcher = createDispatcher(delivery, endpoint, {
    prepare: (list) => {
      prepared.push(list.map(({ index }) => index));
      const render = (): void => messages.prepare(list);
      return options.prepare === undefined ? render() : options.prepare(render, list);
    },
    outcomes: {
      deadLetter: (message) => dead.push(message),
      broken: (error) => faults.push(error),
      settled: (list) => settled.push(...list),
    },
  });
  return {
    dispatcher,
    delivery,
    dead,
    settled,
    faults,
    prepared,
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
      await waitFor(() => delivery.unsettled.oldest === undefined, 'everything to settle');
    },
  };
}

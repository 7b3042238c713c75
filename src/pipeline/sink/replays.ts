// Sends dead letters again: in the order of their group, one of a group at a time, behind what is under way there.
import type { Action } from '../../core/change.ts';
import { escapeFrom } from '../../core/encoding.ts';
import type { DeliveryError } from '../../core/errors.ts';
import { halfKey, idempotencyKey } from '../../core/idempotency.ts';
import { ZERO_LSN } from '../../core/lsn.ts';
import { comparePositions } from '../../core/position.ts';
import type { Sink } from '../../sinks/sink.ts';
import type { DeadLetters, DeadLetterSummary } from '../../store/dead-letters.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { Dispatcher } from '../delivery/dispatcher.ts';
import { Pending } from '../delivery/pending.ts';
import type { TableBarriers } from '../delivery/table-order.ts';

/** Letters that may be on their way at once, or half of what the sink may park; payloads stay in the store until their turn. */
const MAX_ON_THEIR_WAY = 1000;
/** More are let in when no more than this share of them is on its way. */
const REFILL_SHARE = 0.5;
const SECOND_MS = 1000;

export type ReplayPorts = {
  readonly id: SinkId;
  readonly letters: Pick<DeadLetters, 'replays' | 'find' | 'delivered' | 'returned'>;
  readonly sink: Pick<Sink, 'routeOf' | 'encoding'>;
  readonly dispatcher: Pick<Dispatcher, 'add' | 'dispatch' | 'routeQueue' | 'arenas'>;
  readonly grouped: boolean;
  readonly maxParked: number;
  readonly barriers: (schema: string, table: string) => TableBarriers<Pending>;
  /** Letters a second; undefined: as fast as they go. */
  readonly rate: () => number | undefined;
  /** The sink cannot go on. */
  readonly fail: (error: unknown) => void;
  readonly nowMs: () => number;
};

/**
 * A replayed letter is a message like others, but not one of the log: no cursor waits for it, and the ledger does not
 * know it. The store remembers that it is to be replayed, so a restart goes on.
 */
export class Replays {
  readonly #ports: ReplayPorts;
  readonly #maxOnTheirWay: number;
  readonly #onTheirWay = new Map<number, Pending>();
  /** Read from the store, the first one last. */
  #waiting: DeadLetterSummary[] = [];
  #lastId = 0;
  #timer: NodeJS.Timeout | undefined;
  #nextAtMs = 0;
  #stopped = false;

  constructor(ports: ReplayPorts) {
    this.#ports = ports;
    this.#maxOnTheirWay = Math.min(MAX_ON_THEIR_WAY, Math.ceil(ports.maxParked / 2));
  }

  /** The store has letters to replay that it did not have before, or another rate. */
  restart(): void {
    this.#lastId = 0;
    this.#waiting = [];
    this.#pump();
  }

  /** Lets in what is to be replayed, as far as rate and room allow. */
  #pump(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    try {
      this.#letIn();
    } catch (error) {
      this.#ports.fail(error);
    }
  }

  #letIn(): void {
    const perSecond = this.#ports.rate();
    while (this.#onTheirWay.size < this.#maxOnTheirWay) {
      const letter = this.#next();
      if (letter === undefined) break;
      if (perSecond !== undefined) {
        const now = this.#ports.nowMs();
        if (now < this.#nextAtMs) {
          this.#waiting.push(letter);
          this.#timer = setTimeout(() => this.#pump(), this.#nextAtMs - now);
          break;
        }
        this.#nextAtMs = now + SECOND_MS / perSecond;
      }
      this.#let(letter);
    }
    this.#ports.dispatcher.dispatch();
  }

  /** In log order as far as a page goes: that is the order of every group. */
  #next(): DeadLetterSummary | undefined {
    const { id, letters } = this.#ports;
    if (this.#waiting.length === 0) {
      const page = letters.replays(id, { after: this.#lastId, limit: this.#maxOnTheirWay });
      this.#lastId = page.at(-1)?.id ?? this.#lastId;
      this.#waiting = page
        .filter((letter) => !this.#onTheirWay.has(letter.id))
        .toSorted((a, b) => comparePositions(b.position, a.position));
    }
    return this.#waiting.pop();
  }

  #let(letter: DeadLetterSummary): void {
    const { letters, sink, dispatcher, grouped, barriers, nowMs } = this.#ports;
    const { schema, table } = letter;
    const action = letter.action as Action;
    const route = sink.routeOf({ schema, table, action });
    if (route === undefined) {
      letters.returned(letter.id, { ...noRoute(letter), attempts: 0 }, new Date(nowMs()));
      return;
    }
    const { epoch, commitLsn, index } = letter.position;
    const own = idempotencyKey('', index);
    const isHalf = !letter.idempotencyKey.endsWith(own);
    const suffix = isHalf ? halfKey(own, action) : own;
    const message = new Pending({
      transaction: {
        epoch,
        commitLsn,
        previousEndLsn: ZERO_LSN,
        commitTimeUs: 0n,
        xid: 0,
        timeline: 0,
        key: letter.idempotencyKey.slice(0, -suffix.length),
      },
      index,
      plan: { schema, table, grouped, barriers: barriers(schema, table) },
      action,
      routeQueue: dispatcher.routeQueue(route),
      group: letter.group,
      offset: 0,
      frameLength: 0,
      rawBytes: 0,
      ...(isHalf && { split: { unsettled: 1 } }),
    });
    message.letterId = letter.id;
    this.#onTheirWay.set(letter.id, message);
    dispatcher.add(message, {
      group: letter.group === '' ? undefined : letter.group,
      previousGroup: undefined,
    });
  }

  /** Fetches the payload of a letter whose turn has come. It stays empty where the letter was discarded meanwhile. */
  render(message: Pending): void {
    const payload = this.#ports.letters.find(this.#ports.id, message.letterId)?.payload;
    if (payload === undefined) return;
    const arena = this.#ports.dispatcher.arenas.enter();
    const { writer } = arena;
    const { length, escapes } = writer;
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    writer.bytes(bytes, 0, bytes.length);
    if (this.#ports.sink.encoding === 'json-string') escapeFrom(length, writer);
    message.rendered(arena, length, escapes);
  }

  /** Refused again: it goes back to the dead letters. */
  refused(message: Pending, error: DeliveryError): void {
    this.#onTheirWay.delete(message.letterId);
    const { code, hint: reason } = error;
    const { letters, nowMs } = this.#ports;
    letters.returned(message.letterId, { code, reason, attempts: message.attempts }, new Date(nowMs()));
  }

  /** Takes the letters out of what is settled now: those that were not refused were delivered. Returns the others. */
  settled(messages: readonly Pending[]): readonly Pending[] {
    if (this.#onTheirWay.size === 0 && messages.every(({ letterId }) => letterId === 0)) return messages;
    const replayed = messages.filter(({ letterId }) => letterId !== 0);
    if (replayed.length === 0) return messages;
    const delivered = replayed.filter(({ letterId }) => this.#onTheirWay.delete(letterId));
    try {
      if (delivered.length > 0) this.#ports.letters.delivered(delivered.map(({ letterId }) => letterId));
    } catch (error) {
      this.#ports.fail(error);
    }
    if (this.#onTheirWay.size <= this.#maxOnTheirWay * REFILL_SHARE) setImmediate(() => this.#pump());
    return messages.filter(({ letterId }) => letterId === 0);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}

const noRoute = ({ schema, table, action }: DeadLetterSummary): { code: string; reason: string } => ({
  code: 'NO_ROUTE',
  reason: `the sink has no route for ${action} of ${schema}.${table} any more: configure one, or discard the letter`,
});

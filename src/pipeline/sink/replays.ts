// Lets dead letters in again: in the order of their group, one of a group at a time, behind what is under way there.
import type { MessageAction, Part } from '../../core/change.ts';
import { idempotencyKey, isOfBackfill, partKey } from '../../core/idempotency.ts';
import { ZERO_LSN } from '../../core/lsn.ts';
import { comparePositions } from '../../core/position.ts';
import type { RouteByRow, RouteFault, RouteInput, Sink } from '../../sinks/sink.ts';
import type { DeadLetters, DeadLetterSummary } from '../../store/dead-letters.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { Dispatcher } from '../delivery/dispatcher.ts';
import { Pending, SplitChange } from '../delivery/pending.ts';
import { RouteQueue } from '../delivery/route-queue.ts';
import { isFault, type Routes } from '../delivery/routes.ts';
import type { Barriers } from '../delivery/table-order.ts';
import type { Unsettled } from '../delivery/unsettled.ts';
import type { ReplayedLetters } from './replayed-letters.ts';

/** Letters that may be on their way at once, or half of what the sink may park; payloads stay in the store until their turn. */
const MAX_ON_THEIR_WAY = 1000;
/** More are let in when no more than this share of them is on its way. */
const REFILL_SHARE = 0.5;
const SECOND_MS = 1000;
/** Of tables and actions. */
const MAX_TEMPLATES = 1000;

export type ReplayPorts = {
  readonly id: SinkId;
  readonly letters: Pick<DeadLetters, 'replays' | 'returned'>;
  readonly replayed: ReplayedLetters;
  readonly sink: Pick<Sink, 'routeOf' | 'routeByRow'>;
  readonly routes: Routes;
  readonly unsettled: Pick<Unsettled, 'enter'>;
  readonly dispatcher: Pick<Dispatcher, 'dispatch'>;
  readonly grouped: boolean;
  readonly maxParked: number;
  readonly barriers: Barriers<Pending>;
  /** Letters a second; undefined: as fast as they go. */
  readonly rate: () => number | undefined;
  /** The sink cannot go on. */
  readonly fail: (error: unknown) => void;
  /** Never set back. */
  readonly nowMs: () => number;
  /** For the records. */
  readonly wallTime: () => Date;
};

/** Lets letters in, as far as rate and room allow. The store says which: a restart goes on where this one ends. */
export class Replays {
  readonly #ports: ReplayPorts;
  readonly #maxOnTheirWay: number;
  /** Read from the store, the first one last. */
  #waiting: DeadLetterSummary[] = [];
  #lastId = 0;
  #timer: NodeJS.Timeout | undefined;
  #nextAtMs = 0;
  #stopped = false;
  readonly #byRow = new Map<string, RouteByRow | undefined>();

  constructor(ports: ReplayPorts) {
    this.#ports = ports;
    this.#maxOnTheirWay = Math.min(MAX_ON_THEIR_WAY, Math.ceil(ports.maxParked / 2));
    ports.replayed.onLeft(() => {
      if (ports.replayed.count <= this.#maxOnTheirWay * REFILL_SHARE) setImmediate(() => this.#pump());
    });
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
    while (this.#ports.replayed.count < this.#maxOnTheirWay) {
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
    const { id, letters, replayed } = this.#ports;
    if (this.#waiting.length === 0) {
      const page = letters.replays(id, { after: this.#lastId, limit: this.#maxOnTheirWay });
      this.#lastId = page.at(-1)?.id ?? this.#lastId;
      this.#waiting = page
        .filter((letter) => !replayed.has(letter.id))
        .toSorted((a, b) => comparePositions(b.position, a.position));
    }
    return this.#waiting.pop();
  }

  #let(letter: DeadLetterSummary): void {
    const { letters, replayed, unsettled, grouped, barriers, wallTime } = this.#ports;
    const { schema, table } = letter;
    const action = letter.action as MessageAction;
    const routeQueue = this.#queueOf(letter);
    if (!(routeQueue instanceof RouteQueue)) {
      const why =
        routeQueue === undefined ? noRoute(letter) : { code: routeQueue.code, reason: routeQueue.hint };
      letters.returned(letter.id, { ...why, attempts: 0 }, wallTime());
      return;
    }
    const { epoch, commitLsn, index } = letter.position;
    const { key, part, readKey } = parsedKey(letter);
    const message = new Pending({
      transaction: {
        epoch,
        commitLsn,
        previousEndLsn: ZERO_LSN,
        commitTimeUs: 0n,
        xid: 0,
        timeline: 0,
        key,
      },
      index,
      plan: { schema, table, grouped, barriers: barriers.of(schema, table) },
      action,
      routeQueue,
      group: letter.group,
      offset: 0,
      frameLength: letter.payloadBytes,
      rawBytes: 0,
      ...(part && { part, split: new SplitChange(1) }),
      readKey,
    });
    message.letterId = letter.id;
    replayed.enter(letter.id);
    unsettled.enter(message, letter.group === '' ? undefined : letter.group);
  }

  /**
   * Undefined: the sink has no route for it any more. Where rows decide, the route that its row decided then; what its row lacked for it
   * may have a default now.
   */
  #queueOf({
    schema,
    table,
    action,
    route: written,
    code,
  }: DeadLetterSummary): RouteQueue<Pending> | RouteFault | undefined {
    const { sink, routes } = this.#ports;
    const input = { schema, table, action: action as MessageAction };
    const byRow = this.#routeByRow(input);
    if (byRow !== undefined) {
      const id = byRow.idAgain === undefined ? written : byRow.idAgain(written, code);
      return isFault(id) ? id : routes.queueByRow(id, byRow);
    }
    const route = sink.routeOf(input);
    return route === undefined ? undefined : routes.queue(route);
  }

  /** Templates are put together once for a table and action, not for each of its letters. */
  #routeByRow(input: RouteInput): RouteByRow | undefined {
    const key = JSON.stringify(input);
    if (!this.#byRow.has(key)) {
      if (this.#byRow.size >= MAX_TEMPLATES) this.#byRow.clear();
      this.#byRow.set(key, this.#ports.sink.routeByRow?.(input));
    }
    return this.#byRow.get(key);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}

/** What the keys of its transaction, or of its backfill, have in common, and what is of the letter alone: put together they are its key. */
function parsedKey({ idempotencyKey: whole, action, position }: DeadLetterSummary): {
  readonly key: string;
  readonly part: Part | undefined;
  readonly readKey: string | undefined;
} {
  if (isOfBackfill(whole, action)) {
    const at = whole.indexOf('-');
    return { key: whole.slice(0, at), part: undefined, readKey: whole.slice(at + 1) };
  }
  const own = idempotencyKey('', position.index);
  const part = whole.endsWith(own) ? undefined : (action as Part);
  const suffix = part === undefined ? own : partKey(own, part);
  return { key: whole.slice(0, -suffix.length), part, readKey: undefined };
}

const noRoute = ({ schema, table, action }: DeadLetterSummary): { code: string; reason: string } => ({
  code: 'NO_ROUTE',
  reason: `the sink has no route for ${table === '' ? action : `${action} of ${schema}.${table}`} any more: configure one, or discard the letter`,
});

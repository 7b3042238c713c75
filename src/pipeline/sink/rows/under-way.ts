// One rewind of rows while its sink runs: what it lets in, what of that is settled, and how far the store knows it.
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError, TailraceError } from '../../../core/errors.ts';
import { comparePositions, ORIGIN, type Position } from '../../../core/position.ts';
import type { RowRewind, RowRewindStatus } from '../../../core/row-rewind.ts';
import { formatTableName } from '../../../core/selection.ts';
import type { LogReader } from '../../../log/reader.ts';
import type { LogSignals } from '../../../log/signals.ts';
import type { RowRewinds as Stored } from '../../../store/row-rewinds.ts';
import type { SinkId } from '../../../store/sink-records.ts';
import type { Pending } from '../../delivery/pending.ts';
import type { Unsettled } from '../../delivery/unsettled.ts';
import type { LoggedRow, WalkHead } from '../../intake/log-walker.ts';
import type { IntakePorts, RowIntake } from '../../intake/row-intake.ts';
import type { SinkSettings } from '../../settings.ts';
import { FollowedRows } from './followed-rows.ts';
import { Emptied, noteEmptied } from './retained.ts';
import { SecondWalk, type SecondWalkPorts } from './second-walk.ts';

/** Messages that may be on their way at once, or half of what the sink may park. */
const MAX_ON_THEIR_WAY = 1000;
/** More are let in when no more than this share of them is on its way. */
const REFILL_SHARE = 0.5;
/** How far it is stands in the store, at most this often. */
const NOTE_INTERVAL_MS = 1000;
const SETTLE_INTERVAL_MS = 20;

export type RowRewindPorts = Pick<SecondWalkPorts, 'streamKey' | 'salts' | 'partings' | 'first'> & {
  readonly id: SinkId;
  readonly settings: SinkSettings;
  readonly stored: Stored;
  readonly reader: Pick<LogReader, 'read' | 'firstPosition'>;
  readonly signals: Pick<LogSignals, 'writtenEnd' | 'firstOffset' | 'readAgain' | 'shedBelow'>;
  /** The sink's place in `signals`. */
  readonly slot: number;
  /** Has the sink's own walk passed all that was settled before it began? Before that it leaves out what is behind its head. */
  readonly hasPassedSettled: () => boolean;
  readonly unsettled: Pick<Unsettled, 'enter' | 'shouldPark' | 'arenas' | 'room'>;
  readonly makeIntake: (ports: Pick<IntakePorts, 'unsettled' | 'isDone'>) => RowIntake;
  readonly warn: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  /** The sink cannot go on. */
  readonly fail: (error: unknown) => void;
  /** Never set back. */
  readonly nowMs: () => number;
  /** For the records. */
  readonly wallTime: () => Date;
};

type Ports = RowRewindPorts & { readonly letIn: () => void };

export class RewindUnderWay {
  readonly intake: RowIntake;
  readonly #rewind: RowRewind;
  readonly #ports: Ports;
  readonly #stopping: AbortSignal;
  readonly #ended = new AbortController();
  /** In the order in which they were let in. */
  readonly #onTheirWay = new Set<Pending>();
  readonly #maxOnTheirWay: number;
  readonly #emptied: Emptied;
  readonly #signal: AbortSignal;
  #head: WalkHead | undefined;
  #sent: number;
  #notedAtMs: number;
  /** Somebody waits for room. */
  #someSettled: (() => void) | undefined;
  #noted: Position;

  constructor(rewind: RowRewind, ports: Ports, stopping: AbortSignal) {
    const { unsettled, settings } = ports;
    this.#rewind = rewind;
    this.#ports = ports;
    this.#stopping = stopping;
    this.#maxOnTheirWay = Math.min(MAX_ON_THEIR_WAY, Math.ceil(settings.maxParked / 2));
    this.#sent = rewind.sent;
    this.#noted = rewind.place ?? ORIGIN;
    this.#notedAtMs = ports.nowMs();
    this.#emptied = new Emptied(ports.partings);
    this.#signal = AbortSignal.any([stopping, this.#ended.signal]);
    this.intake = ports.makeIntake({
      unsettled: {
        arenas: unsettled.arenas,
        shouldPark: (...place) => unsettled.shouldPark(...place),
        enter: (message, ...groups) => {
          message.rowRewind = rewind.id;
          this.#onTheirWay.add(message);
          unsettled.enter(message, ...groups);
        },
      },
      // Asked of each row, and again before it enters: its table may be emptied while a step waits.
      isDone: ({ epoch, commitLsn }, index, _offset, relationId) =>
        this.#emptied.isBehind({ epoch, commitLsn, index }, relationId),
    });
  }

  /** Until it is over, or the sink stops. Rejects with what is no fault of its own. */
  async run(): Promise<void> {
    const { stored, warn, wallTime, settings } = this.#ports;
    const { id } = this.#rewind;
    try {
      await this.#walk();
      await this.#untilSettled();
      if (this.#isOver) return;
      stored.end(id, 'completed', wallTime());
    } catch (error) {
      if (!(error instanceof TailraceError)) throw error;
      if (this.#stopping.aborted) return;
      if (stored.end(id, 'failed', wallTime(), describeError(error)))
        warn({ sink: settings.name, rewind: id, err: error }, 'a rewind of rows ends before all came again');
      this.#ended.abort();
      await this.#untilSettled();
    }
  }

  /** Also where it was ended: what is on its way may have to be rendered. */
  async #untilSettled(): Promise<void> {
    while (this.#onTheirWay.size > 0 && !this.#stopping.aborted) {
      if (!this.#isOver) this.#advance();
      await sleep(SETTLE_INTERVAL_MS);
    }
    this.note();
  }

  async #walk(): Promise<void> {
    const { reader, signals, slot, streamKey, salts, partings, first, settings } = this.#ports;
    const { request, place } = this.#rewind;
    const signal = this.#signal;
    signals.readAgain(slot, signals.firstOffset());
    // What is behind this is there.
    const retained = reader.firstPosition();
    if (place !== undefined && comparePositions(place, retained) <= 0) throw letGo();
    // What the sink itself comes to meanwhile, it tells.
    await noteEmptied(this.#emptied, { reader, end: signals.writtenEnd() }, signal);
    while (!this.#ports.hasPassedSettled() && !this.#isOver) await sleep(SETTLE_INTERVAL_MS);
    const { intake } = this;
    await new SecondWalk({
      reader,
      streamKey,
      salts,
      partings,
      first,
      intake,
      followed: new FollowedRows(request, settings),
      sink: settings.name,
      from: this.#noted,
      untilRoom: () => this.#untilRoom(),
      walked: (head) => {
        this.#head = head;
        this.#ports.letIn();
      },
    }).run(signal);
    this.#ports.letIn();
  }

  async #untilRoom(): Promise<void> {
    const { room } = this.#ports.unsettled;
    for (;;) {
      this.#advance();
      const isRoom = this.#onTheirWay.size < this.#maxOnTheirWay && !room.isFull();
      if (isRoom || this.#isOver) return;
      // What settles tells of it; of what else takes the sink's room nobody does.
      const settled = new Promise<void>((resolve) => (this.#someSettled = resolve));
      await Promise.race([settled, sleep(SETTLE_INTERVAL_MS)]);
    }
  }

  get #isOver(): boolean {
    return this.#signal.aborted;
  }

  /** What it no longer needs the log may let go of; what has settled is noted now and then. */
  #advance(): void {
    const { signals, slot, nowMs } = this.#ports;
    const [oldest] = this.#onTheirWay;
    const needed = oldest?.offset ?? this.#head?.offset;
    if (needed !== undefined) {
      if (signals.shedBelow(slot) > needed) throw shed();
      signals.readAgain(slot, needed);
    }
    if (nowMs() - this.#notedAtMs >= NOTE_INTERVAL_MS) this.note();
  }

  note(): void {
    const { stored, nowMs } = this.#ports;
    this.#notedAtMs = nowMs();
    const [oldest] = this.#onTheirWay;
    const place = oldest?.position ?? this.#head?.position;
    if (place === undefined) return;
    if (comparePositions(place, this.#noted) > 0) this.#noted = place;
    stored.note(this.#rewind.id, { sent: this.#sent, place: this.#noted });
  }

  /** Somebody may have cancelled it. */
  look(): void {
    const { id, stored } = this.#ports;
    if (!stored.open(id).some((rewind) => rewind.id === this.#rewind.id)) this.#ended.abort();
  }

  settled(message: Pending): void {
    if (!this.#onTheirWay.delete(message)) return;
    if (message.settlesChange) this.#sent++;
    if (this.#onTheirWay.size <= this.#maxOnTheirWay * REFILL_SHARE) this.#someSettled?.();
  }

  truncated(row: LoggedRow): void {
    this.#emptied.note(row);
  }

  status(): RowRewindStatus {
    const { id, request, rows, changes } = this.#rewind;
    return { id, table: formatTableName(request), rows, changes, sent: this.#sent };
  }
}

const letGo = (): TailraceError =>
  new TailraceError('the log has let go of changes that had not come again', {
    code: 'REWIND_NOT_RETAINED',
    kind: 'fatal',
    hint: 'ask for it again: what the log no longer has comes as it is in the table, and no row is left as an older change says',
  });

const shed = (): TailraceError =>
  new TailraceError(
    'the log has no room for what had not come again: the sink is to give up what is oldest',
    {
      code: 'LOG_BUDGET',
      kind: 'fatal',
      hint: 'raise log.max_bytes, or ask for fewer rows, and ask again: rows of which only older changes came stand as these say',
    },
  );

// The rewinds of rows of one sink, one after the other: what each lets in, what of it is settled, and how far the store knows it.
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

/** What is let in again is a message like others, but no cursor waits for it, and the ledger does not know it: the store does. */
export class RowRewinds {
  readonly #ports: RowRewindPorts;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #isAsked = false;
  #current: Current | undefined;
  #letIn: () => void = () => undefined;

  constructor(ports: RowRewindPorts) {
    this.#ports = ports;
  }

  /** `listener` is called whenever some have been let in. */
  onLetIn(listener: () => void): void {
    this.#letIn = listener;
  }

  /** The store has some that it did not have before, or in another state. */
  restart(): void {
    this.#isAsked = true;
    this.#current?.look();
    this.#running ??= this.#all().then(
      () => (this.#running = undefined),
      (error: unknown) => this.#ports.fail(error),
    );
  }

  async #all(): Promise<void> {
    const { id, stored, signals, slot } = this.#ports;
    const { signal } = this.#stopping;
    while (this.#isAsked && !signal.aborted) {
      this.#isAsked = false;
      for (const rewind of stored.open(id)) {
        if (signal.aborted) break;
        this.#current = new Current(rewind, { ...this.#ports, letIn: () => this.#letIn() }, signal);
        await this.#current.run();
        if (!signal.aborted) this.#current = undefined;
      }
    }
    // Else what was let in may still be rendered until the sink has stopped.
    if (!signal.aborted) signals.readAgain(slot, undefined);
  }

  /** Renders a parked message again. */
  renderParked(message: Pending): void {
    this.#current!.intake.renderParked(message);
  }

  /** Takes its own out of what is settled now. Returns the others. */
  settled(messages: readonly Pending[]): readonly Pending[] {
    if (this.#current === undefined || messages.every(({ rowRewind }) => rowRewind === 0)) return messages;
    for (const message of messages) if (message.rowRewind !== 0) this.#current.settled(message);
    return messages.filter(({ rowRewind }) => rowRewind === 0);
  }

  /** The sink's own walk has come to where a table is emptied. */
  truncated(row: LoggedRow): void {
    this.#current?.truncated(row);
  }

  status(): RowRewindStatus | undefined {
    return this.#current?.status();
  }

  /** Lets nothing more in. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Nothing is sent any more: what has settled is on record when it resolves. */
  async finish(): Promise<void> {
    await this.#running;
    this.#current?.note();
  }
}

type CurrentPorts = RowRewindPorts & { readonly letIn: () => void };

/** The one under way. */
class Current {
  readonly intake: RowIntake;
  readonly #rewind: RowRewind;
  readonly #ports: CurrentPorts;
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
  #noted: Position;

  constructor(rewind: RowRewind, ports: CurrentPorts, stopping: AbortSignal) {
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
        enter: (message, groups) => {
          message.rowRewind = rewind.id;
          this.#onTheirWay.add(message);
          unsettled.enter(message, groups);
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
      while (this.#onTheirWay.size > 0 && !this.#isOver) {
        this.#advance();
        await sleep(SETTLE_INTERVAL_MS);
      }
      if (this.#isOver) return;
      this.note();
      stored.end(id, 'completed', wallTime());
    } catch (error) {
      if (!(error instanceof TailraceError)) throw error;
      if (this.#stopping.aborted) return;
      this.note();
      if (stored.end(id, 'failed', wallTime(), describeError(error)))
        warn({ sink: settings.name, rewind: id, err: error }, 'a rewind of rows ends before all came again');
    }
  }

  async #walk(): Promise<void> {
    const { reader, signals, slot, streamKey, salts, partings, first, settings, unsettled } = this.#ports;
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
      hasRoom: () => {
        this.#advance();
        return this.#onTheirWay.size < this.#maxOnTheirWay && !unsettled.room.isFull();
      },
      walked: (head) => {
        this.#head = head;
        this.#ports.letIn();
      },
    }).run(signal);
    this.#ports.letIn();
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
    hint: 'ask for it again: what the log no longer has comes as it is in the table',
  });

const shed = (): TailraceError =>
  new TailraceError(
    'the log has no room for what had not come again: the sink is to give up what is oldest',
    {
      code: 'LOG_BUDGET',
      kind: 'fatal',
      hint: 'raise log.max_bytes, or ask for fewer rows',
    },
  );

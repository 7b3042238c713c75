// Positions that threads share: where the log ends, what is durable, what each sink has settled.
// One writer per number: the source worker for the log's, each sink's runner for its own. Rows never pass here.
import { toLsn, ZERO_LSN, type Lsn } from '../core/lsn.ts';
import { lastParted, MAX_PARTINGS, type Parting, type Partings } from '../core/partings.ts';
import { LiveLatencies } from './live-latencies.ts';

/** Sinks that can follow one database's log. */
export const MAX_SINKS_PER_DATABASE = 256;

/** Behind those that are named here: the partings, two fields each. */
const PARTINGS = 12;
const LOG_FIELDS = PARTINGS + 2 * MAX_PARTINGS;
const SINK_FIELDS = 7;
const VERSION_BYTES = 16;
const LATENCIES_AT = VERSION_BYTES + 8 * (LOG_FIELDS + SINK_FIELDS * MAX_SINKS_PER_DATABASE);
/** In `latencies`, behind the sinks: how long changes take into the log. */
export const LOG_LATENCIES = MAX_SINKS_PER_DATABASE;
const LATENCY_PLACES = MAX_SINKS_PER_DATABASE + 1;

// Log fields.
const WRITTEN_END = 0;
const DURABLE_END = 1;
const LAST_COMMIT_LSN = 2;
const LAST_END_LSN = 3;
const FIRST_OFFSET = 4;
const EPOCH = 5;
/** Even: the fields of the log's end, and the quiet ones, belong together. */
const SEQUENCE = 6;
const QUIET_OFFSET = 7;
const QUIET_LSN = 8;
const QUIET_TIMELINE = 9;
const PARTING_COUNT = 10;
/** Offset up to which changes may be delivered, plus one; 0: nothing is held back. */
const RELEASED = 11;

// Sink fields.
const SETTLED_OFFSET = 0;
const SETTLED_LSN = 1;
/** `HOLDS`, `SHEDS`, `HALTED`, `DELIVERS`. */
const FLAGS = 2;
/** Offset below which the sink is to give up what it has not settled. */
const SHED_BELOW = 3;
/** Which parting the sink knew of when it took its place: what it says of LSNs holds up to that one. */
const SETTLED_PARTED = 4;
/** Offset from which on the sink still reads what it has settled, plus one; 0: it does not. */
const READ_AGAIN_FROM = 5;
/** Offset below which everything is settled, on the disk or not. */
const ANSWERED_OFFSET = 6;

/** The slot is in use and its sink holds the log back. */
const HOLDS = 1n;
/** A gap that nobody has accepted concerns the sink: it reads no further. */
const HALTED = 4n;
const DELIVERS = 8n;
/** Rather than hold the log above its budget, the sink gives up what it has not settled. */
const SHEDS = 2n;

/** Where a log ends: offset, history, and the last whole transaction in it. */
export type LogEnd = {
  readonly writtenEnd: number;
  readonly epoch: number;
  readonly lastCommitLsn: Lsn;
  readonly lastEndLsn: Lsn;
};

export type Quiet = { readonly offset: number; readonly lsn: Lsn; readonly timeline: number };

/**
 * Shared between the source worker (writer of the log's fields) and the sink workers (each sink's fields).
 * Offsets are logical byte offsets in the log (they never start again), LSNs are WAL addresses.
 */
export class LogSignals {
  readonly buffer: SharedArrayBuffer;
  /** Of live changes, from their commit on: by the sinks' slots until they are settled, and at `LOG_LATENCIES` until they are in the log. */
  readonly latencies: LiveLatencies;
  readonly #version: Int32Array<SharedArrayBuffer>;
  readonly #values: BigInt64Array<SharedArrayBuffer>;

  constructor(
    buffer: SharedArrayBuffer = new SharedArrayBuffer(LATENCIES_AT + LiveLatencies.bytesFor(LATENCY_PLACES)),
  ) {
    this.buffer = buffer;
    this.#version = new Int32Array(buffer, 0, 2);
    this.#values = new BigInt64Array(buffer, VERSION_BYTES, (LATENCIES_AT - VERSION_BYTES) / 8);
    this.latencies = new LiveLatencies(buffer, LATENCIES_AT, LATENCY_PLACES);
  }

  /** End of what readers may read: written, perhaps not yet durable. */
  writtenEnd(): number {
    return Number(Atomics.load(this.#values, WRITTEN_END));
  }
  durableEnd(): number {
    return Number(Atomics.load(this.#values, DURABLE_END));
  }
  /** First offset still retained. */
  firstOffset(): number {
    return Number(Atomics.load(this.#values, FIRST_OFFSET));
  }
  lastCommitLsn(): Lsn {
    return toLsn(Atomics.load(this.#values, LAST_COMMIT_LSN));
  }
  /** End LSN of the last whole transaction in the log. */
  lastEndLsn(): Lsn {
    return toLsn(Atomics.load(this.#values, LAST_END_LSN));
  }

  /** The history that the log's end belongs to. */
  epoch(): number {
    return Number(Atomics.load(this.#values, EPOCH));
  }

  /** Where the log ends: all of one moment. */
  end(): LogEnd {
    return this.#atOneMoment(() => ({
      writtenEnd: this.writtenEnd(),
      epoch: this.epoch(),
      lastCommitLsn: this.lastCommitLsn(),
      lastEndLsn: this.lastEndLsn(),
    }));
  }

  /** What was committed before `lsn` is in the log below `offset`: how far an idle database is known to be read. */
  quiet(): Quiet {
    return this.#atOneMoment(() => ({
      offset: Number(Atomics.load(this.#values, QUIET_OFFSET)),
      lsn: toLsn(Atomics.load(this.#values, QUIET_LSN)),
      timeline: Number(Atomics.load(this.#values, QUIET_TIMELINE)),
    }));
  }
  /** Called by the source only. */
  publishQuiet({ offset, lsn, timeline }: Quiet): void {
    Atomics.add(this.#values, SEQUENCE, 1n);
    Atomics.store(this.#values, QUIET_OFFSET, BigInt(offset));
    Atomics.store(this.#values, QUIET_LSN, lsn);
    Atomics.store(this.#values, QUIET_TIMELINE, BigInt(timeline));
    Atomics.add(this.#values, SEQUENCE, 1n);
  }

  /** Where the histories in the log parted: those that take a place in it must know. */
  partings(): Partings {
    return this.#atOneMoment(() =>
      Array.from({ length: this.#partingCount }, (_, number) => this.#partingAt(number)),
    );
  }
  /** The epoch that the last parting began; 0: there is none. Asked often. */
  parted(): number {
    const count = this.#partingCount;
    return count === 0 ? 0 : Number(Atomics.load(this.#values, PARTINGS + 2 * (count - 1)));
  }
  /** Called by whoever opens or shows the log, and by its writer at a parting. */
  publishPartings(partings: Partings): void {
    Atomics.add(this.#values, SEQUENCE, 1n);
    for (const [number, { epoch, lsn }] of partings.entries()) {
      Atomics.store(this.#values, PARTINGS + 2 * number, BigInt(epoch));
      Atomics.store(this.#values, PARTINGS + 2 * number + 1, lsn);
    }
    Atomics.store(this.#values, PARTING_COUNT, BigInt(partings.length));
    Atomics.add(this.#values, SEQUENCE, 1n);
  }

  get #partingCount(): number {
    return Number(Atomics.load(this.#values, PARTING_COUNT));
  }
  #partingAt(number: number): Parting {
    return {
      epoch: Number(Atomics.load(this.#values, PARTINGS + 2 * number)),
      lsn: toLsn(Atomics.load(this.#values, PARTINGS + 2 * number + 1)),
    };
  }

  #atOneMoment<T>(read: () => T): T {
    for (;;) {
      const sequence = Atomics.load(this.#values, SEQUENCE);
      const value = read();
      // The writer stands between two stores for some nanoseconds.
      if (sequence % 2n === 0n && Atomics.load(this.#values, SEQUENCE) === sequence) return value;
    }
  }

  /** Called by the log's writer only: publishes what was appended and wakes the readers. */
  publishAppend(end: LogEnd): void {
    Atomics.add(this.#values, SEQUENCE, 1n);
    Atomics.store(this.#values, EPOCH, BigInt(end.epoch));
    Atomics.store(this.#values, LAST_COMMIT_LSN, end.lastCommitLsn);
    Atomics.store(this.#values, LAST_END_LSN, end.lastEndLsn);
    Atomics.store(this.#values, WRITTEN_END, BigInt(end.writtenEnd));
    Atomics.add(this.#values, SEQUENCE, 1n);
    this.wake();
  }
  publishDurable(durableEnd: number): void {
    Atomics.store(this.#values, DURABLE_END, BigInt(durableEnd));
  }
  publishFirstOffset(offset: number): void {
    Atomics.store(this.#values, FIRST_OFFSET, BigInt(offset));
  }

  /** Wakes everyone who waits in `waitForAppend`. */
  wake(): void {
    Atomics.add(this.#version, 0, 1);
    Atomics.notify(this.#version, 0);
  }

  /** Resolves once the log ends beyond `seenEnd`, or when `signal` aborts. */
  async waitForAppend(seenEnd: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const version = Atomics.load(this.#version, 0);
      if (this.writtenEnd() > seenEnd) return;
      await waitOn(this.#version, 0, version, signal, () => this.wake());
    }
  }

  /**
   * Called by the runner of sink `slot` only: everything below this is settled, and remembered as such on disk. `partings`: those
   * that it knew of when it took its place.
   */
  publishSettled(slot: number, settled: { offset: number; lsn: Lsn; partings?: Partings }): void {
    const base = LOG_FIELDS + slot * SINK_FIELDS;
    Atomics.store(this.#values, base + SETTLED_LSN, settled.lsn);
    // After the LSN: whoever sees the new parting sees an LSN of it.
    Atomics.store(this.#values, base + SETTLED_PARTED, BigInt(lastParted(settled.partings ?? [])));
    Atomics.store(this.#values, base + SETTLED_OFFSET, BigInt(settled.offset));
    Atomics.add(this.#version, 1, 1);
    Atomics.notify(this.#version, 1);
  }
  settled(slot: number): { offset: number; lsn: Lsn } {
    const base = LOG_FIELDS + slot * SINK_FIELDS;
    const knows = Number(Atomics.load(this.#values, base + SETTLED_PARTED));
    const lsn = toLsn(Atomics.load(this.#values, base + SETTLED_LSN));
    return {
      offset: Number(Atomics.load(this.#values, base + SETTLED_OFFSET)),
      // Up to somewhere in a history that is lost: of the present one that says nothing.
      lsn: knows === this.parted() ? lsn : ZERO_LSN,
    };
  }

  /** Called by the runner of sink `slot` only: everything below this is settled, whether or not the disk has it. */
  publishAnswered(slot: number, offset: number): void {
    Atomics.store(this.#values, LOG_FIELDS + slot * SINK_FIELDS + ANSWERED_OFFSET, BigInt(offset));
  }
  answered(slot: number): number {
    return Number(Atomics.load(this.#values, LOG_FIELDS + slot * SINK_FIELDS + ANSWERED_OFFSET));
  }

  /** Called by the runner of sink `slot` only: it reads again from here on what it has settled; undefined: not any more. */
  readAgain(slot: number, from: number | undefined): void {
    const value = from === undefined ? 0n : BigInt(from) + 1n;
    Atomics.store(this.#values, LOG_FIELDS + slot * SINK_FIELDS + READ_AGAIN_FROM, value);
  }
  /** Offset from which on the sink in `slot` needs the log. */
  needs(slot: number): number {
    const value = Atomics.load(this.#values, LOG_FIELDS + slot * SINK_FIELDS + READ_AGAIN_FROM);
    const { offset } = this.settled(slot);
    return value === 0n ? offset : Math.min(offset, Number(value) - 1);
  }
  /** Offset from which on some sink needs the log; undefined: none holds it. */
  needed(): number | undefined {
    const needs = [...this.holders()].map((slot) => this.needs(slot));
    return needs.length === 0 ? undefined : Math.min(...needs);
  }

  /** Does the sink in `slot` hold the log back (in use, not disabled)? Set by main before it runs, then where it runs. */
  setHolding(slot: number, holding: boolean): void {
    this.#flag(slot, HOLDS, holding);
    Atomics.add(this.#version, 1, 1);
    Atomics.notify(this.#version, 1);
  }
  isHolding(slot: number): boolean {
    return (this.#flags(slot) & HOLDS) !== 0n;
  }

  /** May the sink in `slot` be told to give up changes? Set by main. */
  setSheds(slot: number, sheds: boolean): void {
    this.#flag(slot, SHEDS, sheds);
  }
  sheds(slot: number): boolean {
    return (this.#flags(slot) & SHEDS) !== 0n;
  }

  /**
   * Set before anything from behind the gap is appended, so that a sink that asks before each block never reads it. By main
   * before the source runs, then by the source.
   */
  setHalted(slot: number, halted: boolean): void {
    this.#flag(slot, HALTED, halted);
  }
  isHalted(slot: number): boolean {
    return (this.#flags(slot) & HALTED) !== 0n;
  }

  /** Does the sink in `slot` run: is it neither paused nor disabled, and nothing has halted it? Set where it runs. */
  setDelivering(slot: number, delivering: boolean): void {
    this.#flag(slot, DELIVERS, delivering);
  }
  isDelivering(slot: number): boolean {
    return (this.#flags(slot) & DELIVERS) !== 0n;
  }

  /** From here on nothing is delivered but what `release` lets go. Set by main before anything reads. */
  holdBack(): void {
    Atomics.compareExchange(this.#values, RELEASED, 0n, 1n);
  }
  /** Called by the source only: changes below this offset may be delivered. */
  release(offset: number): void {
    if (offset <= this.released()) return;
    Atomics.store(this.#values, RELEASED, BigInt(offset) + 1n);
    this.wake();
  }
  /** Offset up to which changes may be delivered. */
  released(): number {
    const value = Atomics.load(this.#values, RELEASED);
    return value === 0n ? Infinity : Number(value) - 1;
  }
  /** Resolves once changes up to `offset` may be delivered, when anything else is to be looked at, or when `signal` aborts. */
  async waitForRelease(offset: number, signal: AbortSignal): Promise<void> {
    const version = Atomics.load(this.#version, 0);
    if (this.released() >= offset || signal.aborted) return;
    await waitOn(this.#version, 0, version, signal, () => this.wake());
  }

  /** Called by the source only: the sink in `slot` is to give up what it has not settled below this offset. */
  shed(slot: number, below: number): void {
    Atomics.store(this.#values, LOG_FIELDS + slot * SINK_FIELDS + SHED_BELOW, BigInt(below));
  }
  shedBelow(slot: number): number {
    return Number(Atomics.load(this.#values, LOG_FIELDS + slot * SINK_FIELDS + SHED_BELOW));
  }

  #flags(slot: number): bigint {
    return Atomics.load(this.#values, LOG_FIELDS + slot * SINK_FIELDS + FLAGS);
  }
  #flag(slot: number, flag: bigint, on: boolean): void {
    const at = LOG_FIELDS + slot * SINK_FIELDS + FLAGS;
    if (on) Atomics.or(this.#values, at, flag);
    else Atomics.and(this.#values, at, ~flag);
  }

  /** The lowest position settled by every sink that holds the log back; undefined when there is none. */
  lowestSettled(): { offset: number; lsn: Lsn } | undefined {
    let lowest: { offset: number; lsn: Lsn } | undefined;
    for (const slot of this.holders()) {
      const settled = this.settled(slot);
      if (lowest === undefined || settled.offset < lowest.offset) lowest = settled;
      // At the log's end one may know of a keepalive that another has not heard of.
      else if (settled.offset === lowest.offset && settled.lsn < lowest.lsn) lowest = settled;
    }
    return lowest;
  }

  /** Slots of the sinks that hold the log back. */
  *holders(): Generator<number> {
    for (let slot = 0; slot < MAX_SINKS_PER_DATABASE; slot++) if (this.isHolding(slot)) yield slot;
  }

  /** Resolves at the next `publishSettled` of any sink, or when `signal` aborts. `seen` is `settledVersion()`. */
  async waitForSettled(seen: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await waitOn(this.#version, 1, seen, signal, () => {
      Atomics.add(this.#version, 1, 1);
      Atomics.notify(this.#version, 1);
    });
  }
  settledVersion(): number {
    return Atomics.load(this.#version, 1);
  }
}

/** Waits until `array[index]` is no longer `value`; an abort wakes it through `wake`. */
async function waitOn(
  array: Int32Array<SharedArrayBuffer>,
  index: number,
  value: number,
  signal: AbortSignal,
  wake: () => void,
): Promise<void> {
  const waiting = Atomics.waitAsync(array, index, value);
  if (!waiting.async) return;
  signal.addEventListener('abort', wake, { once: true });
  try {
    await waiting.value;
  } finally {
    signal.removeEventListener('abort', wake);
  }
}

// Lets live changes go first: while backfills read, it looks at how long those take, and gives chunks their turn at the pace that leaves them
// theirs (giving-way.ts). One for a connection.
import { LOG_LATENCIES, type LogSignals } from '../../../log/signals.ts';
import type { LogWriter } from '../../../log/writer.ts';
import { GivingWay, type Delivered } from './giving-way.ts';
import { SLOWEST } from './left-pace.ts';
import { Turns } from './turns.ts';

export type LivePorts = {
  readonly signals: Pick<LogSignals, 'latencies' | 'answered' | 'settled' | 'isDelivering'>;
  /** By the sinks' names, their slots in `signals`. */
  readonly sinkSlots: ReadonlyMap<string, number>;
  readonly log: Pick<LogWriter, 'writtenEnd'>;
  /** That the stream has brought so far. */
  readonly changes: () => number;
  /** Has it brought what there was when that was looked at last? What is made up for says nothing of what live changes take. */
  readonly isCaughtUp: () => boolean;
  /** Never set back. */
  readonly nowMs: () => number;
};

/** How often it looks; and how often it looks whether sinks that have too much before them have taken enough of it. */
const STEP_MS = 50;
const POLL_MS = 5;
/** A sink that takes nothing for so long is waited for no longer. */
const STILL_MS = 500;
/** After a longer pause nobody knows what live changes take, or leave. */
const KNOWN_MS = 60_000;
/** After so many, what was read is in the log. */
const STEPS_TO_LET_IN = 1;
/**
 * At a pace, a chunk is what may be read in this time: as it comes, it goes, and changes wait behind it. Asking for one costs as much as
 * some fifty rows do (measured), so it is no less than that, unless those are many bytes. Where a chunk takes longer than its share, it is
 * what may be read in the time that it takes, up to the most; beyond that, as many are read at once as make up for it: however long an
 * answer takes, what is read is what live changes leave.
 */
const CHUNK_SHARE_MS = 12;
const MOST_SHARE_MS = 100;
/** As long as a chunk takes counts what each of so many has taken: one that met something that stood still says nothing. */
const TOOK_CHUNKS = 3;
const FEWEST_ROWS = 50;
const FEWEST_ROWS_BYTES = 32 * 1024;
/** One connection is enough for so many rows a second, where an answer comes at once. */
const ROWS_OF_A_CONNECTION = 50_000;
/** At a pace, its sinks may have so much before them: what may be read in this time, or so many bytes. */
const AHEAD_MS = 100;
const AHEAD_BYTES = 64 * 1024;

/** `tookMs`: from its turn on. */
export type ChunkRead = { readonly rows: number; readonly bytes: number; readonly tookMs: number };

export class LiveFirst {
  readonly #ports: LivePorts;
  /** For whom each of those reads that are under way; an empty list: for all. */
  readonly #readers = new Set<readonly string[]>();
  #giving: GivingWay | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** By place in `signals`, how many samples have been looked at. */
  readonly #seen = new Map<number, number>();
  #changesSeen = 0;
  #endedAtMs = -Infinity;
  #rowsSeen = 0;
  #underWay = 0;
  /** Of these, how many began at full speed: the first ones. */
  #unbounded = 0;
  #nextMs = 0;
  #lastTurnMs = 0;
  #bytesOfARow = 0;
  /** Of the last chunks that were read at a pace. */
  #took: readonly number[] = [];
  readonly #turns: Turns;
  /** While it rests: steps since nothing is read any more, and where the log ended behind what was read before. */
  #restingSteps = 0;
  #restsAt: number | undefined;
  /** At the step before, places that had nothing before them of before the rest. */
  #free: ReadonlySet<number> = new Set();
  /** By the sinks' slots, up to where they had settled everything when that was something else than before. */
  readonly #moved = new Map<number, { readonly answered: number; readonly atMs: number }>();

  constructor(ports: LivePorts) {
    this.#ports = ports;
    this.#turns = new Turns(
      () => this.#waitMs(),
      () => this.#begins(),
    );
  }

  /** A backfill for these sinks (none: all) reads from now on; answers how to say that it ends. */
  begin(sinks: readonly string[]): () => void {
    if (this.#readers.size === 0) this.#start();
    const reader = [...sinks];
    this.#readers.add(reader);
    return () => {
      this.#readers.delete(reader);
      if (this.#readers.size > 0) return;
      clearInterval(this.#timer);
      this.#endedAtMs = this.#ports.nowMs();
    };
  }

  #start(): void {
    this.#changesSeen = this.#ports.changes();
    const nowMs = this.#ports.nowMs();
    if (this.#giving === undefined || nowMs - this.#endedAtMs > KNOWN_MS) this.#giving = new GivingWay(nowMs);
    else this.#giving.resume(nowMs);
    this.#took = [];
    this.#forgetRest();
    this.#timer = setInterval(() => this.#step(), STEP_MS);
  }

  /** Rows a second, where live changes need that; undefined: it reads as fast as it can. */
  get pace(): number | undefined {
    const pace = this.#giving?.pace ?? Infinity;
    return pace === Infinity ? undefined : Math.round(pace);
  }

  /** Rows of one chunk. */
  get mostRows(): number {
    const { pace } = this;
    if (pace === undefined) return Infinity;
    const fewest = Math.min(FEWEST_ROWS, FEWEST_ROWS_BYTES / Math.max(1, this.#bytesOfARow));
    const eachMs = this.#chunkMs / connectionsFor(pace);
    const shareMs = Math.min(MOST_SHARE_MS, Math.max(CHUNK_SHARE_MS, eachMs));
    return Math.max(1, Math.floor(Math.max(fewest, (pace * shareMs) / 1000)));
  }

  /** How long a chunk takes; 0: nobody knows. */
  get #chunkMs(): number {
    return this.#took.length < TOOK_CHUNKS ? 0 : Math.min(...this.#took);
  }

  /** Chunks that may be read at once. */
  get mostAtOnce(): number {
    const { pace } = this;
    if (pace === undefined) return Infinity;
    return Math.max(connectionsFor(pace), Math.ceil(this.#chunkMs / MOST_SHARE_MS));
  }

  /** Resolves when a chunk may be read; `ended` says that it was. Rejects when `signal` aborts. */
  turn(signal: AbortSignal): Promise<void> {
    return this.#turns.take(signal);
  }

  #begins(): void {
    this.#underWay++;
    if (this.pace === undefined) this.#unbounded++;
    this.#lastTurnMs = this.#ports.nowMs();
  }

  ended({ rows, bytes, tookMs }: ChunkRead): void {
    this.#underWay--;
    this.#rowsSeen += rows;
    if (rows > 0) this.#bytesOfARow = bytes / rows;
    const pace = this.pace ?? Infinity;
    // What was read at full speed is not made up for.
    const charged = Math.min(rows, this.mostRows);
    if (this.#unbounded > 0) this.#unbounded--;
    else if (rows > 0) this.#took = [...this.#took.slice(1 - TOOK_CHUNKS), tookMs];
    this.#nextMs = Math.max(this.#nextMs, this.#lastTurnMs) + (charged * 1000) / pace;
    this.#turns.look();
  }

  #waitMs(): number {
    const giving = this.#giving;
    if (giving === undefined || giving.rowsPerSecond === Infinity) return 0;
    // It looks again at each step, and when one has ended.
    if (giving.rowsPerSecond === 0) return Infinity;
    if (this.#underWay >= this.mostAtOnce) return Infinity;
    const nowMs = this.#ports.nowMs();
    if (nowMs < this.#nextMs) return this.#nextMs - nowMs;
    // A sink that takes nothing does not keep it from reading at its slowest.
    const atTheLatestMs = this.#lastTurnMs + (this.mostRows * 1000) / SLOWEST;
    return this.#isAhead(giving.pace) && nowMs < atTheLatestMs ? POLL_MS : 0;
  }

  #isAhead(pace: number): boolean {
    const most = Math.max(AHEAD_BYTES, (pace * this.#bytesOfARow * AHEAD_MS) / 1000);
    return this.#ports.log.writtenEnd - this.#answeredBy(this.#delivering(true)) > most;
  }

  /** Slots of the sinks that deliver, of those that get the rows, or of the others. A sink that is paused, or has halted, takes nothing. */
  #delivering(isReadFor: boolean): readonly number[] {
    const { signals, sinkSlots } = this.#ports;
    return [...sinkSlots]
      .filter(([name, slot]) => this.#isReadFor(name) === isReadFor && signals.isDelivering(slot))
      .map(([, slot]) => slot);
  }

  /** Up to where they have settled everything. */
  #answeredBy(slots: readonly number[]): number {
    return Math.min(Infinity, ...slots.map((slot) => this.#answered(slot)));
  }

  #answered(slot: number): number {
    const { signals } = this.#ports;
    // One that has just begun has said nothing of this yet.
    return Math.max(signals.answered(slot), signals.settled(slot).offset);
  }

  #isReadFor(name: string): boolean {
    return [...this.#readers].some((sinks) => sinks.length === 0 || sinks.includes(name));
  }

  #step(): void {
    const giving = this.#giving!;
    const changes = this.#ports.changes();
    const isLive = changes !== this.#changesSeen;
    this.#changesSeen = changes;
    const rows = this.#rowsSeen;
    this.#rowsSeen = 0;
    this.#goOnResting();
    const came = this.#came();
    giving.step(this.#ports.nowMs(), {
      latencies: giving.rowsPerSecond === 0 ? this.#atRest(came) : came,
      isLive,
      rows,
      delivered: this.#delivered(),
    });
    this.#turns.look();
  }

  #goOnResting(): void {
    if (this.#giving?.rowsPerSecond !== 0 || this.#underWay > 0) return this.#forgetRest();
    // A chunk that was read is let in a moment later.
    if (++this.#restingSteps > STEPS_TO_LET_IN) this.#restsAt ??= this.#ports.log.writtenEnd;
    for (const slot of this.#ports.sinkSlots.values()) {
      const answered = this.#answered(slot);
      if (this.#moved.get(slot)?.answered !== answered)
        this.#moved.set(slot, { answered, atMs: this.#ports.nowMs() });
    }
  }

  #forgetRest(): void {
    this.#restingSteps = 0;
    this.#restsAt = undefined;
    this.#free = new Set();
    this.#moved.clear();
  }

  #delivered(): Delivered {
    if (!this.#hasDelivered(this.#delivering(true))) return 'no';
    return this.#hasDelivered(this.#delivering(false)) ? 'by all' : 'by its sinks';
  }

  /** Have these delivered what was in the log when the rest began, or do they stand still? */
  #hasDelivered(slots: readonly number[]): boolean {
    const restsAt = this.#restsAt;
    if (restsAt === undefined) return false;
    const nowMs = this.#ports.nowMs();
    const goOn = slots.filter((slot) => nowMs - (this.#moved.get(slot)?.atMs ?? nowMs) < STILL_MS);
    return this.#answeredBy(goOn) >= restsAt;
  }

  /**
   * Of what came, what says how long changes take at rest: none that have waited for what was there before, here or at the server. So who
   * took them has to be without that, and to have been so a step ago.
   */
  #atRest(came: ReadonlyMap<number, readonly number[]>): ReadonlyMap<number, readonly number[]> {
    const restsAt = this.#restsAt ?? Infinity;
    const before = this.#free;
    const places = this.#ports.isCaughtUp() ? [...this.#ports.sinkSlots.values(), LOG_LATENCIES] : [];
    this.#free = new Set(
      places.filter((place) => place === LOG_LATENCIES || this.#answered(place) >= restsAt),
    );
    return new Map([...came].filter(([place]) => before.has(place) && this.#free.has(place)));
  }

  /**
   * What came since it was looked at last, by place. Of sinks that get the rows nothing is asked: what was read stands before their changes,
   * so that these wait for it is what somebody wanted.
   */
  #came(): Map<number, readonly number[]> {
    const { signals, sinkSlots } = this.#ports;
    const others = [...sinkSlots].filter(([name]) => !this.#isReadFor(name)).map(([, slot]) => slot);
    const came = new Map<number, readonly number[]>();
    for (const place of [...others, LOG_LATENCIES]) {
      const { latencies, count } = signals.latencies.since(place, this.#seen.get(place) ?? 0);
      this.#seen.set(place, count);
      if (latencies.length > 0) came.set(place, latencies);
    }
    return came;
  }
}

const connectionsFor = (pace: number): number => Math.ceil(pace / ROWS_OF_A_CONNECTION);

// Lets live changes go first: while backfills read, it looks at how long those take, and gives chunks their turn at the pace that leaves them
// theirs (giving-way.ts). One for a connection.
import { LOG_LATENCIES, type LogSignals } from '../../../log/signals.ts';
import type { LogWriter } from '../../../log/writer.ts';
import { GivingWay } from './giving-way.ts';
import { SLOWEST } from './left-pace.ts';

export type LivePorts = {
  readonly signals: Pick<LogSignals, 'latencies' | 'answered' | 'settled' | 'isHolding' | 'isHalted'>;
  /** By the sinks' names, their slots in `signals`. */
  readonly sinkSlots: ReadonlyMap<string, number>;
  readonly log: Pick<LogWriter, 'writtenEnd'>;
  /** That the stream has brought so far. */
  readonly changes: () => number;
  /** Never set back. */
  readonly nowMs: () => number;
  /** Rejects when `signal` aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
};

/** How often it looks; and how often one that waits for its turn does, where it is not known for how long. */
const STEP_MS = 50;
const POLL_MS = 5;
/** After so many, what was read is in the log. */
const STEPS_TO_LET_IN = 1;
/**
 * At a pace, a chunk is what may be read in this time: as it comes, it goes, and changes wait behind it. Asking for one costs as much as
 * some hundred rows do (measured), so it is no less than a hundred, unless those are many bytes.
 */
const CHUNK_SHARE_MS = 20;
const FEWEST_ROWS = 100;
const FEWEST_ROWS_BYTES = 32 * 1024;
/** One connection is enough for so many rows a second. */
const ROWS_OF_A_CONNECTION = 50_000;
/** At a pace, its sinks may have so much before them: what may be read in this time, or so many bytes. */
const AHEAD_MS = 100;
const AHEAD_BYTES = 64 * 1024;

export type ChunkRead = { readonly rows: number; readonly bytes: number };

export class LiveFirst {
  readonly #ports: LivePorts;
  /** For whom each of those reads that are under way; an empty list: for all. */
  readonly #readers = new Set<readonly string[]>();
  #giving: GivingWay | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** By place in `signals`, how many samples have been looked at. */
  readonly #seen = new Map<number, number>();
  #changesSeen = 0;
  #rowsSeen = 0;
  #underWay = 0;
  #nextMs = 0;
  #lastTurnMs = 0;
  #bytesOfARow = 0;
  /** Turns are given one after the other. */
  #turns: Promise<unknown> = Promise.resolve();
  /** While it rests: steps since nothing is read any more, and where the log ended behind what was read before. */
  #restingSteps = 0;
  #restsAt: number | undefined;

  constructor(ports: LivePorts) {
    this.#ports = ports;
  }

  /** A backfill for these sinks (none: all) reads from now on; answers how to say that it ends. */
  begin(sinks: readonly string[]): () => void {
    if (this.#readers.size === 0) this.#start();
    const reader = [...sinks];
    this.#readers.add(reader);
    return () => {
      this.#readers.delete(reader);
      if (this.#readers.size === 0) clearInterval(this.#timer);
    };
  }

  #start(): void {
    const nowMs = this.#ports.nowMs();
    this.#changesSeen = this.#ports.changes();
    this.#giving = new GivingWay(nowMs, this.#came());
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
    return Math.max(1, Math.floor(Math.max(fewest, (pace * CHUNK_SHARE_MS) / 1000)));
  }

  /** Resolves when a chunk may be read; `ended` says that it was. Rejects when `signal` aborts. */
  turn(signal: AbortSignal): Promise<void> {
    const turn = this.#turns.then(() => this.#untilTurn(signal));
    this.#turns = turn.catch(() => undefined);
    return turn;
  }

  async #untilTurn(signal: AbortSignal): Promise<void> {
    for (let waitMs = this.#waitMs(); waitMs > 0; waitMs = this.#waitMs())
      await this.#ports.sleep(Math.min(waitMs, STEP_MS), signal);
    signal.throwIfAborted();
    this.#underWay++;
    this.#lastTurnMs = this.#ports.nowMs();
  }

  ended({ rows, bytes }: ChunkRead): void {
    this.#underWay--;
    this.#rowsSeen += rows;
    if (rows > 0) this.#bytesOfARow = bytes / rows;
    const pace = this.pace ?? Infinity;
    // What was read at full speed is not made up for.
    const charged = Math.min(rows, this.mostRows);
    this.#nextMs = Math.max(this.#nextMs, this.#lastTurnMs) + (charged * 1000) / pace;
  }

  #waitMs(): number {
    const giving = this.#giving;
    if (giving === undefined || giving.rowsPerSecond === Infinity) return 0;
    if (giving.rowsPerSecond === 0) return POLL_MS;
    const nowMs = this.#ports.nowMs();
    if (nowMs < this.#nextMs) return this.#nextMs - nowMs;
    if (this.#underWay >= Math.ceil(giving.pace / ROWS_OF_A_CONNECTION)) return POLL_MS;
    // A sink that takes nothing does not keep it from reading at its slowest.
    const atTheLatestMs = this.#lastTurnMs + (this.mostRows * 1000) / SLOWEST;
    return this.#isAhead(giving.pace) && nowMs < atTheLatestMs ? POLL_MS : 0;
  }

  #isAhead(pace: number): boolean {
    const most = Math.max(AHEAD_BYTES, (pace * this.#bytesOfARow * AHEAD_MS) / 1000);
    return this.#ports.log.writtenEnd - this.#answeredByAll() > most;
  }

  /** Up to where those that it reads for have settled everything. */
  #answeredByAll(): number {
    const { signals, sinkSlots } = this.#ports;
    const slots = [...sinkSlots]
      .filter(([name, slot]) => this.#isReadFor(name) && signals.isHolding(slot) && !signals.isHalted(slot))
      // One that has just begun has said nothing of this yet.
      .map(([, slot]) => Math.max(signals.answered(slot), signals.settled(slot).offset));
    return Math.min(Infinity, ...slots);
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
    giving.step(this.#ports.nowMs(), {
      latencies: this.#came(),
      isLive,
      rows,
      isDelivered: this.#isDelivered(),
    });
  }

  #isDelivered(): boolean {
    if (this.#giving?.rowsPerSecond !== 0 || this.#underWay > 0) {
      this.#restingSteps = 0;
      this.#restsAt = undefined;
      return false;
    }
    // A chunk that was read is let in a moment later.
    if (++this.#restingSteps > STEPS_TO_LET_IN) this.#restsAt ??= this.#ports.log.writtenEnd;
    return this.#restsAt !== undefined && this.#answeredByAll() >= this.#restsAt;
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

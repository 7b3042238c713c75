// The chunks of one pass, read beside each other: cut in order, so that it is known where each begins before the one in front of it is
// read, and handed out in that order.
import { steadyMs } from '../../../core/clock.ts';
import type { Chunk, ChunkReader } from '../../../postgres/backfill/chunk-reader.ts';
import {
  cursorAt,
  KEYS_AT_ONCE,
  ROWS_AT_ONCE,
  type ChunkRange,
} from '../../../postgres/backfill/chunk-sql.ts';
import type { ReadingConnections } from '../../../postgres/backfill/reading-connections.ts';
import { openWindow, showsAllBefore, type ReadFrom, type Window } from './admission.ts';
import type { ChunkRead } from './live-first.ts';
import type { PassCursor } from './place.ts';
import type { StreamGate } from './stream-gate.ts';
import type { StreamedTransactions } from './streamed-transactions.ts';
import type { TableWatch } from './table-watch.ts';

type Keys = readonly (readonly string[])[];

/** What a chunk is of: of the pass itself, which goes on at `next` behind it, or rows that are read once more. */
export type Part =
  | { readonly of: 'pass'; readonly range: ChunkRange; readonly next: PassCursor }
  | { readonly of: 'again'; readonly range: Extract<ChunkRange, { by: 'rows' }> };

/** A chunk that was read. */
export type Held = {
  readonly kind: 'chunk';
  readonly part: Part;
  readonly window: Window;
  readonly chunk: Chunk;
  /** Does it show what the stream had brought when its window opened? */
  readonly showsAll: boolean;
};

/** Undefined: nothing was left to be read. altered: chunk-reader.ts. */
export type Read = Held | { readonly kind: 'altered' } | undefined;

export type ReadAheadPorts = {
  readonly connections: ReadingConnections;
  readonly gate: Pick<StreamGate, 'streamedTo'>;
  readonly streamed: StreamedTransactions;
  readonly readFrom: ReadFrom;
  /** So many chunks may be on their way to the log. */
  mostAtOnce(): number;
  /** Resolves when a chunk may be read. */
  ready(): Promise<void>;
  /** It was: so many rows were looked at; none, where it could not be. */
  ended(read: ChunkRead): void;
};

export type ReadAheadOf = {
  readonly reader: ChunkReader;
  readonly watch: TableWatch;
  /** The rows that are asked for, by their keys; undefined: all. */
  readonly keys: Keys | undefined;
  /** Keys that somebody has: what of them the table does not have comes as deletes, behind its rows. */
  readonly gone: Keys;
};

const END: PassCursor = { by: 'end' };
/** Where one chunk is read after the other, one cut is for so many. */
const CHUNKS_ONE_BY_ONE = 8;

export class ReadAhead {
  readonly #what: ReadAheadOf;
  readonly #ports: ReadAheadPorts;
  readonly #signal: AbortSignal;
  /** Where the next chunk is cut. */
  #cutAt: PassCursor | undefined;
  /** One after the other. */
  #cutting: Promise<unknown> = Promise.resolve();
  readonly #reads: Promise<Read>[] = [];
  /** Rows to be read once more that nobody reads yet, and those that somebody does. */
  #again: (readonly string[])[];
  readonly #asked = new Set<Part>();
  readonly #windows = new Set<Window>();

  constructor(
    what: ReadAheadOf,
    from: { readonly cursor: PassCursor | undefined; readonly again: Keys },
    how: { readonly ports: ReadAheadPorts; readonly signal: AbortSignal },
  ) {
    this.#what = what;
    this.#cutAt = from.cursor ?? (what.keys === undefined ? undefined : { by: 'list', done: 0 });
    this.#again = [...from.again];
    this.#ports = how.ports;
    this.#signal = how.signal;
  }

  /** A table without a key ends where it does now. Before anything else. */
  async findEnd(): Promise<void> {
    if (this.#cutAt !== undefined) return;
    const first = await this.#ports.connections.use((client) => this.#what.reader.first(client));
    if (first?.by === 'page') this.#cutAt = first.pages === 0 ? this.#end : first;
  }

  /** The next one in order. Undefined: there is none, and will be none. */
  take(): Promise<Read> | undefined {
    this.fill();
    return this.#reads.shift();
  }

  /** Begins with as many as there are connections, where so many may be. */
  fill(): void {
    const most = Math.min(this.#ports.connections.most, this.#ports.mostAtOnce());
    while (this.#reads.length < most) {
      if (this.#again.length > 0) {
        const part: Part = { of: 'again', range: { by: 'rows', keys: this.#again.splice(0, ROWS_AT_ONCE) } };
        this.#asked.add(part);
        this.#reads.push(quiet(this.#read(part)));
      } else if (this.#cutAt?.by !== 'end') this.#reads.push(quiet(this.#cutAndRead()));
      else return;
    }
  }

  /** What was too much for one chunk is one of its own, the next in order. Answers the chunk as a part without it. */
  divided(held: Held): Held {
    const { part, chunk } = held;
    const { range, rest } = chunk;
    if (rest === undefined || part.of === 'again') return held;
    this.#reads.unshift(quiet(this.#read({ ...part, range: rest })));
    return { ...held, part: { ...part, range, next: cursorAt(rest) } };
  }

  /** It is of no use: the same is read again, and comes next. Those behind it stay as they were read. */
  repeat({ window, part }: Held): void {
    this.#windows.delete(window);
    this.#reads.unshift(quiet(this.#read(part)));
  }

  /** It is let in; these rows are to be read once more. Answers whose windows are open: from which change of the table on. */
  done({ window, part }: Held, again: Keys): number {
    this.#windows.delete(window);
    this.#asked.delete(part);
    this.#again.push(...again);
    return Math.min(this.#what.watch.now, ...[...this.#windows].map(({ changes }) => changes));
  }

  /** Rows that are to be read once more, and are not let in. */
  get again(): Keys {
    const asked = [...this.#asked].flatMap(({ range }) => (range.by === 'rows' ? range.keys : []));
    return [...asked, ...this.#again];
  }

  /** Resolves when nothing is on its way any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#reads);
  }

  async #cutAndRead(): Promise<Read> {
    const cut = this.#cutting.then(() => this.#cut());
    this.#cutting = cut.catch(() => undefined);
    const part = await cut;
    return part === undefined ? undefined : this.#read(part);
  }

  async #cut(): Promise<Part | undefined> {
    const cursor = this.#cutAt;
    if (cursor?.by === 'end') return undefined;
    if (cursor?.by === 'list' || cursor?.by === 'gone') return this.#cutList(cursor);
    const { range, next = this.#end } = await this.#ports.connections.use((client) =>
      this.#what.reader.cut(client, cursor, this.#signal, this.#chunksOfACut),
    );
    this.#cutAt = next;
    return { of: 'pass', range, next };
  }

  /** A cut costs a question of its own. What is behind the first chunk of it is read when that is let in. */
  get #chunksOfACut(): number {
    return this.#ports.mostAtOnce() === 1 ? CHUNKS_ONE_BY_ONE : 1;
  }

  /** Behind the last row. */
  get #end(): PassCursor {
    return this.#what.gone.length === 0 ? END : { by: 'gone', done: 0 };
  }

  #cutList({ by, done }: Extract<PassCursor, { by: 'list' | 'gone' }>): Part | undefined {
    const { keys = [], gone } = this.#what;
    const [all, atOnce, behind] = by === 'list' ? [keys, ROWS_AT_ONCE, this.#end] : [gone, KEYS_AT_ONCE, END];
    const asked = all.slice(done, done + atOnce);
    const end = done + asked.length;
    const next: PassCursor = end >= all.length ? behind : { by, done: end };
    this.#cutAt = next;
    if (asked.length === 0) return undefined;
    return { of: 'pass', range: { by: by === 'list' ? 'rows' : 'absent', keys: asked }, next };
  }

  async #read(part: Part): Promise<Read> {
    const { connections, gate, streamed, readFrom } = this.#ports;
    const { reader, watch } = this.#what;
    await this.#ports.ready();
    const beganMs = steadyMs();
    let read = { rows: 0, bytes: 0 };
    const reading = connections.use(async (client): Promise<Read> => {
      // Ahead of the statement: what comes from here on is remembered.
      const window = openWindow(streamed, watch, gate.streamedTo);
      this.#windows.add(window);
      const statement = streamed.statementBegins();
      try {
        const outcome = await reader.read(client, part.range, this.#signal);
        if (outcome.kind !== 'chunk') return outcome;
        const { chunk } = outcome;
        read = { rows: chunk.scanned, bytes: chunk.rows.bytes.length };
        const showsAll = showsAllBefore({ readFrom, window, chunk, streamed });
        return { kind: 'chunk', part, window, chunk, showsAll };
      } finally {
        statement.ended();
      }
    });
    return reading.finally(() => this.#ports.ended({ ...read, tookMs: steadyMs() - beganMs }));
  }
}

/** It is looked at when its turn comes. */
function quiet(read: Promise<Read>): Promise<Read> {
  read.catch(() => undefined);
  return read;
}

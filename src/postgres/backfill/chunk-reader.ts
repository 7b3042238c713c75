// Reads a table chunk by chunk, each one short statement, and says of each what has to be known before its rows may be let into the log.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { ByteWriter } from '../../core/byte-writer.ts';
import { MAX_COLUMNS } from '../../core/change.ts';
import { steadyMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import { readLsn, type Lsn } from '../../core/lsn.ts';
import { sqlStateOf } from '../connection/fault.ts';
import { chunkScript, chunkStatement, pagesOf, ROWS_AT_ONCE, type ChunkCursor } from './chunk-sql.ts';
import { nextChunkSize, smallerChunkSize, FIRST_CHUNK_SIZE } from './chunk-size.ts';
import { CopyLine } from './copy-line.ts';
import { runCopyScript, type ScriptRows } from './copy-script.ts';
import { readFault } from './faults.ts';
import { parseSnapshot, type Snapshot } from './snapshot.ts';
import type { BackfillContext, BackfillTable } from './table.ts';

/** `role`: ours, for the cures. */
export type ReadingContext = BackfillContext & { readonly role: string };

/** Rows as Insert messages, in the order of the chunk. */
export type ChunkRows = {
  readonly bytes: Buffer;
  readonly count: number;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
};

export type Chunk = {
  readonly rows: ChunkRows;
  /** Each row's place in the table, where that is all that it is known by. */
  readonly places: readonly string[];
  /** How many rows were looked at: wanted or not. */
  readonly scanned: number;
  /** Behind its last row. Undefined: the table has been read to its end. */
  readonly next: ChunkCursor | undefined;
  /** What its statement could see. */
  readonly snapshot: Snapshot;
  /** Where the WAL ended before it (of a standby: how far it was replayed). */
  readonly walBefore: Lsn;
  /** Where the WAL ended after it (of a standby: how far it was replayed): all that the rows show was committed before. */
  readonly watermark: Lsn;
  /** By the server's clock, in microseconds since 1970. */
  readonly readAtUs: bigint;
};

/** altered: the catalog says something else of the table since it was looked at · rewritten: its rows lie elsewhere, so places mean others. */
export type ChunkOutcome =
  { readonly kind: 'chunk'; readonly chunk: Chunk } | { readonly kind: 'altered' | 'rewritten' };

export type ChunkLimits = {
  /** No statement takes longer. */
  readonly statementTimeoutMs: number;
  /** What a chunk should take. */
  readonly targetMs: number;
  readonly maxRows: number;
  /** Of its rows in memory: what is beyond is left for the next chunk. */
  readonly maxBytes: number;
};

/** A table that somebody else has locked is tried again after this. */
const RETRY_MS = 200;
/** The server cut a statement short: it took too long, or a standby had to replay what it kept from that. */
const TIMED_OUT = '57014';
const RECOVERY_CONFLICT = '40001';
const TARGET_SHARE_OF_BYTES = 0.5;

/**
 * Whatever a role or a database has: a range of the key is taken from its index, and pages in their order, by which it is known where a
 * chunk ends that was cut short.
 */
const PLANNED_IN_ORDER =
  'set enable_indexscan = on; set enable_tidscan = on; set max_parallel_workers_per_gather = 0; set synchronize_seqscans = off';

/** Sets the connection, which is the reader's alone, to what every chunk needs. */
export async function beginReading(client: Client, { statementTimeoutMs }: ChunkLimits): Promise<void> {
  await client.query(`set statement_timeout = ${Math.ceil(statementTimeoutMs)}; ${PLANNED_IN_ORDER}`);
}

export class ChunkReader {
  readonly #client: Client;
  readonly #context: ReadingContext;
  readonly #limits: ChunkLimits;
  readonly #table: BackfillTable;
  readonly #where: string | undefined;
  readonly #line = new CopyLine(MAX_COLUMNS * 2);
  #size: number;

  constructor(
    client: Client,
    what: { readonly table: BackfillTable; readonly where?: string | undefined },
    how: { readonly context: ReadingContext; readonly limits: ChunkLimits },
  ) {
    this.#client = client;
    this.#table = what.table;
    this.#where = what.where;
    this.#context = how.context;
    this.#limits = how.limits;
    this.#size = Math.min(FIRST_CHUNK_SIZE, how.limits.maxRows);
  }

  /** Where a table without a key begins, and ends: with what it has now. */
  async first(): Promise<ChunkCursor | undefined> {
    if (this.#table.key.length > 0) return undefined;
    const { rows } = await this.#client.query<{ pages: number }>(pagesOf(this.#table.oid));
    return { by: 'page', page: 0, pages: rows[0]!.pages };
  }

  /**
   * The rows behind a cursor. Rejects with TailraceError: the table cannot be read, or the connection broke. What takes too long is
   * tried again, smaller.
   */
  async read(cursor: ChunkCursor | undefined, signal: AbortSignal): Promise<ChunkOutcome> {
    for (;;) {
      signal.throwIfAborted();
      const size = this.#size;
      const beganMs = steadyMs();
      // Rows that are asked for one by one come as they are: the next chunk would not know which of them were left.
      const maxBytes = cursor?.by === 'rows' ? Infinity : this.#limits.maxBytes;
      const chunk = new ChunkInMaking(this.#table, this.#line, maxBytes);
      const statement = chunkStatement(
        { table: this.#table, cursor, size, where: this.#where },
        this.#context.serverVersion,
      );
      chunk.leading = statement.leading;
      const script = chunkScript(statement, this.#table, this.#context.publication);
      let told: ScriptRows;
      try {
        told = await runCopyScript(this.#client, script, (line) => chunk.take(line));
      } catch (error) {
        await this.#client.query('rollback').catch(() => undefined);
        const smaller = smallerChunkSize(size);
        const state = sqlStateOf(error);
        if (state !== TIMED_OUT && state !== RECOVERY_CONFLICT)
          throw readFault(error, { table: this.#table, where: this.#where, role: this.#context.role });
        if (smaller === undefined)
          throw state === TIMED_OUT
            ? tooSlow(this.#table, this.#limits, error)
            : inTheWay(this.#table, error);
        this.#size = smaller;
        await sleep(RETRY_MS, undefined, { signal });
        continue;
      }
      const { bytes } = chunk;
      const cost = { size, elapsedMs: steadyMs() - beganMs, bytes };
      this.#size = nextChunkSize(cost, {
        targetMs: this.#limits.targetMs,
        targetBytes: this.#limits.maxBytes * TARGET_SHARE_OF_BYTES,
        maxSize: this.#limits.maxRows,
      });
      return this.#judge(told, chunk, { cursor, size });
    }
  }

  #judge(
    told: ScriptRows,
    chunk: ChunkInMaking,
    asked: { readonly cursor: ChunkCursor | undefined; readonly size: number },
  ): ChunkOutcome {
    const [ahead, before, after] = told as [readonly string[], readonly string[], readonly string[]];
    const [snapshot, version, fileNode, readAtUs] = before as readonly [string, string, string, string];
    const [watermark, versionAfter] = after as readonly [string, string];
    // Types of its columns can be altered while it is read: then nobody knows which values were written how.
    if (version !== this.#table.version || versionAfter !== version) return { kind: 'altered' };
    const isPlaced = this.#table.key.length === 0;
    if (isPlaced && fileNode !== String(this.#table.fileNode)) return { kind: 'rewritten' };
    return {
      kind: 'chunk',
      chunk: {
        ...chunk.finish(asked),
        snapshot: parseSnapshot(snapshot),
        walBefore: readLsn(ahead[0]!),
        watermark: readLsn(watermark),
        readAtUs: BigInt(readAtUs),
      },
    };
  }
}

/** Takes the lines of one chunk as they come. */
class ChunkInMaking {
  leading = { wanted: false, key: 0 };
  readonly #table: BackfillTable;
  readonly #line: CopyLine;
  readonly #maxBytes: number;
  readonly #writer = new ByteWriter();
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #places: string[] = [];
  #scanned = 0;
  #last: readonly string[] | undefined;
  #isFull = false;

  constructor(table: BackfillTable, line: CopyLine, maxBytes: number) {
    this.#table = table;
    this.#line = line;
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#writer.length;
  }

  take(bytes: Buffer): void {
    // What came beyond the bound is read again: memory is bounded by it and one row (invariant 8).
    if (this.#isFull) return;
    const line = this.#line;
    line.split(bytes);
    const { wanted, key } = this.leading;
    const first = wanted ? 1 : 0;
    if (this.#writer.length > this.#maxBytes && this.#mayEndBefore(line.text(first)!)) {
      this.#isFull = true;
      return;
    }
    this.#scanned++;
    this.#last = Array.from({ length: key }, (_, i) => line.text(first + i)!);
    if (wanted && line.text(0) !== 't') return;
    this.#starts.push(this.#writer.length);
    line.writeInsert(this.#writer, this.#table.relation.id, first + key);
    this.#ends.push(this.#writer.length);
    if (this.#table.key.length === 0) this.#places.push(this.#last[0]!);
  }

  /** Of a table that is read by its pages a chunk is whole pages. */
  #mayEndBefore(known: string): boolean {
    return this.#table.key.length > 0 || pageOf(known) !== pageOf(this.#last![0]!);
  }

  finish({
    cursor,
    size,
  }: {
    readonly cursor: ChunkCursor | undefined;
    readonly size: number;
  }): Pick<Chunk, 'rows' | 'places' | 'scanned' | 'next'> {
    const rows: ChunkRows = {
      bytes: this.#writer.buffer.subarray(0, this.#writer.length),
      count: this.#starts.length,
      starts: Int32Array.from(this.#starts),
      ends: Int32Array.from(this.#ends),
    };
    return { rows, places: this.#places, scanned: this.#scanned, next: this.#next(cursor, size) };
  }

  #next(cursor: ChunkCursor | undefined, size: number): ChunkCursor | undefined {
    const last = this.#last;
    if (cursor?.by === 'page') {
      const page = this.#isFull ? pageOf(last![0]!) + 1 : cursor.page + size;
      return page >= cursor.pages ? undefined : { ...cursor, page };
    }
    if (cursor?.by === 'rows') {
      const left = cursor.keys.slice(ROWS_AT_ONCE);
      return left.length === 0 ? undefined : { ...cursor, keys: left };
    }
    if (last === undefined || (!this.#isFull && this.#scanned < size)) return undefined;
    return { by: 'key', values: last };
  }
}

/** Of a place as Postgres writes it: `(page,number)`. */
const pageOf = (place: string): number => Number(place.slice(1, place.indexOf(',')));

const tooSlow = (
  { schema, table }: BackfillTable,
  { statementTimeoutMs }: ChunkLimits,
  cause: unknown,
): TailraceError =>
  new TailraceError(`one row of ${schema}.${table} could not be read within ${statementTimeoutMs} ms`, {
    code: 'CHUNK_TIMED_OUT',
    kind: 'retryable',
    cause,
    hint: 'somebody holds a lock on the table, or the server is busy: it is tried again; raise the timeout where that is how it always is',
  });

/** https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT */
const inTheWay = ({ schema, table }: BackfillTable, cause: unknown): TailraceError =>
  new TailraceError(
    `one row of ${schema}.${table} could not be read: the standby that is read from had to replay what conflicts with that`,
    {
      code: 'RECOVERY_CONFLICT',
      kind: 'retryable',
      cause,
      hint: "it is tried again; where this repeats, on the standby: ALTER SYSTEM SET max_standby_streaming_delay = '30s'; SELECT pg_reload_conf();",
    },
  );

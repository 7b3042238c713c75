// Reads a table chunk by chunk, each one short statement, and says of each what has to be known before its rows may be let into the log.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { steadyMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import { readLsn, type Lsn } from '../../core/lsn.ts';
import { sqlStateOf } from '../connection/fault.ts';
import { UNREADABLE } from '../encoding/reading.ts';
import {
  chunkPreparation,
  chunkScript,
  chunkStatement,
  cutStatement,
  isList,
  pagesOf,
  type ChunkCursor,
  type ChunkRange,
  type ChunkRest,
} from './chunk-sql.ts';
import { ChunkInMaking } from './chunk-making.ts';
import { FIRST_CHUNK_SIZE, nextChunkSize, smallerChunkSize, type ChunkAims } from './chunk-size.ts';
import { ChunkTexts, type Copied } from './chunk-texts.ts';
import type { ChunkRows } from './copy-rows.ts';
import { runCopyScript, type ScriptRows } from './copy-script.ts';
import { readFault } from './faults.ts';
import { parseSnapshot, type Snapshot } from './snapshot.ts';
import type { BackfillContext, BackfillTable } from './table.ts';

/** `role`: ours, for the cures. */
export type ReadingContext = BackfillContext & { readonly role: string };

/** Where a chunk is to begin and end; `next`: behind it, undefined where the table ends. */
export type Cut = { readonly range: ChunkRange; readonly next: ChunkCursor | undefined };

export type Chunk = {
  readonly rows: ChunkRows;
  /** Each row's place in the table, where that is all that it is known by. */
  readonly places: readonly string[];
  /** How many rows were looked at: wanted or not. */
  readonly scanned: number;
  /** What was read of what was asked for, and what was not, because it was too much; undefined: all was. */
  readonly range: ChunkRange;
  readonly rest: ChunkRest | undefined;
  /** What its statement could see. */
  readonly snapshot: Snapshot;
  /** Where the WAL ended before it (of a standby: how far it was replayed). */
  readonly walBefore: Lsn;
  /** Where the WAL ended after it (of a standby: how far it was replayed): all that the rows show was committed before. */
  readonly watermark: Lsn;
  /** By the server's clock, in microseconds since 1970. */
  readonly readAtUs: bigint;
};

/** altered: the catalog says something else of the table since it was looked at, also that its rows lie elsewhere. */
export type ChunkOutcome = { readonly kind: 'chunk'; readonly chunk: Chunk } | { readonly kind: 'altered' };

export type ChunkLimits = {
  /** No statement takes longer. */
  readonly statementTimeoutMs: number;
  /** What a chunk should take. */
  readonly targetMs: number;
  readonly maxRows: number;
  /** The same for the next chunk, where it is to be smaller; in pages, where no key tells rows apart. */
  readonly mostNow?: () => number;
  /** Of its rows in memory: what is beyond is left for the next chunk. */
  readonly maxBytes: number;
  /** Of one row, as a message: of one that is larger the key is kept alone. */
  readonly maxRowBytes: number;
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

/** Of one table, over any number of connections at once. */
export class ChunkReader {
  readonly #context: ReadingContext;
  readonly #limits: ChunkLimits;
  readonly #table: BackfillTable;
  readonly #where: string | undefined;
  readonly #texts: ChunkTexts;
  readonly #prepared = new WeakSet<Client>();
  /** Memory of chunks that nobody needs any more. */
  readonly #spare: Buffer[] = [];
  #size: number;

  /** `encoding`: the database's. */
  constructor(
    what: { readonly table: BackfillTable; readonly where?: string | undefined },
    how: { readonly context: ReadingContext; readonly limits: ChunkLimits; readonly encoding: string },
  ) {
    this.#table = what.table;
    this.#where = what.where;
    this.#context = how.context;
    this.#limits = how.limits;
    this.#texts = new ChunkTexts(how.encoding);
    this.#size = Math.min(FIRST_CHUNK_SIZE, how.limits.maxRows);
  }

  /** Where a table without a key begins, and ends: with what it has now. */
  async first(client: Client): Promise<ChunkCursor | undefined> {
    if (this.#table.key.length > 0) return undefined;
    const { rows } = await client.query<{ pages: number }>(pagesOf(this.#table.oid));
    return { by: 'page', page: 0, pages: rows[0]!.pages };
  }

  /**
   * Says what the chunk behind a cursor is to be, before it is read, so that the one behind it can be read at once. Of the rows it looks
   * at the key alone. `chunks`: it may be for so many, which come one after the other. Rejects as `read` does.
   */
  async cut(client: Client, cursor: ChunkCursor | undefined, signal: AbortSignal, chunks = 1): Promise<Cut> {
    if (cursor?.by === 'page') {
      const { page, pages } = cursor;
      const end = Math.min(page + this.#sizeNow, pages);
      return {
        range: { by: 'page', page, end, pages },
        next: end === pages ? undefined : { ...cursor, page: end },
      };
    }
    const after = cursor?.values;
    const upTo = await this.#inTime(client, { where: undefined, chunks, signal }, async (size, copiedIn) => {
      const text = cutStatement(this.#table, { after, size, copiedIn });
      const { rows } = await client.query<string[]>({ text, rowMode: 'array', types: AS_TEXT });
      const [key] = rows;
      if (key === undefined || copiedIn === undefined) return key;
      const texts = key.map((digits) => Buffer.from(digits, 'hex').toString('latin1'));
      return await this.#texts.cursor({ client, copiedIn }, texts);
    });
    return {
      range: { by: 'key', after, upTo },
      next: upTo === undefined ? undefined : { by: 'key', values: upTo },
    };
  }

  /**
   * The rows of a range, from its beginning on. Rejects with TailraceError: the table cannot be read, or the connection broke. What takes
   * too long is tried again, smaller.
   */
  read(client: Client, range: ChunkRange, signal: AbortSignal): Promise<ChunkOutcome> {
    return this.#inTime(client, { where: this.#where, chunks: 1, signal }, async (size, copiedIn) => {
      await this.#prepare(client);
      const beganMs = steadyMs();
      const asked = atMost(range, size);
      const { maxBytes, maxRowBytes } = this.#limits;
      const statement = chunkStatement(
        { table: this.#table, range: asked, size, where: this.#where, maxRowBytes },
        this.#context.serverVersion,
      );
      const chunk = new ChunkInMaking(this.#table, {
        range: asked,
        size,
        maxBytes,
        maxRowBytes,
        leading: statement.leading,
        spare: this.#spare.pop(),
      });
      const script = chunkScript(statement, this.#table, copiedIn);
      const told = await runCopyScript(client, script, (bytes, start, end) => chunk.take(bytes, start, end));
      const cost = { size: chunk.size, elapsedMs: steadyMs() - beganMs, bytes: chunk.bytes };
      if (!isList(range) && cost.size > 0) this.#size = nextChunkSize(this.#size, cost, this.#aims);
      return await this.#judge(told, chunk, range, { client, copiedIn });
    });
  }

  /** Nobody looks at the rows of the chunk again: the next one may take their place. */
  release({ rows }: Chunk): void {
    const spare = Buffer.from(rows.bytes.buffer);
    // One that a huge row has made is not kept.
    if (spare.length <= this.#limits.maxBytes * 2) this.#spare.push(spare);
  }

  async #prepare(client: Client): Promise<void> {
    if (this.#prepared.has(client)) return;
    await client.query(chunkPreparation(this.#table, this.#context));
    this.#prepared.add(client);
  }

  get #sizeNow(): number {
    return Math.min(this.#size, this.#limits.mostNow?.() ?? Infinity);
  }

  get #aims(): ChunkAims {
    const { targetMs, maxBytes, maxRows } = this.#limits;
    return { targetMs, targetBytes: maxBytes * TARGET_SHARE_OF_BYTES, maxSize: maxRows };
  }

  /** `where`: what of the user's is asked. */
  async #inTime<Answer>(
    client: Client,
    {
      where,
      chunks,
      signal,
    }: { readonly where: string | undefined; readonly chunks: number; readonly signal: AbortSignal },
    act: (size: number, copiedIn: string | undefined) => Promise<Answer>,
  ): Promise<Answer> {
    for (;;) {
      signal.throwIfAborted();
      const size = Math.min(this.#size, chunks * this.#sizeNow);
      const { copiedIn } = this.#texts;
      try {
        return await act(size, copiedIn);
      } catch (error) {
        await client.query('rollback').catch(() => undefined);
        const state = sqlStateOf(error) ?? '';
        if (UNREADABLE.includes(state) && this.#texts.takeAsTheyLie(copiedIn)) continue;
        const smaller = smallerChunkSize(size);
        if (state !== TIMED_OUT && state !== RECOVERY_CONFLICT)
          throw readFault(error, { table: this.#table, where, role: this.#context.role });
        if (smaller === undefined)
          throw state === TIMED_OUT
            ? tooSlow(this.#table, this.#limits, error)
            : inTheWay(this.#table, error);
        // Others of the same size may have been too slow at the same moment.
        this.#size = Math.min(this.#size, smaller);
        await sleep(RETRY_MS, undefined, { signal });
      }
    }
  }

  async #judge(
    told: ScriptRows,
    chunk: ChunkInMaking,
    range: ChunkRange,
    copied: Copied,
  ): Promise<ChunkOutcome> {
    const [ahead, before, after] = told as [readonly string[], readonly string[], readonly string[]];
    const [snapshot, readAtUs] = before as readonly [string, string];
    const [watermark, version] = after as readonly [string, string];
    // Never one that was there before: so it was the same in between. Types can be altered while rows are read: then nobody knows which
    // values were written how. Who moves the rows writes that of the table, too.
    if (version !== this.#table.version) return { kind: 'altered' };
    return {
      kind: 'chunk',
      chunk: {
        // Keys that were asked for are in UTF-8.
        rows:
          range.by === 'absent'
            ? chunk.rows.finish()
            : await this.#texts.inUtf8(copied, chunk.rows.finish(), this.#table),
        places: chunk.places,
        scanned: chunk.scanned,
        ...chunk.divided(range, await this.#texts.cursor(copied, chunk.last)),
        snapshot: parseSnapshot(snapshot),
        walBefore: readLsn(ahead[0]!),
        watermark: readLsn(watermark),
        readAtUs: BigInt(readAtUs),
      },
    };
  }
}

/** Every value as the text that it is. */
const AS_TEXT = { getTypeParser: () => String };

/** Pages are taken as so many; rows are bounded in the statement. */
const atMost = (range: ChunkRange, size: number): ChunkRange =>
  range.by === 'page' ? { ...range, end: Math.min(range.end, range.page + size) } : range;

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

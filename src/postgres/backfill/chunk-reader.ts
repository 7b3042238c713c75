// Reads a table chunk by chunk, each one short statement, and says of each what has to be known before its rows may be let into the log.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { MAX_COLUMNS } from '../../core/change.ts';
import { steadyMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import { readLsn, type Lsn } from '../../core/lsn.ts';
import { sqlStateOf } from '../connection/fault.ts';
import { UNREADABLE } from '../encoding/reading.ts';
import { ChunkTexts } from './chunk-texts.ts';
import { ChunkInMaking, type ReadRows, type RowLimits } from './chunk-rows.ts';
import { chunkScript, chunkStatement, pagesOf, type ChunkCursor } from './chunk-sql.ts';
import { nextChunkSize, smallerChunkSize, FIRST_CHUNK_SIZE } from './chunk-size.ts';
import { CopyLine } from './copy-line.ts';
import { runCopyScript, type ScriptRows } from './copy-script.ts';
import { readFault } from './faults.ts';
import { parseSnapshot, type Snapshot } from './snapshot.ts';
import type { BackfillContext, BackfillTable } from './table.ts';

/** `role`: ours, for the cures. */
export type ReadingContext = BackfillContext & { readonly role: string };

export type Chunk = ReadRows & {
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

export type ChunkLimits = RowLimits & {
  /** No statement takes longer. */
  readonly statementTimeoutMs: number;
  /** What a chunk should take. */
  readonly targetMs: number;
  readonly maxRows: number;
};

/** A table that somebody else has locked is tried again after this. */
const RETRY_MS = 200;
/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const TIMED_OUT = '57014';
const TARGET_SHARE_OF_BYTES = 0.5;

/** Sets the connection, which is the reader's alone, to what every chunk needs. */
export async function beginReading(client: Client, { statementTimeoutMs }: ChunkLimits): Promise<void> {
  await client.query(`set statement_timeout = ${Math.ceil(statementTimeoutMs)}`);
}

export class ChunkReader {
  readonly #client: Client;
  readonly #context: ReadingContext;
  readonly #limits: ChunkLimits;
  readonly #table: BackfillTable;
  readonly #where: string | undefined;
  readonly #line = new CopyLine(MAX_COLUMNS * 2);
  readonly #texts: ChunkTexts;
  #size: number;

  /** `encoding`: the database's. */
  constructor(
    client: Client,
    what: { readonly table: BackfillTable; readonly where?: string | undefined },
    how: { readonly context: ReadingContext; readonly limits: ChunkLimits; readonly encoding: string },
  ) {
    this.#client = client;
    this.#table = what.table;
    this.#where = what.where;
    this.#context = how.context;
    this.#limits = how.limits;
    this.#texts = new ChunkTexts(client, how.encoding);
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
      const { maxRowBytes } = this.#limits;
      const chunk = new ChunkInMaking(this.#table, this.#line, { maxBytes, maxRowBytes });
      const statement = chunkStatement(
        { table: this.#table, cursor, size, where: this.#where, maxRowBytes },
        this.#context.serverVersion,
      );
      chunk.leading = statement.leading;
      const { publication } = this.#context;
      const script = chunkScript(statement, this.#table, { publication, copiedIn: this.#texts.copiedIn });
      let told: ScriptRows;
      try {
        told = await runCopyScript(this.#client, script, (line) => chunk.take(line));
      } catch (error) {
        await this.#client.query('rollback').catch(() => undefined);
        const state = sqlStateOf(error) ?? '';
        if (UNREADABLE.includes(state) && (await this.#texts.takeAsTheyLie())) continue;
        const smaller = smallerChunkSize(size);
        if (state !== TIMED_OUT)
          throw readFault(error, { table: this.#table, where: this.#where, role: this.#context.role });
        if (smaller === undefined) throw tooSlow(this.#table, this.#limits, error);
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
      return await this.#judge(told, chunk, { cursor, size });
    }
  }

  async #judge(
    told: ScriptRows,
    chunk: ChunkInMaking,
    asked: { readonly cursor: ChunkCursor | undefined; readonly size: number },
  ): Promise<ChunkOutcome> {
    const [ahead, before, after] = told as [readonly string[], readonly string[], readonly string[]];
    const [snapshot, version, fileNode, readAtUs] = before as readonly [string, string, string, string];
    const [watermark, versionAfter] = after as readonly [string, string];
    // Types of its columns can be altered while it is read: then nobody knows which values were written how.
    if (version !== this.#table.version || versionAfter !== version) return { kind: 'altered' };
    const isPlaced = this.#table.key.length === 0;
    if (isPlaced && fileNode !== String(this.#table.fileNode)) return { kind: 'rewritten' };
    const { rows, next, ...made } = chunk.finish(asked);
    return {
      kind: 'chunk',
      chunk: {
        ...made,
        rows: await this.#texts.inUtf8(rows, this.#table),
        next: next?.by === 'key' ? { ...next, values: await this.#texts.cursor(next.values) } : next,
        snapshot: parseSnapshot(snapshot),
        walBefore: readLsn(ahead[0]!),
        watermark: readLsn(watermark),
        readAtUs: BigInt(readAtUs),
      },
    };
  }
}

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

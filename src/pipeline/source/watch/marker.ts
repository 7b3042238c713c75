// Proof that the whole loop works: a message of ours in the WAL, decoded, and flushed. Only when the WAL has moved since the last
// proof: on an idle cluster it would keep `archive_timeout` busy. When to write one, and what comes of it; pure but for `emitMarker`.
import type { Client } from 'pg';
import { readLsn, type Lsn } from '../../../core/lsn.ts';
import { SENDS_MESSAGES } from '../../../postgres/versions.ts';

/** Of messages that no sink is told of, and that are not logged. */
export const PROOF_PREFIX = 'tailrace:proof';

/** What a marker and its commit write by themselves, and what an idle server adds to that: less than this has not moved. */
const MOVED_BYTES = 64 * 1024;

/** Of a proof, how often one is made, as a part of the time that a stall may take. */
const PROOFS_PER_LIMIT = 3;

export type MarkerFacts = {
  readonly nowMs: number;
  readonly limitMs: number;
  readonly walEnd: Lsn;
  readonly flushed: Lsn;
};

/** Invariant: at most one marker is out. */
export class MarkerLoop {
  readonly #token: string;
  /** The WAL's end when the last proof was complete. */
  #provedEnd: Lsn;
  #lastMs: number | undefined;
  #count = 0;
  #out:
    { readonly content: string; readonly sinceMs: number; at: Lsn | undefined; decoded: boolean } | undefined;
  #isRefused = false;

  /** `token`: of this connection alone. Up to `from` nothing needs a proof. */
  constructor(token: string, from: Lsn) {
    this.#token = token;
    this.#provedEnd = from;
  }

  /** The content of a marker that is to be written now; undefined: none is. */
  due({ nowMs, limitMs, walEnd, flushed }: MarkerFacts): string | undefined {
    const out = this.#out;
    if (this.#isRefused) return undefined;
    if (out?.decoded === true && out.at !== undefined && flushed >= out.at) {
      this.#provedEnd = walEnd;
      this.#out = undefined;
    }
    if (this.#out !== undefined || walEnd < this.#provedEnd) return undefined;
    const isEarly = this.#lastMs !== undefined && nowMs - this.#lastMs < limitMs / PROOFS_PER_LIMIT;
    if (isEarly || walEnd - this.#provedEnd < BigInt(MOVED_BYTES)) return undefined;
    return `${this.#token}:${this.#count + 1}`;
  }

  /** It is being written: it may come before the server has said where it stands. */
  emits(content: string, nowMs: number): void {
    this.#count++;
    this.#lastMs = nowMs;
    this.#out = { content, at: undefined, sinceMs: nowMs, decoded: false };
  }

  /** It is in the WAL, and ends there. */
  emitted(at: Lsn): void {
    if (this.#out !== undefined) this.#out.at = at;
  }

  /** The server takes none (it is read-only, say): the keepalives have to do. */
  refused(): void {
    this.#out = undefined;
    this.#isRefused = true;
  }

  /** A marker has come: ours, or another's. */
  came(content: string): void {
    if (this.#out?.content === content) this.#out.decoded = true;
  }

  /** How long the marker that is out has not come; undefined: none is out, or it has. */
  missingForMs(nowMs: number): number | undefined {
    return this.#out === undefined || this.#out.decoded ? undefined : nowMs - this.#out.sinceMs;
  }
}

/** May we write one? Not before 14, which streams no messages, nor on a standby, nor where EXECUTE was revoked. */
export async function mayEmit(client: Client, serverVersion: number): Promise<boolean> {
  if (serverVersion < SENDS_MESSAGES) return false;
  const { rows } = await client.query<{ allowed: boolean }>(
    `select not pg_is_in_recovery() and coalesce(bool_or(has_function_privilege(oid, 'execute')), false) as allowed
     from pg_proc where proname = 'pg_logical_emit_message' and pronamespace = 'pg_catalog'::regnamespace`,
  );
  return rows[0]?.allowed === true;
}

/** Where it ends. Not part of a transaction: it comes at once, whatever others have open. */
export async function emitMarker(client: Client, content: string): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>(
    'select pg_logical_emit_message(false, $1, $2::text)::text as lsn',
    [PROOF_PREFIX, content],
  );
  return readLsn(rows[0]!.lsn);
}

const PREFIX = Buffer.from(`${PROOF_PREFIX}\0`);
/** Type, flags, LSN. https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html */
const PREFIX_AT = 10;
const CONTENT_AT = PREFIX_AT + PREFIX.length + 4;

/** What a logical message `bytes[start, end)` says, if it is such a marker. */
export const readMarker = (bytes: Buffer, start: number, end: number): string | undefined =>
  end >= start + CONTENT_AT &&
  bytes.compare(PREFIX, 0, PREFIX.length, start + PREFIX_AT, start + PREFIX_AT + PREFIX.length) === 0
    ? bytes.toString('latin1', start + CONTENT_AT, end)
    : undefined;

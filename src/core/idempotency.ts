// Names that stay the same for ever: idempotency keys of changes, ids of databases and sinks.
import { createHash } from 'node:crypto';
import type { ByteWriter } from './byte-writer.ts';
import type { Part, TransactionContext } from './change.ts';

const HASH_CHARACTERS = 10;

/** Each text goes in with its length, so that different lists do not run together. */
function digest(texts: readonly string[]): Buffer {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${Buffer.byteLength(text)}:`).update(text);
  return hash.digest();
}

/** A short hash of texts; different lists of texts do not run together. */
export function shortHash(...texts: readonly string[]): string {
  return digest(texts).toString('base64url').slice(0, HASH_CHARACTERS);
}

/** As long as two of millions of rows should not have the same: 128 bits. */
const stableHash = (...texts: readonly string[]): string =>
  digest(texts).subarray(0, 16).toString('base64url');

/** What is common to the idempotency keys of one stream: the database's configured name and the cluster. */
export const streamKey = (stream: { databaseName: string; systemIdentifier: string }): string =>
  shortHash(stream.databaseName, stream.systemIdentifier);

/**
 * The part of the key that all changes of a transaction share: stream, commit time and commit LSN. With the time, because a clone
 * or a server that went back to an earlier state gives the same LSN (and transaction id) to other changes; without the timeline,
 * so that a change that comes again after a promotion has the key that it had. `salt`: its changes are numbered otherwise than
 * when parts of it were delivered.
 */
export const transactionKey = (
  stream: string,
  { commitTimeUs, commitLsn }: Pick<TransactionContext, 'commitTimeUs' | 'commitLsn'>,
  salt: string | undefined,
): string => {
  const key = `${stream}-${commitTimeUs.toString(36)}-${commitLsn.toString(16)}`;
  return salt === undefined ? key : `${key}-${salt}`;
};

/** At most 64 characters of `[A-Za-z0-9_-]`. */
export const idempotencyKey = (transaction: string, index: number): string => `${transaction}-${index}`;

/** Appends the same key. */
export function writeIdempotencyKey(transaction: string, index: number, writer: ByteWriter): void {
  writer.latin1(transaction);
  writer.byte(HYPHEN);
  writer.integer(index);
}
const HYPHEN = 0x2d;

/** Of a change that is several messages each has a key of its own. */
export const partKey = (key: string, part: Part): string => `${key}-${PART_SUFFIX[part]}`;

const PART_SUFFIX: Readonly<Record<Part, string>> = { delete: 'd', insert: 'i', schema: 's', begin: 'b' };

/** What the keys of rows that one backfill has read have in common. */
export const backfillKey = (stream: string, backfill: string): string => `${stream}-b-${shortHash(backfill)}`;

/** Of a row that a backfill has read: the same whenever it is read again. `row`: what it is known by in its table. */
export const readKey = (
  table: { readonly schema: string; readonly table: string },
  row: readonly string[],
): string => stableHash(table.schema, table.table, ...row);

const GONE = '-gone';

/** Of a row that a backfill has not found where somebody thought it to be. `row`: as `readKey` has it. */
export const goneKey = (row: string): string => `${row}${GONE}`;

/** Is a key, of a message with this action, made of what a backfill has read? It says nothing of the place in the log then. */
export const isOfBackfill = (key: string, action: string): boolean => action === 'read' || key.endsWith(GONE);

/** A UUID made from texts (version 8: the hash is ours). https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-8 */
export function stableUuid(...texts: readonly string[]): string {
  const bytes = digest(texts).subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

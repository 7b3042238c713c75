// How the row events of a transaction are numbered: which messages count, and how often. The one rule for all who number
// them (source, log, sinks, `tail`): if two numbered differently, a change would be taken for one that is settled.
import { FRAME } from './frames.ts';

/** How many row events a message of a kind is: a TRUNCATE is one for each table that it names. */
type Rows = 'none' | 'one' | 'one a table';

/** Numbers begin at 0 in each transaction, and behind each: rows of backfills are numbered there. Else what stands outside of one has none. */
const ROWS: Readonly<Record<keyof typeof FRAME, Rows>> = {
  insert: 'one',
  update: 'one',
  delete: 'one',
  truncate: 'one a table',
  // A row too large to be kept whole counts once, with the frame that tells of it: its pieces do not.
  oversize: 'one',
  // Rows of backfills stand between transactions, and are numbered there.
  read: 'one',
  reads: 'none',
  piece: 'none',
  begin: 'none',
  commit: 'none',
  // What describes rows or says something of them (markers) is no row.
  relation: 'none',
  enrichment: 'none',
  type: 'none',
  origin: 'none',
  logicalMessage: 'none',
};

/** Number of first bytes that a message can have. */
const KINDS = 256;
const NONE = 0;
const ONE = 1;
const ONE_A_TABLE = 2;
const CODES: Readonly<Record<Rows, number>> = { none: NONE, one: ONE, 'one a table': ONE_A_TABLE };

/** `ROWS` by first byte, for the hot paths. A byte that begins no message counts nothing: who reads it will say so. */
const CODE_OF_KIND = new Uint8Array(KINDS);
for (const [name, rows] of Object.entries(ROWS))
  CODE_OF_KIND[FRAME[name as keyof typeof FRAME]] = CODES[rows];

/**
 * The row events in the message (of the stream) or frame (of the log) whose first byte is `bytes[start]`: the numbers
 * that it takes. Of a message too large to be read whole its first bytes are enough.
 */
export function rowEventsIn(bytes: Buffer, start: number): number {
  const code = CODE_OF_KIND[bytes[start]!]!;
  return code === ONE_A_TABLE ? tablesOfTruncate(bytes, start) : code;
}

/** Is a message of this kind one row? Of what is too large to be read whole nothing else is kept, and nothing else counts. */
export const isRow = (kind: number): boolean => CODE_OF_KIND[kind] === ONE && kind !== FRAME.oversize;

/** A Truncate message names so many tables. */
const tablesOfTruncate = (bytes: Buffer, start: number): number => bytes.readUInt32BE(start + 1);

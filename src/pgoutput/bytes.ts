// Bytes and numbers of the pgoutput protocol: the decoder and the log both tell messages apart by their first byte.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html

/** Postgres counts microseconds from 2000-01-01, we from 1970-01-01. */
export const POSTGRES_EPOCH_US = 946_684_800_000_000n;

export const PGOUTPUT = {
  begin: 0x42, // B
  commit: 0x43, // C
  origin: 0x4f, // O
  relation: 0x52, // R
  type: 0x59, // Y
  insert: 0x49, // I
  update: 0x55, // U
  delete: 0x44, // D
  truncate: 0x54, // T
  logicalMessage: 0x4d, // M
} as const;

/** Around the parts of transactions that are sent while they are in progress (protocol 2). Within a part, each message has its xid behind its type. */
export const STREAMED = {
  start: 0x53, // S
  stop: 0x45, // E
  commit: 0x63, // c
  abort: 0x41, // A
} as const;

/** The first byte of each column of a row. `damaged` is ours: as `text`, where U+FFFD stands for bytes that were none. */
export const COLUMN = {
  null: 0x6e, // n
  unchanged: 0x75, // u
  text: 0x74, // t
  damaged: 0x64, // d
} as const;

/** The first byte of each row of a message. */
export const TUPLE = {
  new: 0x4e, // N
  key: 0x4b, // K
  old: 0x4f, // O
} as const;

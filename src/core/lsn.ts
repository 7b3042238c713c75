// Positions in the write-ahead log: a 64-bit byte address, written by Postgres as two hexadecimal halves.
// https://www.postgresql.org/docs/current/datatype-pg-lsn.html

/** A byte address in the write-ahead log. Compare as numbers: text order is wrong order (`9/0` > `10/0`). */
export type Lsn = bigint & { readonly __lsn: never };

export const ZERO_LSN = 0n as Lsn;

const LSN_TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** Brands a 64-bit number that came from the wire or from a file. */
export const toLsn = (value: bigint): Lsn => value as Lsn;

/** Reads Postgres' text form (`16/B374D848`); undefined when the text is not an LSN. */
export function parseLsn(text: string): Lsn | undefined {
  const match = LSN_TEXT.exec(text);
  if (match === null) return undefined;
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn;
}

/** The same of a text that Postgres or we ourselves have written: what is none after all counts as 0/0. */
export const readLsn = (text: string): Lsn => parseLsn(text) ?? ZERO_LSN;

/** Writes an LSN as Postgres prints it: upper-case hexadecimal without leading zeros. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}

export const maxLsn = (a: Lsn, b: Lsn): Lsn => (a > b ? a : b);
export const minLsn = (a: Lsn, b: Lsn): Lsn => (a < b ? a : b);

// Rendering one column: Postgres text in, JSON bytes out.
import type { ByteWriter } from './byte-writer.ts';

/** Appends the JSON of the value whose Postgres text is `bytes[start, start + length)`. Never called for NULL. */
export type ValueRenderer = (bytes: Buffer, start: number, length: number, writer: ByteWriter) => void;

export type ValueOptions = {
  /** numeric → `string` (exact text), `number` (exact digits as a JSON number), `float` (a double; NaN, ±Infinity → null). */
  readonly numeric: 'string' | 'number' | 'float';
  readonly json: 'embed' | 'string';
  readonly bytea: 'hex' | 'base64';
};

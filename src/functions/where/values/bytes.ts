// bytea: two hexadecimal digits a byte, so that the order of texts is that of bytes. Pure.
// https://www.postgresql.org/docs/current/datatype-binary.html
import { EvaluationError, malformedText } from './failure.ts';

const ESCAPED = /\\(?:\\|[0-3][0-7]{2})/g;

/** Of Postgres' hex form, or of its escape form. */
export function parseBytes(text: string): string {
  if (text.startsWith('\\x')) {
    const digits = text.slice(2).toLowerCase();
    if (/^(?:[ \n\t\r]*[0-9a-f]{2})*[ \n\t\r]*$/.test(digits)) return digits.replace(/[ \n\t\r]/g, '');
    throw new EvaluationError('22023');
  }
  if (text.replace(ESCAPED, '').includes('\\')) throw malformedText();
  const parts = text.split(/(\\(?:\\|[0-3][0-7]{2}))/);
  return parts.map((part, i) => (i % 2 === 0 ? hexOf(Buffer.from(part)) : byteOf(part))).join('');
}

const byteOf = (escaped: string): string =>
  escaped === '\\\\' ? '5c' : hexOf(Buffer.from([Number.parseInt(escaped.slice(1), 8)]));

const hexOf = (bytes: Buffer): string => bytes.toString('hex');

export const formatBytes = (hex: string): string => `\\x${hex}`;

export const byteCount = (hex: string): number => hex.length / 2;

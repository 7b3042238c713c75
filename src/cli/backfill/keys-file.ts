// The keys of rows, from a file: one a line, as its value or as a JSON array of its values.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { MAX_BACKFILL_KEYS } from '../../core/backfill.ts';
import { usageError } from '../ports.ts';

/** Throws USAGE. */
export async function readKeysFile(file: string, cwd: string): Promise<readonly (readonly string[])[]> {
  const text = await readFile(resolve(cwd, file), 'utf8').catch((error: unknown) => {
    throw usageError(`${file} cannot be read: ${(error as Error).message}`, 'give the file with the keys');
  });
  return parseKeys(text, file);
}

/** Throws USAGE, with file and line. */
export function parseKeys(text: string, file: string): readonly (readonly string[])[] {
  const keys = text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .flatMap((line, at) => (line === '' ? [] : [parseKey(line, `${file}:${at + 1}`)]));
  if (keys.length === 0) throw usageError(`${file} has no keys`, EXPECTED);
  if (keys.length <= MAX_BACKFILL_KEYS) return keys;
  throw usageError(
    `${file} has ${keys.length} keys, more than ${MAX_BACKFILL_KEYS}`,
    'split it into several backfills, or choose the rows with --where',
  );
}

const EXPECTED = 'a line is a key: its value as it stands, or a JSON array of the values of its columns';

/** Of one row. Throws USAGE, with `place`. */
export function parseKey(line: string, place: string): readonly string[] {
  if (!line.startsWith('[')) return [line];
  let values: unknown;
  try {
    values = JSON.parse(line);
  } catch {
    throw usageError(`${place}: this begins as a JSON array does, and is none`, EXPECTED);
  }
  return (values as unknown[]).map((value) => textOf(value, place));
}

function textOf(value: unknown, place: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (typeof value !== 'number') throw usageError(`${place}: a key has texts and numbers only`, EXPECTED);
  // What JavaScript writes otherwise than it was read would be another key.
  if (Number.isSafeInteger(value)) return String(value);
  throw usageError(
    `${place}: ${value} may not be the number that stands there`,
    'write numbers with a fraction, or with many digits, in quotes',
  );
}

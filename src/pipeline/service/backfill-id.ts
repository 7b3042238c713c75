// The id of a backfill: short enough to be typed, and unlike any other, also of one in a data directory that was lost.
import { randomInt } from 'node:crypto';

/** Without those that are taken for one another. */
const LETTERS = '23456789abcdefghjkmnpqrstuvwxyz';
const LENGTH = 10;

export const newBackfillId = (): string =>
  Array.from({ length: LENGTH }, () => LETTERS[randomInt(LETTERS.length)]).join('');

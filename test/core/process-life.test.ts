import { describe, expect, test } from 'vitest';
import {
  judgeHolder,
  parseWalsenderName,
  walsenderName,
  type Walsender,
} from '../../src/core/process-life.ts';

const own: Walsender = { instance: '0123456789ab', life: 7, nonce: 'beef', connection: 3 };
const nameOf = (changes: Partial<Walsender>): string => walsenderName({ ...own, ...changes }, 'shop');

describe('the name of a walsender', () => {
  test('says whose it is, whatever the database is called, in 63 characters of ASCII', () => {
    for (const database of ['shop', 'x'.repeat(100), 'süß:a.b.c', '']) {
      const name = walsenderName(own, database);
      expect(name).toMatch(/^[ -~]{1,63}$/);
      expect(parseWalsenderName(name)).toEqual(own);
    }
    expect(nameOf({})).toBe('tailrace#0123456789ab.7.beef.3:shop');
  });

  test('is not read out of another', () => {
    for (const name of ['tailrace:shop', 'tailrace#', 'tailrace#a.1.b', 'psql', '', 'tailrace#A.1.b.2:x']) {
      expect(parseWalsenderName(name)).toBeUndefined();
    }
  });
});

describe('who holds the slot', () => {
  test.each([
    ['an earlier process on our directory', { life: 6, connection: 99, nonce: 'cafe' }, 'stale'],
    ['an earlier connection of ours', { connection: 2 }, 'stale'],
    ['a process that had the directory after us', { life: 8, connection: 1, nonce: 'cafe' }, 'newer'],
    ['a copy that counts as we do', { nonce: 'cafe', connection: 1 }, 'foreign'],
    ['this connection itself', {}, 'foreign'],
    ['another directory', { instance: 'ffffffffffff', life: 1 }, 'foreign'],
  ] as const)('%s', (_, changes, holder) => {
    expect(judgeHolder(nameOf(changes), own)).toBe(holder);
  });

  test('is nobody of ours under any other name', () => {
    expect(judgeHolder('tailrace:shop', own)).toBe('foreign');
    expect(judgeHolder('', own)).toBe('foreign');
  });
});

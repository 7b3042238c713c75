import { describe, expect, test } from 'vitest';
import { MAX_BACKFILL_KEYS } from '../../../src/core/backfill.ts';
import { describeError } from '../../../src/core/errors.ts';
import { parseKeys, readKeysFile } from '../../../src/cli/backfill/keys-file.ts';

const parse = (text: string) => parseKeys(text, 'keys.txt');

test('a line is a value as it stands, or an array of the values of its columns', () => {
  expect(parse('7\n a b \r\n\n["eu",17]\n["[odd]"]\n[true, ""]')).toEqual([
    ['7'],
    [' a b '],
    ['eu', '17'],
    ['[odd]'],
    ['true', ''],
  ]);
  expect(parse('\uFEFF9007199254740993')).toEqual([['9007199254740993']]);
});

function saidOf(text: string): string {
  try {
    return String(parse(text));
  } catch (error) {
    return describeError(error);
  }
}

describe('refused with file and line', () => {
  test.each([
    ['', 'keys.txt has no keys'],
    ['\n\n', 'keys.txt has no keys'],
    ['1\n[1', 'keys.txt:2: this begins as a JSON array does'],
    ['[null]', 'keys.txt:1: a key has texts and numbers only'],
    ['[[1]]', 'keys.txt:1: a key has texts and numbers only'],
    ['[9007199254740993]', 'may not be the number that stands there'],
    ['[0.1]', 'write numbers with a fraction'],
  ])('%j', (text, message) => {
    const refused = expect.objectContaining({ code: 'USAGE' }) as Error;
    expect(() => parse(text)).toThrow(refused);
    expect(saidOf(text)).toContain(message);
  });

  test('more keys than one backfill may have', () => {
    const text = '1\n'.repeat(MAX_BACKFILL_KEYS + 1);
    expect(() => parse(text)).toThrow(`more than ${MAX_BACKFILL_KEYS}`);
  });

  test('a file that is not there', async () => {
    await expect(readKeysFile('none.txt', '/nowhere')).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('none.txt cannot be read') as string,
    });
  });
});

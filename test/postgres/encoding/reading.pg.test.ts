// Texts in every encoding that a Postgres database may have, read as Postgres reads them.
import * as fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { askServer, readAsUtf8, type TextReading } from '../../../src/postgres/encoding/reading.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
let client: Client;
beforeAll(async () => {
  database = await createTestDatabase();
  client = database.client;
  await client.query(`
    create function try_from(bytes bytea, encoding name) returns text language plpgsql as
      $$ begin return convert_from(bytes, encoding); exception when others then return null; end $$;
    create function try_to(value text, encoding name) returns bytea language plpgsql as
      $$ begin return convert_to(value, encoding); exception when others then return null; end $$`);
});
afterAll(() => database.drop());

async function read(reading: TextReading, texts: readonly Buffer[]): Promise<readonly (string | null)[]> {
  await reading.learn(texts);
  return texts.map((text) => {
    const { utf8, isDamaged } = reading.read(text, 0, text.length);
    return isDamaged ? null : utf8.toString();
  });
}

const SINGLE = [
  'LATIN1',
  'LATIN2',
  'LATIN5',
  'LATIN9',
  'WIN874',
  'WIN1250',
  'WIN1251',
  'WIN1252',
  'WIN1253',
  'WIN1255',
  'WIN1256',
  'WIN1258',
  'KOI8R',
  'KOI8U',
  'ISO_8859_5',
  'ISO_8859_8',
  'WIN866',
] as const;

test.each(SINGLE)('%s: each byte is what the server says, alone and among others', async (encoding) => {
  const { rows } = await client.query<{ text: string | null }>(
    `select try_from(set_byte('\\x00', 0, b), $1) as text from generate_series(128, 255) b order by b`,
    [encoding],
  );
  const reading = await askServer(client, encoding);
  const known = rows.map(({ text }) => text);
  const bytes = known.map((_, i) => Buffer.from([128 + i]));
  expect(await read(reading, bytes)).toEqual(known);
  const all = Buffer.concat([Buffer.from('a'), ...bytes, Buffer.from('z')]);
  expect(reading.read(all, 0, all.length)).toEqual({
    utf8: Buffer.from(`a${known.map((text) => text ?? '\ufffd').join('')}z`),
    isDamaged: known.includes(null),
  });
});

describe.each(['EUC_JP', 'EUC_CN', 'EUC_KR', 'EUC_TW', 'EUC_JIS_2004'])('%s', (encoding) => {
  /** Characters that it has, with their bytes, from which the server makes them again. */
  let characters: { text: string; bytes: Buffer }[];
  let reading: TextReading;
  beforeAll(async () => {
    const { rows } = await client.query<{ text: string; bytes: Buffer }>(
      `select text, bytes from (select chr(code) as text, try_to(chr(code), $1) as bytes
         from generate_series(32, 60000, 7) code where code not between 55296 and 57343) c
       where try_from(bytes || '\\x20', $1) = text || ' '`,
      [encoding],
    );
    characters = rows;
    reading = await askServer(client, encoding);
  });
  const texts = () =>
    fc.array(fc.array(fc.integer({ min: 0, max: characters.length - 1 }), { minLength: 1, maxLength: 12 }), {
      minLength: 1,
      maxLength: 8,
    });

  test('texts come out as they went in', async () => {
    expect(characters.length).toBeGreaterThan(500);
    await fc.assert(
      fc.asyncProperty(texts(), async (batch) => {
        const written = batch.map((text) => text.map((i) => characters[i]!));
        const bytes = written.map((text) => Buffer.concat(text.map((one) => one.bytes)));
        expect(await read(reading, bytes)).toEqual(
          written.map((text) => text.map((one) => one.text).join('')),
        );
      }),
      { numRuns: 40 },
    );
  });

  test('of a damaged text only the damage is replaced, wherever it stands, and its neighbours are whole', async () => {
    // No character begins with FF; behind it, ASCII stays ASCII.
    const damage = Buffer.from([0xff]);
    await fc.assert(
      fc.asyncProperty(texts(), fc.nat(), async (batch, where) => {
        const written = batch.map((text) => text.map((i) => characters[i]!));
        const bytes = written.map((text) => Buffer.concat(text.map((one) => one.bytes)));
        const victim = written[0]!;
        const at = where % (victim.length + 1);
        const before = victim.slice(0, at);
        const after = [{ text: '!', bytes: Buffer.from('!') }, ...victim.slice(at)];
        const joined = (part: typeof victim): Buffer => Buffer.concat(part.map((one) => one.bytes));
        bytes[0] = Buffer.concat([joined(before), damage, joined(after)]);
        await reading.learn(bytes);
        const [first, ...others] = bytes.map((text) => reading.read(text, 0, text.length));
        expect(first).toEqual({
          utf8: Buffer.from(
            [...before.map((one) => one.text), '\ufffd', ...after.map((one) => one.text)].join(''),
          ),
          isDamaged: true,
        });
        expect(others.every(({ isDamaged }) => !isDamaged)).toBe(true);
      }),
      { numRuns: 25 },
    );
  });
});

test('a text that is damaged all over costs a bounded number of questions', async () => {
  let questions = 0;
  const counting = new Proxy(client, {
    get: (target, name) =>
      name === 'query'
        ? (...args: Parameters<Client['query']>) => (questions++, target.query(...args))
        : Reflect.get(target, name),
  });
  const reading = await askServer(counting, 'EUC_JP');
  const text = Buffer.alloc(20_000, 0xff);
  await reading.learn([text]);
  expect(questions).toBeLessThan(300);
  expect(reading.read(text, 0, text.length)).toEqual({
    utf8: Buffer.from('\ufffd'.repeat(10_000)),
    isDamaged: true,
  });
});

test('SQL_ASCII is read as UTF-8, byte order marks and all', () => {
  const whole = Buffer.from('\ufeffa€😀');
  expect(readAsUtf8.read(whole, 0, whole.length)).toEqual({ utf8: whole, isDamaged: false });
  const latin = Buffer.from('café', 'latin1');
  expect(readAsUtf8.read(latin, 0, latin.length)).toEqual({
    utf8: Buffer.from('caf\ufffd'),
    isDamaged: true,
  });
});

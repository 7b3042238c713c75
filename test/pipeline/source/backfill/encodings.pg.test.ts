// Backfills in databases that are not UTF8: rows as the stream would bring them, whatever bytes they and their keys have.
import { describe, expect, test } from 'vitest';
import { ask, backfillRoom, completed, NOTES, progressOf } from '../../../support/backfilled.ts';
import { waitFor } from '../../../support/wait.ts';

/** Bytes as SQL, and what they read as. */
const ENCODINGS = [
  { encoding: 'LATIN1', good: ['\\xe9', 'é'], damaged: undefined },
  { encoding: 'SQL_ASCII', good: ['\\xc3\\xa9', 'é'], damaged: ['\\xe9\\xe2\\x82', '\ufffd\ufffd'] },
  { encoding: 'WIN1252', good: ['\\x80', '€'], damaged: ['\\x81', '\ufffd'] },
  { encoding: 'EUC_JP', good: ['\\xc6\\xfc', '日'], damaged: ['\\xa9\\xa1', '\ufffd'] },
] as const;

const ROWS = 250;

describe.each(ENCODINGS)('a database in $encoding', ({ encoding, good, damaged = good }) => {
  const room = backfillRoom({ encoding });

  test('is read whole, in chunks that end at any key, with its damaged texts as the stream brings them', async () => {
    await room.client.query(
      `create table notes (id text primary key, v int, note text, letter "char" default 'x');
       insert into notes select case when i % 2 = 0 then E'${damaged[0]}' else E'${good[0]}' end || i, 0,
         case when i % 7 = 0 then E'${damaged[0]} ' else '' end || E'${good[0]}\\t' || i from generate_series(1, ${ROWS}) i`,
    );
    const source = await room.start();
    const id = ask(source, { limits: { queryTimeoutMs: 5000, maxRowsPerSecond: 400 } });
    const backfill = await completed(source, id);
    expect(progressOf(backfill)).toMatchObject({ scanned: ROWS, appended: ROWS, restarts: 0 });
    const { rows } = await source.read();
    const expected = Array.from({ length: ROWS }, (_, at) => {
      const i = at + 1;
      const key = `${i % 2 === 0 ? damaged[1] : good[1]}${i}`;
      return [key, '0', `${i % 7 === 0 ? `${damaged[1]} ` : ''}${good[1]}\t${i}`, 'x'].join();
    });
    expect(rows.map(({ values }) => values.join()).toSorted()).toEqual(expected.toSorted());
    const keys = [3, 17, 999].map((i) => [`${good[1]}${i}`]);
    await completed(source, ask(source, { tables: [{ ...NOTES, keys }] }));
    const gone = [17, 999].map((i) => [`${good[1]}${i}`]);
    await completed(source, ask(source, { tables: [{ ...NOTES, keys: [], gone }] }));
    const asked = (await source.read()).rows.slice(ROWS);
    expect(asked.map(({ action, values: [key] }) => [action, key])).toEqual([
      ['read', `${good[1]}17`],
      ['read', `${good[1]}3`],
      ['gone', `${good[1]}999`],
    ]);
    // The stream says the same of them, and which columns are damaged.
    await room.client.query(`update notes set v = 1`);
    await waitFor(
      async () => (await source.read()).rows.length === 2 * ROWS + asked.length,
      'the stream to bring every row',
    );
    const all = (await source.read()).rows.filter((_, i) => i < ROWS || i >= ROWS + asked.length);
    const told = (action: string) =>
      all
        .filter((row) => row.action === action)
        .map(({ values: [key, , note], damaged: columns }) => [key, note, columns].join());
    expect(told('read').toSorted()).toEqual(told('update').toSorted());
  });
});

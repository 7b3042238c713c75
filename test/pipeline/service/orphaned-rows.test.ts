// What is read again after a parting: by keys where the log tells which, else whole tables, and beside what a gap asks for.
import { expect, test } from 'vitest';
import type { BackfillTableRequest } from '../../../src/core/backfill.ts';
import { TailraceError } from '../../../src/core/errors.ts';
import { toLsn } from '../../../src/core/lsn.ts';
import type { BackfillStart } from '../../../src/pipeline/service/backfills.ts';
import { lossy, withOrphans } from '../../../src/pipeline/service/orphaned-rows.ts';
import { findLostKeys, type LostKeys } from '../../../src/pipeline/sink/rows/lost-keys.ts';
import { patient } from '../../support/messages.ts';
import {
  deleteMessage,
  insertMessage,
  truncateMessage,
  updateMessage,
} from '../../support/pgoutput-messages.ts';
import { openSinkRoom, TABLE } from '../../support/sink-room.ts';

const USERS = { schema: 'public', table: 'users' };
const WHOSE = { database: 'shop', sinks: 'all' } as const;
const KEY = [
  { name: 'region', type: 'text' },
  { name: 'id', type: 'int4' },
];

/** A server on which every table has this key, but where something is refused. */
const server = (refusal: (table: BackfillTableRequest) => string | undefined = () => undefined) => ({
  check: async ({ tables = [USERS] }: BackfillStart) => {
    const code = refusal(tables[0]!);
    if (code !== undefined) throw new TailraceError(code, { code, kind: 'fatal' });
    return {
      sinks: ['a'],
      tables,
      estimates: tables.map(() => undefined),
      keys: tables.map(() => KEY),
      notes: [],
    };
  },
});
const lost = (keys: LostKeys['tables'][number]['keys'], key = ['id', 'region']): LostKeys => ({
  isRetained: true,
  tables: [{ ...USERS, key, keys }],
});

test('keys of the lost history are read, and looked for, in the order of the table’s key', async () => {
  const found = await withOrphans(lost([['1', 'eu']]), [], WHOSE, server());
  expect(found).toEqual({
    keys: 1,
    tables: [{ ...USERS, keys: [['eu', '1']], gone: [['eu', '1']] }],
    notes: [],
  });
});

test('beside the rows that a gap asks for they are named in its condition; keys that somebody gave are looked for as well', async () => {
  const own = {
    ...USERS,
    where: 'r.xmin > 7',
    gone: [
      ['us', '9'],
      ['eu', '1'],
    ],
  };
  const { tables } = await withOrphans(
    lost([
      ['1', 'eu'],
      ['2', 'eu'],
    ]),
    [own],
    WHOSE,
    server(),
  );
  expect(tables).toEqual([
    {
      ...USERS,
      where: `(r.xmin > 7\n) or exists (select from (values ('eu'::text, '1'::int4), ('eu'::text, '2'::int4)) tailrace_keys (tailrace_k0, tailrace_k1) where r."region" = tailrace_k0 and r."id" = tailrace_k1)`,
      gone: [
        ['us', '9'],
        ['eu', '1'],
        ['eu', '2'],
      ],
    },
  ]);
  // All rows are all rows.
  expect((await withOrphans(lost([['1', 'eu']]), [USERS], WHOSE, server())).tables).toEqual([
    { ...USERS, gone: [['eu', '1']] },
  ]);
});

test('where nobody knows which rows, every row is read, and that is said', async () => {
  const own = { ...USERS, where: 'r.xmin > 7' };
  for (const unknown of [lost(null), lost([['1', 'eu']], ['id', 'old_column'])]) {
    const { tables, notes } = await withOrphans(unknown, [own], WHOSE, server());
    expect(tables).toEqual([USERS]);
    expect(notes).toEqual([expect.stringContaining('public.users: any of its rows')]);
  }
  const gone = await withOrphans({ isRetained: false, tables: [] }, [own], WHOSE, server());
  expect(gone).toEqual({
    keys: 0,
    tables: [USERS],
    notes: [expect.stringContaining('the log does not have all of the lost history')],
  });
  // Of no gap: all that the sinks take.
  expect((await withOrphans({ isRetained: false, tables: [] }, [], WHOSE, server())).tables).toEqual([USERS]);
});

test('a table that nobody reads any more is left out, and of one whose deletes cannot be found rows are read', async () => {
  const away = await withOrphans(
    lost([['1', 'eu']]),
    [],
    WHOSE,
    server(() => 'TABLE_UNKNOWN'),
  );
  expect(away).toEqual({ keys: 0, tables: [], notes: [] });
  const part = await withOrphans(
    lost([['1', 'eu']]),
    [],
    WHOSE,
    server(({ gone }) => (gone === undefined ? undefined : 'KEYS_OF_PARTITIONS')),
  );
  expect(part.tables).toEqual([{ ...USERS, keys: [['eu', '1']] }]);
  expect(part.notes).toEqual([expect.stringContaining('no deletes are sent')]);
  await expect(
    withOrphans(
      lost([['1', 'eu']]),
      [],
      WHOSE,
      server(() => 'DATABASE_NOT_REACHED'),
    ),
  ).rejects.toThrow('DATABASE_NOT_REACHED');
});

test('a parting at the log’s end has taken nothing', () => {
  const record = { epoch: 1, timeline: 2, why: '', at: '', sinks: [] };
  expect(
    lossy([
      { ...record, lsn: '0/64', logEnd: '0/64' },
      { ...record, epoch: 2, lsn: '0/96', logEnd: '0/C8' },
    ]),
  ).toEqual([{ epoch: 2, lsn: 0x96n }]);
});

test('the log tells the keys of a lost history, old ones and new ones, and no others; after a TRUNCATE nobody knows', async () => {
  const room = await openSinkRoom();
  room.insert(100, [1, 2]);
  room.append(200, [
    updateMessage(TABLE, ['3', 'x'], { kind: 'key', row: ['1', null] }),
    deleteMessage(TABLE, { kind: 'key', row: ['2', null] }),
    insertMessage(TABLE, ['4', 'x']),
  ]);
  const partings = [{ epoch: 1, lsn: toLsn(150n) }];
  const ask = () => findLostKeys(partings, room.options, patient);
  expect(await ask()).toEqual({
    isRetained: true,
    tables: [{ schema: 'public', table: 't', key: ['id'], keys: [['1'], ['3'], ['2'], ['4']] }],
  });
  room.append(300, [truncateMessage([TABLE])]);
  expect((await ask()).tables).toMatchObject([{ keys: null }]);
  // What the log begins behind, it does not have.
  expect(await findLostKeys([{ epoch: 0, lsn: toLsn(150n) }], room.options, patient)).toEqual({
    isRetained: false,
    tables: [],
  });
});

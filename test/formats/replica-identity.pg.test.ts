import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openChangeReader, parse, type ChangeReader, type SequinMessage } from '../support/decode.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

// What Postgres sends depends on the replica identity, on TOAST and on partitions: real rows through both formats.

let database: TestDatabase;
let reader: ChangeReader;

beforeAll(async () => {
  database = await createTestDatabase();
  reader = await openChangeReader(database);
});
afterAll(() => database.drop());

type Brief = Pick<SequinMessage, 'action' | 'record' | 'changes'> & {
  readonly unchanged?: unknown;
};

/** Runs the statements and answers what came of them: action, record, changes and the columns left out. */
async function changesOf(sql: string): Promise<Brief[]> {
  await database.client.query(sql);
  return (await reader.read()).map((change) => {
    const { action, record, changes, metadata } = parse(change);
    const unchanged = metadata['unchanged_columns'];
    return { action, record, changes, ...(unchanged === undefined ? {} : { unchanged }) };
  });
}

const setUp = async (sql: string): Promise<void> => void (await changesOf(sql));
const keyOfLastChange = async (sql: string): Promise<readonly string[]> => {
  await database.client.query(sql);
  return (await reader.read()).at(-1)!.relation.key;
};

const BIG = 'x'.repeat(5000);
/** Values of `big` columns are kept out of line. */
const outOfLine = (table: string, columns: readonly string[] = ['big']): string =>
  columns.map((column) => `alter table ${table} alter ${column} set storage external;`).join('');

describe('replica identity', () => {
  test('default: an update says nothing of the old row, a delete has the key only (C055, C056)', async () => {
    await setUp(`create table d (id int primary key, a text, b text); insert into d values (1, 'x', null)`);
    expect(await changesOf(`update d set a = 'y'; delete from d`)).toEqual([
      { action: 'update', record: { id: 1, a: 'y', b: null }, changes: {} },
      { action: 'delete', record: { id: 1 }, changes: null },
    ]);
  });

  test('full: an update tells what changed, a delete has the whole row, the key is the primary key (C057)', async () => {
    await setUp(`create table f (id int primary key, a text[], b text); alter table f replica identity full;
      insert into f values (1, '{x}', 'b')`);
    expect(
      await changesOf(
        `update f set a = '{}', b = null; update f set b = null; update f set b = 'c'; delete from f`,
      ),
    ).toEqual([
      { action: 'update', record: { id: 1, a: [], b: null }, changes: { a: ['x'], b: 'b' } },
      { action: 'update', record: { id: 1, a: [], b: null }, changes: {} },
      { action: 'update', record: { id: 1, a: [], b: 'c' }, changes: { b: null } },
      { action: 'delete', record: { id: 1, a: [], b: 'c' }, changes: null },
    ]);
    expect(await keyOfLastChange(`insert into f values (2)`)).toEqual(['id']);
  });

  test('index: changes are keyed by its columns, the primary key is unknown in a delete (C058)', async () => {
    await setUp(`create table i (id int primary key, k int not null, a text); create unique index ik on i (k);
      alter table i replica identity using index ik; insert into i values (1, 4, 'x')`);
    expect(await changesOf('update i set k = 5; update i set id = 9; delete from i')).toEqual([
      { action: 'update', record: { id: 1, k: 5, a: 'x' }, changes: { k: 4 } },
      { action: 'update', record: { id: 9, k: 5, a: 'x' }, changes: {} },
      { action: 'delete', record: { k: 5 }, changes: null },
    ]);
    expect(await keyOfLastChange(`insert into i values (1, 1)`)).toEqual(['k']);
  });

  test('nothing, a dropped identity index and a deferrable key: inserts flow (C059, C060, C061)', async () => {
    await setUp(`create table n (a int); alter table n replica identity nothing;
      create table gone (a int not null); create unique index gone_a on gone (a);
      alter table gone replica identity using index gone_a; drop index gone_a;
      create table def (id int primary key deferrable)`);
    const changes = await changesOf(
      'insert into n values (1); insert into gone values (2); insert into def values (3)',
    );
    expect(changes.map(({ record }) => record)).toEqual([{ a: 1 }, { a: 2 }, { id: 3 }]);
  });

  test('changed in between: each event follows its own shape (C062)', async () => {
    await setUp(`create table s (id int primary key, a int); insert into s values (1, 1)`);
    const changes =
      await changesOf(`update s set a = 2; alter table s replica identity full; update s set a = 3;
      alter table s replica identity default; update s set a = 4`);
    expect(changes.map(({ changes }) => changes)).toEqual([{}, { a: 2 }, {}]);
  });

  test('a composite key comes in its own order, not in that of the columns (C063)', async () => {
    await setUp('create table c (id int, name text, surname text, primary key (surname, id))');
    expect(await keyOfLastChange(`insert into c values (1, 'a', 'b')`)).toEqual(['surname', 'id']);
    expect(await changesOf(`delete from c`)).toEqual([
      { action: 'delete', record: { id: 1, surname: 'b' }, changes: null },
    ]);
  });

  test('a partition with a lesser identity than its root sends no old row, which is no claim (C064)', async () => {
    await setUp(`create table p (id int, r int, a text, primary key (id, r)) partition by range (r);
      create table p1 partition of p for values from (0) to (10);
      create table p2 partition of p for values from (10) to (20);
      alter table p replica identity full; alter table p2 replica identity full;
      insert into p values (1, 1, 'x'), (2, 11, 'x')`);
    expect(await changesOf(`update p set a = 'y' where id = 1; update p set a = 'y' where id = 2`)).toEqual([
      { action: 'update', record: { id: 1, r: 1, a: 'y' }, changes: {} },
      { action: 'update', record: { id: 2, r: 11, a: 'y' }, changes: { a: 'x' } },
    ]);
  });

  test('of a root’s old row, what a partition’s identity does not have is absent, never null', async () => {
    await setUp(`create table fr (id int, r int, a text, b text) partition by range (r);
      create table fr1 partition of fr (primary key (id)) for values from (0) to (10);
      alter table fr replica identity full; insert into fr values (1, 1, 'x', null)`);
    expect(await changesOf(`update fr set a = 'y'; update fr set id = 2; delete from fr`)).toEqual([
      { action: 'update', record: { id: 1, r: 1, a: 'y', b: null }, changes: {} },
      { action: 'update', record: { id: 2, r: 1, a: 'y', b: null }, changes: { id: 1 } },
      { action: 'delete', record: { id: 2 }, changes: null },
    ]);
  });

  test('the same where the root has a key and the partition’s identity is an index', async () => {
    await setUp(`create table ki (id int, k int not null, a text, primary key (id)) partition by range (id);
      create table ki1 partition of ki for values from (0) to (10);
      create unique index ki1_k on ki1 (k); alter table ki1 replica identity using index ki1_k;
      insert into ki values (1, 7, 'x')`);
    expect(await changesOf(`update ki set id = 2; update ki set k = 8; delete from ki`)).toEqual([
      { action: 'update', record: { id: 2, k: 7, a: 'x' }, changes: {} },
      { action: 'update', record: { id: 2, k: 8, a: 'x' }, changes: { k: 7 } },
      { action: 'delete', record: { k: 8 }, changes: null },
    ]);
  });

  test('the same where the root has no identity: a delete has what its partition’s key says', async () => {
    await setUp(`create table ni (id int, a text) partition by range (id);
      create table ni1 partition of ni (primary key (id)) for values from (0) to (10); insert into ni values (1, 'x')`);
    expect(await changesOf('delete from ni')).toEqual([
      { action: 'delete', record: { id: 1 }, changes: null },
    ]);
  });

  test('a NULL in a root’s old row is one where every partition is FULL, until one is not', async () => {
    await setUp(`create table af (id int, a text, b text) partition by range (id);
      create table af1 partition of af for values from (0) to (10);
      create table af2 partition of af (primary key (id)) for values from (10) to (20);
      alter table af replica identity full; alter table af1 replica identity full; insert into af values (1, 'x', null)`);
    expect(await changesOf(`update af set b = 'z'; update af set b = null; delete from af`)).toEqual([
      { action: 'update', record: { id: 1, a: 'x', b: 'z' }, changes: { b: null } },
      { action: 'update', record: { id: 1, a: 'x', b: null }, changes: { b: 'z' } },
      { action: 'delete', record: { id: 1, a: 'x', b: null }, changes: null },
    ]);
    await setUp(`insert into af values (1, 'x', null), (11, 'x', null)`);
    expect(await changesOf('delete from af')).toEqual([
      { action: 'delete', record: { id: 1, a: 'x' }, changes: null },
      { action: 'delete', record: { id: 11 }, changes: null },
    ]);
  });

  test('a row that moves out of a partition with a lesser identity leaves what that one knew', async () => {
    await setUp(`create table mo (id int, r int, a text) partition by range (r);
      create table mo1 partition of mo (primary key (id)) for values from (0) to (10);
      create table mo2 partition of mo for values from (10) to (20);
      alter table mo replica identity full; alter table mo2 replica identity full; insert into mo values (1, 1, null)`);
    expect(await changesOf('update mo set r = 11')).toEqual([
      { action: 'delete', record: { id: 1 }, changes: null },
      { action: 'insert', record: { id: 1, r: 11, a: null }, changes: null },
    ]);
  });

  test('a row that moves between partitions is a delete and an insert (C091)', async () => {
    await setUp(`create table m (id int, r int, primary key (id, r)) partition by range (r);
      create table m1 partition of m for values from (0) to (10);
      create table m2 partition of m for values from (10) to (20); insert into m values (1, 1)`);
    expect(await changesOf('update m set r = 11')).toEqual([
      { action: 'delete', record: { id: 1, r: 1 }, changes: null },
      { action: 'insert', record: { id: 1, r: 11 }, changes: null },
    ]);
  });
});

describe('keys', () => {
  test('a changed key tells the old one; an assignment that changes nothing does not (C073, C076)', async () => {
    await setUp(`create table k (id int primary key, a int); insert into k values (1, 1)`);
    expect(await changesOf('update k set id = 2; update k set id = id')).toEqual([
      { action: 'update', record: { id: 2, a: 1 }, changes: { id: 1 } },
      { action: 'update', record: { id: 2, a: 1 }, changes: {} },
    ]);
  });

  test('two keys swapped in one transaction come step by step (C074, C075)', async () => {
    await setUp(`create table sw (id int primary key, v text); insert into sw values (1, 'a'), (2, 'b')`);
    expect(
      await changesOf(`begin; update sw set id = -1 where id = 1; update sw set id = 1 where id = 2;
        update sw set id = 2 where id = -1; commit`),
    ).toEqual([
      { action: 'update', record: { id: -1, v: 'a' }, changes: { id: 1 } },
      { action: 'update', record: { id: 1, v: 'b' }, changes: { id: 2 } },
      { action: 'update', record: { id: 2, v: 'a' }, changes: { id: -1 } },
    ]);
  });

  test('foreign keys cascade after their parent (C077)', async () => {
    await setUp(`create table parent (id int primary key);
      create table child (id int primary key, p int references parent on update cascade on delete cascade);
      insert into parent values (1); insert into child values (7, 1)`);
    const changes = await changesOf('update parent set id = 2; delete from parent');
    expect(changes.map(({ action, record }) => [action, record])).toEqual([
      ['update', { id: 2 }],
      ['update', { id: 7, p: 2 }],
      ['delete', { id: 2 }],
      ['delete', { id: 7 }],
    ]);
  });

  test('without a key equal rows are events of their own (C078, C079)', async () => {
    await setUp('create table nk (a int, b text); alter table nk replica identity full');
    expect(await keyOfLastChange(`insert into nk values (1, 'x'), (1, 'x'), (1, 'x')`)).toEqual([]);
    expect(await changesOf('delete from nk where ctid = (select min(ctid) from nk)')).toEqual([
      { action: 'delete', record: { a: 1, b: 'x' }, changes: null },
    ]);
  });

  test('a unique constraint is no key (C080)', async () => {
    expect(await keyOfLastChange('create table u (a int unique); insert into u values (1)')).toEqual([]);
  });

  test('a key made or dropped later counts from then on (C081)', async () => {
    expect(
      await keyOfLastChange('create table later (id int not null); insert into later values (1)'),
    ).toEqual([]);
    expect(
      await keyOfLastChange('alter table later add primary key (id); insert into later values (2)'),
    ).toEqual(['id']);
    expect(
      await keyOfLastChange('alter table later drop constraint later_pkey; insert into later values (2)'),
    ).toEqual([]);
  });
});

describe('TOAST', () => {
  test('an untouched value out of line is left out and named (C065)', async () => {
    await setUp(`create table t (id int primary key, k int, big text); ${outOfLine('t')}
      insert into t values (1, 1, '${BIG}')`);
    expect(await changesOf('update t set k = 2')).toEqual([
      { action: 'update', record: { id: 1, k: 2 }, changes: {}, unchanged: ['big'] },
    ]);
  });

  test('under full it comes from the old row and is no change (C066)', async () => {
    await setUp(`create table tf (id int primary key, k int, big text); ${outOfLine('tf')}
      alter table tf replica identity full; insert into tf values (1, 1, '${BIG}')`);
    expect(await changesOf('update tf set k = 2')).toEqual([
      { action: 'update', record: { id: 1, k: 2, big: BIG }, changes: { k: 1 } },
    ]);
  });

  test('any type that is kept out of line is left out alike (C067)', async () => {
    const columns: readonly (readonly [type: string, value: string])[] = [
      ['text', `'${BIG}'`],
      ['varchar', `'${BIG}'`],
      ['bytea', `decode(repeat('00ff', 3000), 'hex')`],
      ['json', `to_json('${BIG}'::text)`],
      ['jsonb', `to_jsonb('${BIG}'::text)`],
      ['text[]', `array['${BIG}']`],
      ['date[]', `array_fill('2020-01-01'::date, array[2000])`],
      ['bigint[]', 'array_fill(1::bigint, array[1000])'],
      ['numeric', `repeat('12345', 2000)::numeric`],
    ];
    const names = columns.map((_, i) => `c${i}`);
    await setUp(`create table tt (id int primary key, k int, ${columns.map(([type], i) => `c${i} ${type}`).join()});
      ${outOfLine('tt', names)} insert into tt values (1, 1, ${columns.map(([, value]) => value).join()})`);
    expect(await changesOf('update tt set k = 2')).toEqual([
      { action: 'update', record: { id: 1, k: 2 }, changes: {}, unchanged: names },
    ]);
  });

  test('a value that changed is there, whatever its size before and after (C068)', async () => {
    await setUp(`create table th (id int primary key, big text); ${outOfLine('th')}
      insert into th values (1, 'small')`);
    const values = [BIG, `${BIG}y`, 'small', BIG, null, BIG];
    const changes = await changesOf(
      values.map((value) => `update th set big = ${value === null ? 'null' : `'${value}'`};`).join(''),
    );
    expect(changes.map(({ record }) => record['big'])).toEqual(values);
  });

  test('merging the events of a transaction in order gives the row (C069)', async () => {
    await setUp(
      `create table tm (id int primary key, k int, b1 text, b2 text); ${outOfLine('tm', ['b1', 'b2'])}`,
    );
    const changes = await changesOf(`begin; insert into tm values (1, 1, '${BIG}1', '${BIG}2');
      update tm set k = 2; update tm set b1 = '${BIG}3'; update tm set b2 = '${BIG}4'; delete from tm;
      insert into tm values (1, 5, '${BIG}6', null); update tm set k = 7; commit`);
    const row = changes.reduce<Record<string, unknown>>(
      (row, { action, record }) => (action === 'delete' ? {} : { ...row, ...record }),
      {},
    );
    expect(changes.map(({ unchanged }) => unchanged)).toEqual([
      undefined,
      ['b1', 'b2'],
      ['b2'],
      ['b1'],
      undefined,
      undefined,
      ['b1'],
    ]);
    expect(row).toEqual({ id: 1, k: 7, b1: `${BIG}6`, b2: null });
  });

  test('a key out of line is neither changed nor unknown (C070)', async () => {
    const key = 'k'.repeat(2500);
    await setUp(`create table tpk (k text primary key, v int); ${outOfLine('tpk', ['k'])}
      insert into tpk values ('${key}', 1)`);
    expect(await changesOf('update tpk set v = 2')).toEqual([
      { action: 'update', record: { k: key, v: 2 }, changes: {} },
    ]);
  });

  test('a changed key links the old row to a new one that is not whole (C071)', async () => {
    await setUp(`create table tk (id int primary key, big text); ${outOfLine('tk')}
      insert into tk values (1, '${BIG}')`);
    expect(await changesOf('update tk set id = 10')).toEqual([
      { action: 'update', record: { id: 10 }, changes: { id: 1 }, unchanged: ['big'] },
    ]);
  });
});

describe('names and shapes', () => {
  test('names of any characters arrive as they are (C048)', async () => {
    await database.client.query(String.raw`create schema "We""ird. Schéma";
      create table "We""ird. Schéma"."Tab\le 'x' 表" ("Co.l""ümn 😀" int primary key, "${'\ufffe'}" text);
      insert into "We""ird. Schéma"."Tab\le 'x' 表" values (1, 'é')`);
    const [change] = await reader.read();
    expect(parse(change!)).toMatchObject({
      record: { 'Co.l"ümn 😀': 1, '\ufffe': 'é' },
      metadata: { table_schema: 'We"ird. Schéma', table_name: String.raw`Tab\le 'x' 表` },
    });
    expect(change!.text).not.toContain('\ufffe');
  });

  test('63 bytes of name, 1600 columns and none at all (C051)', async () => {
    const name = 'é'.repeat(31);
    const columns = Array.from({ length: 1600 }, (_, i) => `c${i}`);
    const changes = await changesOf(`create table "${name}" ("${name}" int); insert into "${name}" values (1);
      create table wide (${columns.map((column) => `${column} bool`).join()});
      insert into wide values (${columns.map(() => 'true').join()});
      create table z (); insert into z default values`);
    expect(changes.map(({ record }) => Object.keys(record).length)).toEqual([1, 1600, 0]);
    expect(changes[0]!.record).toEqual({ [name]: 1 });
  });

  test('tables and columns that differ in case or schema only are kept apart (C052)', async () => {
    await database.client.query(`create schema other; create table twin (a int, "A" int);
      create table "Twin" (a int); create table other.twin (a int);
      insert into twin values (1, 2); insert into "Twin" values (3); insert into other.twin values (4)`);
    const messages = (await reader.read()).map(parse);
    expect(
      messages.map(({ metadata, record }) => [metadata['table_schema'], metadata['table_name'], record]),
    ).toEqual([
      ['public', 'twin', { a: 1, A: 2 }],
      ['public', 'Twin', { a: 3 }],
      ['other', 'twin', { a: 4 }],
    ]);
  });

  test('each row has the shape of its place in the transaction (C108–C110)', async () => {
    const changes =
      await changesOf(`begin; create table e (id int primary key, a int); insert into e values (1, 1);
      alter table e add b int default 7; insert into e values (2, 2); alter table e rename a to c;
      insert into e values (3, 3); alter table e alter c type text; update e set b = 8 where id = 1;
      alter table e drop b; insert into e values (4, '4'); commit`);
    expect(changes.map(({ record }) => record)).toEqual([
      { id: 1, a: 1 },
      { id: 2, a: 2, b: 7 },
      { id: 3, c: 3, b: 7 },
      { id: 1, c: '1', b: 8 },
      { id: 4, c: '4' },
    ]);
  });

  test('a truncate of several tables is one event each, in its place (C083, C085)', async () => {
    await setUp('create table ta (id int); create table tb (id int)');
    const changes = await changesOf(
      'begin; insert into ta values (1); truncate ta, tb; insert into ta values (2); commit',
    );
    expect(changes.map(({ action, record }) => [action, record])).toEqual([
      ['insert', { id: 1 }],
      ['truncate', {}],
      ['truncate', {}],
      ['insert', { id: 2 }],
    ]);
  });

  test('the flat format sends the same rows (C056, C065)', async () => {
    await database.client.query(`create table flat (id int primary key, n numeric, at timestamp, big text);
      ${outOfLine('flat')} insert into flat values (1, 1.50, '2026-01-02 03:04:05', '${BIG}');
      update flat set n = 'NaN'; delete from flat; truncate flat`);
    const changes = await reader.read({
      format: 'pg2sqs',
      values: { numeric: 'float' },
      severalActions: true,
    });
    expect(changes.map((change) => change.text)).toEqual([
      `{"id":1,"n":1.5,"at":"2026-01-02T03:04:05Z","big":"${BIG}","kind":"insert"}`,
      '{"id":1,"n":null,"at":"2026-01-02T03:04:05Z","kind":"update"}',
      '{"id":1,"kind":"delete"}',
      '{"kind":"truncate"}',
    ]);
  });
});

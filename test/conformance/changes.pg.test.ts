// What arrives for what is written, case by case, through one service: a slot, the log, a FIFO queue.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../support/wait.ts';
import { brief, conformanceService, type ConformanceService } from './service.ts';

let world: ConformanceService;

beforeAll(async () => {
  world = await conformanceService();
  await world.start();
});
afterAll(() => world.end({}));

type ChangeCase = {
  readonly title: string;
  /** Each text is a transaction, unless it says otherwise. */
  readonly sql: readonly string[];
  readonly expected: readonly string[];
  /** The first version that has it, as in 15. */
  readonly since?: number;
};

const runEach = (cases: readonly ChangeCase[]): void => {
  test.each(cases)('$title', async ({ sql, expected, since = 0 }) => {
    if (world.serverVersion < since * 10_000) return;
    const changes = await world.changesOf(sql, expected.length);
    expect(changes.map(brief)).toEqual(expected);
  });
};

describe('keys', () => {
  runEach([
    {
      title: 'a key that is used again belongs to another row (C073, C074)',
      sql: [
        `create table ru (id int primary key, v text); insert into ru values (1, 'first')`,
        'update ru set id = 2 where id = 1',
        `insert into ru values (1, 'second'); update ru set v = 'third' where id = 1`,
      ],
      expected: [
        'ru insert {"id":1,"v":"first"}',
        'ru update {"id":2,"v":"first"} was {"id":1}',
        'ru insert {"id":1,"v":"second"}',
        'ru update {"id":1,"v":"third"}',
      ],
    },
  ]);
});

describe('TRUNCATE', () => {
  runEach([
    {
      title: 'is one event, and rows before and after it keep their side (C082, C085)',
      sql: [
        'create table tr (id int primary key)',
        'begin; insert into tr select generate_series(1, 3); truncate tr; insert into tr values (4); commit',
      ],
      expected: [
        'tr insert {"id":1}',
        'tr insert {"id":2}',
        'tr insert {"id":3}',
        'tr truncate {}',
        'tr insert {"id":4}',
      ],
    },
    {
      title: 'of several tables, and those that CASCADE adds, is one event each (C083, C084)',
      sql: [
        `create table t1 (id serial primary key); create table t2 (id int primary key);
         create table t3 (id int primary key references t1)`,
        'truncate t2, t1 restart identity cascade',
      ],
      expected: ['t2 truncate {}', 't1 truncate {}', 't3 truncate {}'],
    },
    {
      title: 'that is rolled back never was (C086)',
      sql: [
        'create table trb (id int primary key); insert into trb values (1)',
        'begin; truncate trb; rollback',
        'begin; insert into trb values (2); savepoint s; truncate trb; rollback to s; insert into trb values (3); commit',
      ],
      expected: ['trb insert {"id":1}', 'trb insert {"id":2}', 'trb insert {"id":3}'],
    },
  ]);
});

describe('tables that come', () => {
  runEach([
    {
      title: 'a table that is made, filled and dropped at once is delivered (C103, C112)',
      sql: ['create table flash (id int primary key); insert into flash values (1); drop table flash'],
      expected: ['flash insert {"id":1}'],
    },
    {
      title: 'what is no row of a published table gives no event, what makes rows does (C107)',
      sql: [
        `create unlogged table ul (id int primary key); create temp table tmp (id int primary key);
         create sequence seq; create table src (id int primary key, n int)`,
        `insert into ul values (1); insert into tmp values (1); select nextval('seq'); insert into src values (1, 5)`,
        'create materialized view mv as select id from src',
        'refresh materialized view mv',
        'create index src_n on src (n)',
        'vacuum full src',
        'cluster src using src_pkey',
        'alter table src alter n type text',
        'alter table src add u uuid default gen_random_uuid()',
        `select lo_from_bytea(0, '\\x00')`,
        'create table made as select 2 as id',
        'select 3 as id into made_too',
      ],
      expected: ['src insert {"id":1,"n":5}', 'made insert {"id":2}', 'made_too insert {"id":3}'],
    },
  ]);
});

describe('schema changes', () => {
  runEach([
    {
      title: 'a column that is added is in new rows, and in later updates of old ones (C108)',
      sql: [
        'create table ad (id int primary key); insert into ad values (1)',
        'alter table ad add a int',
        'alter table ad add b int default 7',
        'insert into ad values (2, 2)',
        'update ad set a = 1 where id = 1',
      ],
      expected: ['ad insert {"id":1}', 'ad insert {"id":2,"a":2,"b":7}', 'ad update {"id":1,"a":1,"b":7}'],
    },
    {
      title: 'columns dropped, renamed and of another type, several steps before the next row (C109, C117)',
      sql: [
        'create table st (id int primary key, a int, b text); insert into st values (1, 1, null)',
        'alter table st drop b',
        'alter table st rename a to c',
        'alter table st alter c type numeric(6,2)',
        'alter table st add d text',
        'alter table st add e text',
        `insert into st values (2, 2, 'd', 'e')`,
      ],
      expected: ['st insert {"id":1,"a":1,"b":null}', 'st insert {"id":2,"c":"2.00","d":"d","e":"e"}'],
    },
    {
      title: 'a table renamed, its schema renamed, moved to another one (C113)',
      sql: [
        'create schema one; create table one.r1 (id int primary key); insert into one.r1 values (1)',
        'alter table one.r1 rename to r2; insert into one.r2 values (2)',
        'alter schema one rename to two; insert into two.r2 values (3)',
        'alter table two.r2 set schema public; insert into r2 values (4)',
      ],
      expected: [
        'one.r1 insert {"id":1}',
        'one.r2 insert {"id":2}',
        'two.r2 insert {"id":3}',
        'r2 insert {"id":4}',
      ],
    },
    {
      title: 'a table dropped and made again under its name has nothing of the old one (C114)',
      sql: [
        'create table ag (id int primary key, a int); insert into ag values (1, 1)',
        `drop table ag; create table ag (code text primary key, b jsonb); insert into ag values ('x', '{"y":1}')`,
        `delete from ag`,
      ],
      expected: ['ag insert {"id":1,"a":1}', 'ag insert {"code":"x","b":{"y":1}}', 'ag delete {"code":"x"}'],
    },
    {
      title: 'DDL that is rolled back, whole or to a savepoint, leaves the shape as it was (C115)',
      sql: [
        'create table rb (id int primary key, a int)',
        'begin; alter table rb add gone int; insert into rb values (0, 0, 0); rollback',
        `begin; insert into rb values (1, 1); savepoint s; alter table rb rename a to z; insert into rb values (2, 2);
         rollback to s; insert into rb values (3, 3); commit`,
      ],
      expected: ['rb insert {"id":1,"a":1}', 'rb insert {"id":3,"a":3}'],
    },
    {
      title: 'a key column of another type, renamed, joined by a second one (C116)',
      sql: [
        'create table kc (id int primary key, part int not null); insert into kc values (1, 1)',
        'alter table kc alter id type text; update kc set part = 2',
        'alter table kc rename id to name; update kc set part = 3',
        'alter table kc drop constraint kc_pkey, add primary key (part, name); delete from kc',
      ],
      expected: [
        'kc insert {"id":1,"part":1}',
        'kc update {"id":"1","part":2}',
        'kc update {"name":"1","part":3}',
        'kc delete {"name":"1","part":3}',
      ],
    },
  ]);
});

describe('transactions', () => {
  runEach([
    {
      title: 'rows come as they were executed, across tables (C119)',
      sql: [
        'create table o1 (id int primary key); create table o2 (id int primary key)',
        'begin; insert into o2 values (1); insert into o1 values (1); insert into o2 values (2); delete from o1; commit',
      ],
      expected: ['o2 insert {"id":1}', 'o1 insert {"id":1}', 'o2 insert {"id":2}', 'o1 delete {"id":1}'],
    },
    {
      title: 'what is rolled back never comes, nor does what changes nothing (C128, C131)',
      sql: [
        'create table nt (id int primary key)',
        'begin; insert into nt values (1); rollback',
        'begin; commit',
        'begin; update nt set id = 5 where id = 4; commit',
        'analyze nt',
        'insert into nt values (2)',
      ],
      expected: ['nt insert {"id":2}'],
    },
    {
      title: 'several changes of one row in one transaction are all there (C132)',
      sql: [
        'create table ch (id int primary key, v int)',
        'begin; insert into ch values (1, 1); delete from ch; insert into ch values (1, 2); update ch set v = 3; delete from ch; commit',
      ],
      expected: [
        'ch insert {"id":1,"v":1}',
        'ch delete {"id":1}',
        'ch insert {"id":1,"v":2}',
        'ch update {"id":1,"v":3}',
        'ch delete {"id":1}',
      ],
    },
    {
      title: 'an upsert is what it did (C133)',
      sql: [
        'create table up (id int primary key, v int); insert into up values (1, 1)',
        'insert into up values (1, 2), (2, 2) on conflict (id) do update set v = excluded.v',
        'insert into up values (1, 9) on conflict do nothing',
      ],
      expected: ['up insert {"id":1,"v":1}', 'up update {"id":1,"v":2}', 'up insert {"id":2,"v":2}'],
    },
    {
      title: 'MERGE is what it did (C133)',
      since: 15,
      sql: [
        'create table mg (id int primary key, v int); insert into mg values (1, 1), (2, 2)',
        `merge into mg using (values (1), (2), (3)) s (id) on mg.id = s.id
         when matched and s.id = 1 then update set v = 10 when matched then delete when not matched then insert values (s.id, 3)`,
      ],
      expected: [
        'mg insert {"id":1,"v":1}',
        'mg insert {"id":2,"v":2}',
        'mg update {"id":1,"v":10}',
        'mg delete {"id":2}',
        'mg insert {"id":3,"v":3}',
      ],
    },
    {
      title: 'an update that changes nothing is one (C134)',
      sql: [
        'create table nu (id int primary key, v int); insert into nu values (1, 1)',
        'update nu set v = v',
      ],
      expected: ['nu insert {"id":1,"v":1}', 'nu update {"id":1,"v":1}'],
    },
    {
      title: 'a commit that nobody waited for comes (C136)',
      sql: [
        'create table sy (id int primary key)',
        'set synchronous_commit = off',
        'insert into sy values (1)',
        'reset synchronous_commit',
      ],
      expected: ['sy insert {"id":1}'],
    },
    {
      title: 'what triggers write comes, and under replica what was written without them (C137)',
      sql: [
        `create table tg (id int primary key); create table audit (id int primary key);
         create function note() returns trigger language plpgsql as $$ begin insert into audit values (new.id); return new; end $$;
         create trigger tg_note after insert on tg for each row execute function note()`,
        'insert into tg values (1)',
        'set session_replication_role = replica',
        'insert into tg values (2)',
        'reset session_replication_role',
      ],
      expected: ['tg insert {"id":1}', 'audit insert {"id":1}', 'tg insert {"id":2}'],
    },
    {
      title: 'a transaction of another origin comes as any other (C138)',
      sql: [
        `create table og (id int primary key); select pg_replication_origin_create('elsewhere_${randomUUID()}')`,
        `select pg_replication_origin_session_setup(roname) from pg_replication_origin where roname like 'elsewhere%'`,
        'insert into og values (1)',
        'select pg_replication_origin_session_reset()',
        'insert into og values (2)',
      ],
      expected: ['og insert {"id":1}', 'og insert {"id":2}'],
    },
    {
      title: 'prepared transactions come once, at COMMIT PREPARED, and never after ROLLBACK PREPARED (C129)',
      sql: [
        'create table pp (id int primary key)',
        `begin; insert into pp values (1); prepare transaction 'kept'`,
        `begin; insert into pp values (2); prepare transaction 'dropped'`,
        'insert into pp values (3)',
        `rollback prepared 'dropped'`,
        `commit prepared 'kept'`,
      ],
      expected: ['pp insert {"id":3}', 'pp insert {"id":1}'],
    },
    {
      title:
        'logical messages, in and outside of transactions, of any content, move no row (C139, C140, C143)',
      sql: [
        'create table lm (id int primary key)',
        `begin; insert into lm values (1); select pg_logical_emit_message(true, '', '\\x00ff'::bytea);
         select pg_logical_emit_message(false, 'huge', repeat('x', 2000000)); insert into lm values (2); commit`,
        `begin; select pg_logical_emit_message(false, 'aborted', 'x'); insert into lm values (3); rollback`,
        'insert into lm values (4)',
      ],
      expected: ['lm insert {"id":1}', 'lm insert {"id":2}', 'lm insert {"id":4}'],
    },
  ]);

  test('that overlap come in the order of their commits (C119, C120)', async () => {
    await world.changesOf('create table ov (id int primary key)', 0);
    const mark = world.mark();
    const [first, second] = [await world.connect(), await world.connect()];
    await first.query('begin; insert into ov values (1)');
    await second.query('begin; insert into ov values (2)');
    await first.query('insert into ov values (3)');
    await second.query('commit');
    await first.query('commit');
    expect((await world.arrivedSince(mark, 3)).map(({ record }) => record['id'])).toEqual([2, 1, 3]);
  });

  test('rows that share a log position have places of their own, one commit and one time (C121, C135)', async () => {
    await world.changesOf('create table cp (id int primary key)', 0);
    const changes = await world.changesOf('insert into cp select generate_series(0, 999)', 1000);
    expect(changes.map(({ record }) => record['id'])).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(changes.map(({ metadata }) => metadata.commit_idx)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    );
    const commits = changes.map(({ metadata }) => `${metadata.commit_lsn} ${metadata.commit_timestamp}`);
    expect(new Set(commits).size).toBe(1);
  });

  test('with many failed subtransactions leave what survives (C127)', async () => {
    await world.changesOf('create table sx (id int primary key)', 0);
    const changes = await world.changesOf(
      `do $$ begin for i in 1..200 loop
         begin insert into sx values (i); if i % 3 = 0 then raise exception 'no'; end if; exception when others then null; end;
       end loop; end $$`,
      134,
    );
    const survivors = Array.from({ length: 200 }, (_, i) => i + 1).filter((id) => id % 3 !== 0);
    expect(changes.map(({ record }) => record['id'])).toEqual(survivors);
  });
});

describe('a service that comes back', () => {
  test('delivers a backlog with the names and types that it had, and repeats nothing (C111, C112, C113, C114, C142, C151)', async () => {
    await world.changesOf(
      `create table bl (id int primary key, a int); insert into bl values (1, 1);
       create table dropped (id int primary key); create table again (id int primary key)`,
      1,
    );
    expect(await world.service.stop()).toBe(0);
    const mark = world.mark();
    for (const sql of [
      `insert into bl values (2, 2); select pg_logical_emit_message(true, 'note', 'x')`,
      'alter table bl rename a to b; update bl set b = 3 where id = 2',
      `alter table bl alter b type text; insert into bl values (4, 'four')`,
      'alter table bl drop b; insert into bl values (5)',
      'alter table bl rename to moved; delete from moved where id = 5',
      'insert into dropped values (1)',
      'drop table dropped',
      'insert into again values (1)',
      `drop table again; create table again (code text primary key); insert into again values ('x'); delete from again`,
      `create type flash_mood as enum ('a'); create table x (id int primary key, m flash_mood); insert into x values (1, 'a')`,
      'drop table x; drop type flash_mood',
    ]) {
      await world.client.query(sql);
    }
    await world.start();
    expect((await world.arrivedSince(mark, 10)).map(brief)).toEqual([
      'bl insert {"id":2,"a":2}',
      'bl update {"id":2,"b":3}',
      'bl insert {"id":4,"b":"four"}',
      'bl insert {"id":5}',
      'moved delete {"id":5}',
      'dropped insert {"id":1}',
      'again insert {"id":1}',
      'again insert {"code":"x"}',
      'again delete {"code":"x"}',
      'x insert {"id":1,"m":"a"}',
    ]);
  });

  test('after it was frozen for longer than the server waits goes on with what was written meanwhile (C186)', async () => {
    expect(await world.service.stop()).toBe(0);
    await world.client.query('create table fz (id int primary key)');
    await world.client.query(`alter system set wal_sender_timeout = '2s'`);
    await world.client.query('select pg_reload_conf()');
    await world.start();
    await world.changesOf('insert into fz values (1)', 1);
    const mark = world.mark();
    world.service.child.kill('SIGSTOP');
    try {
      await world.client.query('insert into fz values (2)');
      await waitFor(async () => {
        const { rowCount } = await world.client.query('select from pg_replication_slots where active');
        return rowCount === 0;
      }, 'the server to give the connection up');
      await world.client.query('insert into fz values (3)');
    } finally {
      world.service.child.kill('SIGCONT');
    }
    const changes = await world.arrivedSince(mark, 2);
    expect(changes.map(brief)).toEqual(['fz insert {"id":2}', 'fz insert {"id":3}']);
  });
});

// Last: beside partitioned tables a table that is dropped before it is read may have been a partition, which is a gap.
describe('partitions and inheritance', () => {
  runEach([
    {
      title: 'each partition has its own order of columns (C089)',
      sql: [
        `create table po (id int primary key, note text) partition by range (id);
         create table po1 partition of po for values from (0) to (10);
         create table po2 (note text, gone int, id int primary key); alter table po2 drop gone;
         alter table po attach partition po2 for values from (10) to (20)`,
        `insert into po values (1, 'a'), (11, 'b'); update po set note = 'c' where id = 11`,
      ],
      expected: [
        'po insert {"id":1,"note":"a"}',
        'po insert {"note":"b","id":11}',
        'po update {"note":"c","id":11}',
      ],
    },
    {
      title: 'a row that moves is deleted and inserted, in order (C091)',
      sql: [
        `create table pm (id int, r int, primary key (id, r)) partition by range (r);
         create table pm1 partition of pm for values from (0) to (10);
         create table pm2 partition of pm for values from (10) to (20)`,
        'insert into pm values (1, 1)',
        'update pm set r = 12 where id = 1',
      ],
      expected: ['pm insert {"id":1,"r":1}', 'pm delete {"id":1,"r":1}', 'pm insert {"id":1,"r":12}'],
    },
    {
      title: 'TRUNCATE of a partition names it, of the root all of them (C093)',
      sql: [
        `create table pt (id int primary key) partition by range (id);
         create table pt1 partition of pt for values from (0) to (10);
         create table pt2 partition of pt for values from (10) to (20)`,
        'truncate pt2',
        'truncate pt',
      ],
      expected: ['pt truncate of pt2 {}', 'pt truncate of pt1 {}', 'pt truncate of pt2 {}'],
    },
    {
      title: 'of several levels a row comes under the highest name (C094)',
      sql: [
        `create table l1 (id int primary key) partition by range (id);
         create table l2 partition of l1 for values from (0) to (100) partition by range (id);
         create table l3 partition of l2 for values from (0) to (10)`,
        'insert into l1 values (1)',
        'insert into l3 values (2)',
      ],
      expected: ['l1 insert {"id":1}', 'l1 insert {"id":2}'],
    },
    {
      title: 'children by INHERITS keep their own names and columns (C095)',
      sql: [
        `create table mother (id int primary key, note text); create table father (job text);
         create table child (age int, primary key (id)) inherits (mother, father)`,
        `insert into mother values (1, 'm'); insert into child values (2, 'c', 'j', 7); update mother set note = 'n'`,
      ],
      expected: [
        'mother insert {"id":1,"note":"m"}',
        'child insert {"id":2,"note":"c","job":"j","age":7}',
        'mother update {"id":1,"note":"n"}',
        'child update {"id":2,"note":"n","job":"j","age":7}',
      ],
    },
  ]);

  test('a partition is used as soon as it is made, and a dropped one says nothing (C092)', async () => {
    const made = await world.changesOf(
      [
        `create table pn (id int primary key) partition by range (id);
         create table pn1 partition of pn for values from (0) to (10); insert into pn values (1)`,
        'create table pn2 partition of pn for values from (10) to (20); insert into pn values (11)',
      ],
      2,
    );
    const dropped = await world.changesOf(['drop table pn1', 'insert into pn values (12)'], 1);
    expect([...made, ...dropped].map(brief)).toEqual([
      'pn insert {"id":1}',
      'pn insert {"id":11}',
      'pn insert {"id":12}',
    ]);
  });
});

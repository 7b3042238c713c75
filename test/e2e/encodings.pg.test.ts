// Databases that are not UTF8, end to end: every text as the server reads it, and one damaged row stops nobody.
import { describe, expect, test } from 'vitest';
import { serverVersion } from '../support/database-settings.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';

type Body = {
  readonly record: { readonly id: string; readonly note: string };
  readonly changes: Readonly<Record<string, unknown>> | null;
  readonly metadata: {
    readonly undecodable_columns?: readonly string[];
    readonly transaction_annotations: unknown;
  };
};

/** Bytes as SQL, and what they read as. */
const ENCODINGS = [
  {
    encoding: 'SQL_ASCII',
    good: ['caf\\xc3\\xa9', 'café'],
    damaged: ['caf\\xe9 \\xe2\\x82!', 'caf\ufffd \ufffd!'],
    isConverted: false,
  },
  {
    encoding: 'WIN1252',
    good: ['caf\\xe9 \\x80', 'café €'],
    damaged: ['caf\\xe9 \\x81!', 'café \ufffd!'],
    isConverted: true,
  },
  {
    encoding: 'EUC_JP',
    good: ['\\xc6\\xfc\\xcb\\xdc', '日本'],
    damaged: ['\\xc6\\xfc\\xa9\\xa1x\\xcb\\xdc', '日\ufffdx本'],
    isConverted: true,
  },
] as const;

describe.each(ENCODINGS)('a database in $encoding', ({ encoding, good, damaged, isConverted }) => {
  const world = endToEnd({ encoding });
  const bodies = (): Body[] =>
    world.recorder.messagesOf('changes.fifo').map(({ body }) => JSON.parse(body) as Body);
  const read = async (id: string): Promise<Body> =>
    waitFor(() => bodies().findLast(({ record }) => record.id === id), `row ${id}`);
  const insert = (id: string, note: string): Promise<unknown> =>
    world.database.client.query(`insert into "größe" (id, note) values (E'${id}', E'${note}')`);

  test('delivers a damaged row with the damage named, one with a damaged key to the dead letters, and goes on (C242)', async () => {
    const { client } = world.database;
    await client.query(`create table "größe" (id text primary key, note text, "höhe" "char" default 'x', list text[]);
      alter table "größe" replica identity full`);
    await world.start({ config: world.config({ sinks: [{ tables: ['größe'] }] }) });
    await insert('a', good[0]);
    expect((await read('a')).record.note).toBe(good[1]);
    await insert('b', damaged[0]);
    expect(await read('b')).toMatchObject({
      record: { note: damaged[1], höhe: 'x' },
      metadata: { undecodable_columns: ['note'] },
    });
    await client.query(
      `insert into "größe" (id, list) values ('l', array[E'${damaged[0]}', 'a"b', E'${good[0]}'])`,
    );
    expect(await read('l')).toMatchObject({
      record: { list: [damaged[1], 'a"b', good[1]] },
      metadata: { undecodable_columns: ['list'] },
    });
    await insert(damaged[0], 'lost');
    await insert('c', good[0]);
    const after = await read('c');
    expect(after.record.note).toBe(good[1]);
    expect(after.metadata).not.toHaveProperty('undecodable_columns');
    // Repaired, it is whole again; what it was is named.
    await client.query(`update "größe" set note = 'whole' where id = 'b'`);
    expect(
      await waitFor(() => bodies().find(({ record }) => record.note === 'whole'), 'the repair'),
    ).toMatchObject({
      changes: { note: damaged[1] },
      metadata: { undecodable_columns: ['note'] },
    });
    await client.query(`delete from "größe" where note = 'lost'`);
    await insert('d', good[0]);
    await read('d');
    const letters = await waitFor(async () => {
      const { dead_letters: found } = await askCommand<{
        dead_letters: { id: number; code: string; action: string }[];
      }>(world.service, 'dead-letters', 'list', 'sink-0');
      return found.length === 2 && found;
    }, 'two dead letters');
    expect(letters.map(({ code, action }) => `${code} ${action}`).sort()).toEqual([
      'KEY_UNDECODABLE delete',
      'KEY_UNDECODABLE insert',
    ]);
    const shown = await askCommand<{ payload: string }>(
      world.service,
      'dead-letters',
      'show',
      'sink-0',
      String(letters[0]!.id),
    );
    expect((JSON.parse(shown.payload) as Body).metadata.undecodable_columns).toEqual(['id']);
    expect(bodies().map(({ record }) => record.id)).toEqual(['a', 'b', 'l', 'c', 'b', 'd']);
    const runs = world.service.log.filter(({ code }) => code === 'TEXT_UNDECODABLE');
    expect(runs.length > 0).toBe(isConverted);
    // The connection may break once more, and is made again.
    await waitFor(
      async () => (await world.service.health()).databases[0]!.state === 'streaming',
      'the source to stream',
    );
  });

  test('has the annotations of its transactions', async ({ skip }) => {
    const { client } = world.database;
    skip((await serverVersion(client)) < 140_000, 'logical messages are streamed from 14 on');
    await client.query('create table "größe" (id text primary key, note text)');
    await world.start({ config: world.config({ sinks: [{ tables: ['größe'] }] }) });
    const annotated = async (id: string, by: string, note: string): Promise<unknown> => {
      await client.query(`begin;
        select pg_logical_emit_message(true, 'tailrace:transaction_annotations.set', E'{"by": "${by}"}');
        insert into "größe" values ('${id}', E'${note}'); commit`);
      return (await read(id)).metadata.transaction_annotations;
    };
    expect(await annotated('a', good[0], 'x')).toEqual({ by: good[1] });
    // Also in a run that the server converts nothing of.
    expect(await annotated('b', good[0], damaged[0])).toEqual({ by: good[1] });
    expect(await annotated('c', damaged[0], 'x')).toBeNull();
    expect(await annotated('d', 'plain', 'x')).toEqual({ by: 'plain' });
  });
});

describe('a name that the server cannot convert', () => {
  const world = endToEnd({ encoding: 'WIN1252' });

  test('is nothing to a sink that names its tables, and a fault of its own to one with patterns', async () => {
    const { client } = world.database;
    await client.query(`create table items (id int primary key)`);
    await client.query(
      `do $$ begin execute 'create table "' || E'odd\\x81' || '" (id int primary key)'; end $$`,
    );
    await world.start({ config: world.config({ sinks: [{ tables: ['items'] }] }) });
    await client.query('insert into items values (1)');
    await waitFor(() => world.recorder.messages.length === 1, 'the row');
    await world.service.stop();
    const refused = world.launch({ config: world.config({ sinks: [{ tables: ['*'] }] }) });
    const fault = await waitFor(
      () => refused.log.find(({ code }) => code === 'NAME_UNDECODABLE'),
      'the name to be refused',
    );
    expect(fault.msg).toContain('let each sink name its tables');
  });
});

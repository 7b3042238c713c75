// Backfills as users meet them: asked for in the configuration or on the command line, over restarts, beside live changes.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { FoundBackfill } from '../../src/cli/backfill/ports.ts';
import { startCli } from '../support/cli.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand, runCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

type Message = {
  readonly record: { readonly id: number; readonly note: string };
  readonly action: string;
  readonly metadata: { readonly idempotency_key: string; readonly table_name: string };
};

const messages = (queue = 'changes.fifo'): Message[] =>
  world.recorder.messagesOf(queue).map(({ body }) => JSON.parse(body) as Message);
const idsOf = (action: string, queue?: string): number[] =>
  messages(queue)
    .filter((message) => message.action === action)
    .map(({ record }) => record.id)
    .toSorted((a, b) => a - b);
const upTo = (count: number, from = 1): number[] => Array.from({ length: count }, (_, i) => from + i);

const sql = (text: string) => world.database.client.query(text);
const backfills = async (): Promise<readonly FoundBackfill[]> =>
  (await askCommand<{ backfills: readonly FoundBackfill[] }>(world.service, 'backfill', 'list')).backfills;
const shown = (id: string) => askCommand<FoundBackfill>(world.service, 'backfill', 'show', id);
const isCompleted = (id: string) =>
  waitFor(async () => (await shown(id)).state === 'completed', `backfill ${id} to be complete`);
async function start(...argv: readonly string[]): Promise<string> {
  const argvOf = ['backfill', 'start', ...argv];
  return (await askCommand<{ backfill: FoundBackfill }>(world.service, ...argvOf)).backfill.id;
}

const TABLE = `create table t (id int primary key, note text);
  insert into t select i, 'old' from generate_series(1, 500) i; analyze t`;

test('a new sink gets the rows that are there, then what changes; a restart reads nothing again', async () => {
  await sql(TABLE);
  await sql(`create table other (id int primary key); insert into other select generate_series(1, 3)`);
  const config = world.config({
    sinks: [
      { name: 'users', tables: ['t', 'other'], extra: 'initial_backfill: true' },
      { name: 'audit', tables: ['t'], queue: 'audit.fifo' },
    ],
  });
  await world.start({ config });
  await waitFor(() => idsOf('read').length === 503, 'every row of both tables');
  expect(messages().filter(({ metadata }) => metadata.table_name === 'other')).toHaveLength(3);
  await sql(`insert into t values (501, 'new'); update t set note = 'newer' where id = 7`);
  await waitFor(() => idsOf('update').length === 1, 'the live changes');
  const seven = messages().filter(({ record, metadata }) => record.id === 7 && metadata.table_name === 't');
  expect(seven.map(({ action, record }) => [action, record.note])).toEqual([
    ['read', 'old'],
    ['update', 'newer'],
  ]);
  // The other one asked for none.
  expect(idsOf('read', 'audit.fifo')).toEqual([]);
  const [backfill] = await backfills();
  expect(backfill).toMatchObject({ initial: true, sinks: ['users'], rows: 503, rows_appended: 503 });
  await isCompleted(backfill!.id);

  expect(await world.service.stop()).toBe(0);
  await world.start({ config });
  await sql(`insert into t values (502, 'again')`);
  await waitFor(() => idsOf('insert').includes(502), 'what came after the restart');
  expect(await backfills()).toHaveLength(1);
  expect(idsOf('read')).toHaveLength(503);
});

test('a sink that is there already is not new: it is told what reads for it, which does', async () => {
  await sql(TABLE);
  const config = (extra: string) => world.config({ sinks: [{ name: 'users', tables: ['t'], extra }] });
  await world.start({ config: config('') });
  await world.service.stop();
  const { log } = await world.start({ config: config('initial_backfill: true') });
  const said = await waitFor(
    () => log.map(({ msg = '' }) => msg).find((msg) => msg.includes('initial_backfill is for new ones')),
    'it to be said',
  );
  const [command] = /tailrace (backfill start users)/.exec(said)!.slice(1);
  expect(await runCommand(world.service, ...command!.split(' '))).toMatchObject({ code: 0 });
  await waitFor(() => idsOf('read').length === 500, 'every row');
});

test('a backfill is paused, resumed over a restart and cancelled from the command line, and every row comes once (C208)', async () => {
  await sql(`create table t (id int primary key, note text);
    insert into t select i, 'old' from generate_series(1, 1500) i; analyze t`);
  const config = world.config({
    sinks: [{ name: 'users', tables: ['t'], extra: 'backfill: { max_rows_per_second: 300 }' }],
  });
  await world.start({ config });
  const id = await start('users');
  await waitFor(async () => (await shown(id)).rows > 0, 'the first rows');
  expect((await runCommand(world.service, 'backfill', 'pause', id)).stdout).toContain('is paused');
  const paused = await shown(id);
  expect(paused).toMatchObject({ state: 'paused', estimated_rows: 1500, seconds_left: null });
  expect(paused.rows).toBeLessThan(1500);
  await waitFor(async () => idsOf('read').length === (await shown(id)).rows_appended, 'what was read');
  const whenPaused = idsOf('read').length;

  // While no service runs it is found in its store.
  expect(await world.service.stop()).toBe(0);
  const stopped = startCli(['backfill', 'list'], {
    cwd: world.directory,
    env: {
      TAILRACE_DATA_DIR: `${world.directory}/data`,
      CONFIG_FILE_PATH: `${world.directory}/tailrace.yaml`,
    },
  });
  expect(await stopped.code).toBe(0);
  expect(stopped.stdout()).toMatch(new RegExp(`^${id} +shop +users +public.t +paused`, 'm'));
  await world.start({ config });
  expect((await shown(id)).state).toBe('paused');
  expect(idsOf('read')).toHaveLength(whenPaused);

  expect((await runCommand(world.service, 'backfill', 'resume', id)).stdout).toContain('is read on');
  await waitFor(async () => (await shown(id)).rows > whenPaused, 'it to go on');
  await world.service.kill();
  await world.start({ config });
  const watched = await runCommand(world.service, 'backfill', 'show', id, '--watch');
  expect(watched).toMatchObject({ code: 0, stdout: expect.stringContaining('completed') as string });
  await waitFor(() => new Set(idsOf('read')).size === 1500, 'every row');
  expect(new Set(idsOf('read'))).toEqual(new Set(upTo(1500)));

  const second = await start('users', '--table', 't');
  await waitFor(async () => (await shown(second)).rows > 0, 'the second one to read');
  expect((await runCommand(world.service, 'backfill', 'cancel', second)).stdout).toContain('is cancelled');
  const cancelled = await shown(second);
  expect(cancelled).toMatchObject({ state: 'cancelled', ended_at: expect.any(String) as string });
  expect(await runCommand(world.service, 'backfill', 'show', second, '--watch')).toMatchObject({ code: 1 });
  const refused = await runCommand(world.service, 'backfill', 'resume', second);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('is cancelled') as string });
});

test('only the rows that are asked for come: by a filter, from a value on, by their keys (C208)', async () => {
  await sql(TABLE);
  await world.start({ config: world.config({ sinks: [{ name: 'users', tables: ['t'] }] }) });
  await isCompleted(await start('users', '--table', 't', '--where', 'id % 100 = 0 -- some'));
  await waitFor(() => idsOf('read').length === 5, 'those of the filter');
  expect(idsOf('read')).toEqual([100, 200, 300, 400, 500]);
  await isCompleted(await start('users', '--table', 't', '--sort-column', 'id', '--from', '499'));
  await waitFor(() => idsOf('read').length === 7, 'those from a value on');
  expect(idsOf('read')).toEqual([100, 200, 300, 400, 499, 500, 500]);
  const keys = join(world.directory, 'keys.txt');
  writeFileSync(keys, '7\n[9]\n["7777"]\n');
  await isCompleted(await start('users', '--table', 't', '--keys', keys));
  await waitFor(() => idsOf('read').length === 9, 'those of the keys');
  expect(idsOf('read')).toEqual([7, 9, 100, 200, 300, 400, 499, 500, 500]);
});

test('what cannot be read is refused with the reason, nothing begins, and the live stream goes on', async () => {
  await sql(TABLE);
  await world.start({
    config: world.config({
      sinks: [
        { name: 'users', tables: ['t'] },
        { name: 'deletes', tables: ['t'], queue: 'deletes.fifo', extra: 'actions: [delete]' },
      ],
    }),
  });
  const refused = async (...argv: readonly string[]) => {
    const { code, stderr } = await runCommand(world.service, 'backfill', 'start', ...argv);
    expect(code).not.toBe(0);
    return stderr;
  };
  expect(await refused('usres')).toContain('no sink "usres"');
  expect(await refused('users', '--table', 'tt')).toContain(
    'there is no table public.tt; did you mean "public.t"?',
  );
  expect(await refused('users', '--table', 't', '--where', 'nota = 1')).toContain(
    'Postgres refuses the filter, at line 1, column 1 of it: column "nota" does not exist',
  );
  expect(await refused('users', '--table', 't', '--sort-column', 'idd', '--from', '1')).toContain(
    'did you mean "id"',
  );
  expect(await refused('users', '--where', 'true')).toContain('--table');
  expect(await refused('deletes')).toContain('backfill: { reads: true }');
  expect(await refused()).toContain('name a sink');
  await sql('create table unread (id int primary key)');
  expect(await refused('users', '--table', 'unread')).toContain('does not carry public.unread');
  expect(await backfills()).toEqual([]);
  await sql(`insert into t values (501, 'live')`);
  await waitFor(() => idsOf('insert').includes(501), 'the live change');
});

test('one that fails says why in the status, and what the status advises lets it go on once that is mended', async () => {
  await sql(TABLE);
  const initial = `initial_backfill:
  - { table: t, type: partial, sort_column: changed_at, start_position: 2026-01-01 }`;
  await world.start({ config: world.config({ sinks: [{ name: 'users', tables: ['t'], extra: initial }] }) });
  const trouble = await waitFor(async () => {
    const [database] = (await world.service.health()).databases;
    return database!.troubles.find(({ reason }) => reason.includes('has failed'));
  }, 'it to fail');
  expect(trouble.reason).toContain('no column "changed_at"');
  expect(idsOf('read')).toEqual([]);
  await sql(`alter table t add changed_at date not null default '2025-01-01'`);
  await sql(`update t set changed_at = '2026-02-02' where id > 490`);
  const [command] = /tailrace (backfill resume \w+)/.exec(trouble.cure!)!.slice(1);
  expect(await runCommand(world.service, ...command!.split(' '))).toMatchObject({ code: 0 });
  await waitFor(() => idsOf('read').length > 0, 'the rows that begin there');
  await isCompleted(command!.split(' ').at(-1)!);
  await waitFor(() => idsOf('read').length === 10, 'all of them');
  expect(idsOf('read')).toEqual(upTo(10, 491));
  await waitFor(async () => (await world.service.health()).status === 'healthy', 'all to be well');
});

test('a table that is not there is named with the one that may be meant, once the others have been read', async () => {
  await sql(TABLE);
  const source = '{ include_tables: ["public.t*"] }';
  const extra = 'initial_backfill: [{ table: tt }, { table: t }]';
  await world.start({
    config: world.config({
      sinks: [{ name: 'users', tables: [], source, extra }],
      publication: 'refresh_interval: 100ms',
    }),
  });
  const failed = await waitFor(async () => {
    const [backfill] = await backfills();
    return backfill?.state === 'failed' && backfill;
  }, 'it to fail');
  expect(failed.reason).toContain('there is no table public.tt; did you mean "public.t"?');
  await waitFor(() => idsOf('read').length === 500, 'the rows of the other one');
  await sql('create table tt (id int primary key, note text); insert into tt values (1000, null)');
  await waitFor(async () => {
    const [database] = (await world.service.health()).databases;
    return database!.joinedTables.some(({ table }) => table === 'tt');
  }, 'the table to be streamed');
  await askCommand(world.service, 'backfill', 'resume', failed.id);
  await waitFor(() => idsOf('read').includes(1000), 'its row');
  expect(idsOf('read')).toHaveLength(501);
});

test('for all sinks it is read once, and each that takes its rows gets them', async () => {
  await sql(TABLE);
  await world.start({
    config: world.config({
      sinks: [
        { name: 'users', tables: ['t'] },
        { name: 'audit', tables: ['t'], queue: 'audit.fifo' },
        { name: 'quiet', tables: ['t'], queue: 'quiet.fifo', extra: 'backfill: { reads: false }' },
      ],
    }),
  });
  const id = await start('--all-sinks');
  await waitFor(() => idsOf('read').length === 500, 'the rows at one');
  await waitFor(() => idsOf('read', 'audit.fifo').length === 500, 'the rows at the other');
  await isCompleted(id);
  expect(await shown(id)).toMatchObject({ sinks: ['users', 'audit'], rows: 500 });
  await sql(`insert into t values (501, 'live')`);
  await waitFor(() => idsOf('insert', 'quiet.fifo').length === 1, 'the live change at the third');
  expect(idsOf('read', 'quiet.fifo')).toEqual([]);
});

test('a row that is too large for the log is a dead letter with its size, the others come, and so do live changes', async () => {
  await sql(`create table t (id int primary key, note text, bytes bytea);
    insert into t select i, 'old', null from generate_series(1, 20) i;
    update t set note = repeat('x', 300000) where id = 7; update t set bytes = convert_to(repeat('y', 200000), 'UTF8') where id = 9`);
  await world.start({
    config: `${world.config({ sinks: [{ name: 'users', tables: ['t'] }] })}\nlog: { max_message_bytes: 256KB }`,
  });
  const id = await start('users');
  await isCompleted(id);
  expect(await shown(id)).toMatchObject({ rows: 20, rows_appended: 20 });
  await sql(`insert into t values (21, 'live')`);
  await waitFor(() => idsOf('insert').length === 1, 'the live change');
  await waitFor(() => idsOf('read').length === 18, 'the rows that are not too large');
  expect(idsOf('read')).toEqual(upTo(20).filter((one) => one !== 7 && one !== 9));
  const letters = await waitFor(async () => {
    const found = await askCommand<{ dead_letters: readonly { reason: string }[] }>(
      world.service,
      'dead-letters',
      'list',
      'users',
    );
    return found.dead_letters.length === 2 && found.dead_letters;
  }, 'both dead letters');
  // With the key, and what a row has beside its texts.
  expect(letters.map(({ reason }) => reason)).toEqual([
    expect.stringContaining('read of public.t: the row has 300020 bytes'),
    expect.stringContaining('read of public.t: the row has 400029 bytes'),
  ]);
});

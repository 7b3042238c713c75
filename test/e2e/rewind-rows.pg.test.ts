// Rewinds of rows over a FIFO queue: the changes of these rows come again, in order and not swallowed, and nobody else's do.
import { describe, expect, test } from 'vitest';
import type { StartedRowRewind } from '../../src/pipeline/service/row-rewinds.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand, runCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();
const QUEUE = 'changes.fifo';
const sql = (text: string) => world.database.client.query(text);

type Got = { readonly what: string; readonly key: string; readonly dedup: string };

/** `update 1 paid` … in order. */
const got = (): readonly Got[] =>
  world.recorder.messagesOf(QUEUE).map(({ body, dedup }) => {
    const { action, record, metadata } = JSON.parse(body) as ChangeMessage;
    const state = typeof record['state'] === 'string' ? ` ${record['state']}` : '';
    return {
      what: `${action} ${String(record['id'])}${state}`,
      key: metadata.idempotency_key,
      dedup: dedup!,
    };
  });
const since = (count: number): readonly string[] =>
  got()
    .slice(count)
    .map(({ what }) => what);
const receive = (count: number): Promise<unknown> =>
  waitFor(() => got().length >= count, `${count} messages`);
/** The store knows before any status does that there is something left to do. */
const rest = (): Promise<unknown> =>
  waitFor(async () => {
    const url = `${await world.service.apiUrl()}/api/sinks/sink-0/rewind_rows`;
    const { rewinds } = (await (await fetch(url)).json()) as { rewinds: { state: string }[] };
    const { sinks, databases } = await world.service.health();
    const [sink] = sinks;
    return (
      rewinds.every(({ state }) => state === 'completed') &&
      sink!.state === 'running' &&
      sink!.lagBytes === 0 &&
      sink!.inFlight === 0 &&
      (databases[0]!.backfills ?? []).length === 0
    );
  }, 'the sink to have nothing left to do');

const TABLES =
  'create table orders (id int primary key, state text, note text); create table quiet (id int primary key)';
const config = () => world.config({ sinks: [{ tables: ['orders'], queue: QUEUE }] });

async function start(): Promise<void> {
  await sql(TABLES);
  await world.start({ config: config() });
}

describe('--to-row', () => {
  test('sends all that the log has of one row again, in order, under its new keys too, and of no other row', async () => {
    await start();
    await sql(`insert into orders values (1, 'new'), (2, 'new')`);
    await sql(`update orders set state = 'paid' where id = 1`);
    await sql(`update orders set state = 'paid' where id = 2`);
    await sql(`update orders set id = 3 where id = 1`);
    await sql(`update orders set state = 'sent' where id = 3`);
    await receive(6);
    const first = got();

    const planned = await askCommand<StartedRowRewind>(
      world.service,
      'rewind',
      'sink-0',
      '--to-row',
      'orders',
      '01',
      '--dry-run',
    );
    expect(planned).toMatchObject({
      table: 'public.orders',
      changes: 4,
      read: null,
      id: null,
      backfills: [],
    });
    expect(Date.parse(planned.since!)).toBeLessThanOrEqual(Date.now());
    expect(got()).toHaveLength(6);

    await askCommand(world.service, 'rewind', 'sink-0', '--to-row', 'orders', '1');
    await receive(10);
    await rest();
    expect(since(6)).toEqual(['insert 1 new', 'update 1 paid', 'update 3 paid', 'update 3 sent']);
    for (const { what, key, dedup } of got().slice(6)) {
      const before = first.find((one) => one.what === what)!;
      expect(key).toBe(before.key);
      expect(dedup).toBe(`${before.dedup}:w1`);
    }
    const url = `${await world.service.apiUrl()}/api/sinks/sink-0/rewind_rows`;
    expect(await (await fetch(url)).json()).toMatchObject({
      rewinds: [{ id: 1, table: 'public.orders', state: 'completed', changes: 4, sent: 4, reason: null }],
    });
    // The sink's own place has not moved.
    const [sink] = (await world.service.health()).sinks;
    expect(sink).toMatchObject({ status: 'healthy', rewinds: 0 });
  });

  test('a row of which the log has not all comes as it is in the table, and one that nobody has is said so', async () => {
    await sql(TABLES);
    await sql(`insert into orders values (1, 'old'), (2, 'old')`);
    await world.start({ config: config() });
    await sql(`update orders set state = 'paid' where id = 1`);
    await receive(1);
    const answer = await runCommand(world.service, 'rewind', 'sink-0', '--to-row', 'public.orders', '1');
    expect(answer.code).toBe(0);
    expect(answer.stdout).toMatch(/1 changes of 1 rows of public\.orders, since .* are sent again/);
    expect(answer.stdout).toContain('come as they are in the table');
    await receive(3);
    await rest();
    expect(since(1).toSorted()).toEqual(['read 1 paid', 'update 1 paid']);
    await askCommand(world.service, 'rewind', 'sink-0', '--to-row', 'orders', '2');
    await receive(4);
    expect(since(3)).toEqual(['read 2 old']);

    const said = async (...argv: string[]) => {
      const { code, stderr } = await runCommand(world.service, 'rewind', 'sink-0', ...argv);
      return `${code} ${stderr}`;
    };
    expect(await said('--to-row', 'orders', '7')).toMatch(
      /^1 .*neither the log nor public\.orders has a row with the key \["7"\]/,
    );
    expect(await said('--to-row', 'orders', '7', '8')).toMatch(
      /^1 .*has 2 parts: that of public\.orders has 1/,
    );
    expect(await said('--to-row', 'orders', 'x')).toMatch(/^1 .*a key of public\.orders is none/);
    expect(await said('--to-row', 'ordres', '1')).toMatch(
      /^1 .*no table public\.ordres.*did you mean.*public\.orders/i,
    );
    expect(await said('--to-row', 'quiet', '1')).toMatch(/^1 .*quiet/);
    expect(await said('--to-row', 'orders')).toMatch(/^2 .*needs a table and a key/);
    expect(await said('--to', 'earliest', '--where', 'true', '--table', 'orders')).toMatch(
      /^2 .*give one of them/,
    );
    expect(await said('--where', 'true')).toMatch(/^2 .*--where and --table go together/);
    expect(await said('--where', 'id = ', '--table', 'orders')).toMatch(/^1 .*line 1, column/);
    expect((await runCommand(world.service, 'rewind', 'sink-1', '--to-row', 'orders', '1')).stderr).toContain(
      'no sink "sink-1"',
    );
    expect(got()).toHaveLength(4);
  });

  test('what a TRUNCATE has taken does not come again', async () => {
    await start();
    await sql(`insert into orders values (1, 'first')`);
    await sql('truncate orders');
    await sql(`insert into orders values (1, 'second')`);
    await receive(2);
    await askCommand(world.service, 'rewind', 'sink-0', '--to-row', 'orders', '1');
    await receive(3);
    await rest();
    expect(since(2)).toEqual(['insert 1 second']);
  });
});

test('--where sends the rows that a condition is true of, or was, and those of the table that the log does not have', async () => {
  await sql(TABLES);
  await sql(`insert into orders values (1, 'paid'), (2, 'old')`);
  await world.start({ config: config() });
  await sql(`insert into orders values (3, 'new'), (4, 'new')`);
  await sql(`update orders set state = 'paid' where id = 3`);
  await sql(`update orders set state = 'sent' where id = 3`);
  await receive(4);
  const where = ['--where', `state = 'paid'`, '--table', 'orders'];
  expect(await askCommand(world.service, 'rewind', 'sink-0', ...where, '--dry-run')).toMatchObject({
    rows: 1,
    changes: 3,
    read: { keys: 0, where: `state = 'paid'` },
    backfills: [],
  });
  await askCommand(world.service, 'rewind', 'sink-0', ...where);
  await receive(8);
  await rest();
  const again = since(4);
  expect(again.filter((what) => !what.startsWith('read'))).toEqual([
    'insert 3 new',
    'update 3 paid',
    'update 3 sent',
  ]);
  expect(again.filter((what) => what.startsWith('read'))).toEqual(['read 1 paid']);
});

test('kill -9 in the midst of a rewind under live changes: each of its changes comes, and the last of each row is the last', async () => {
  await start();
  const rows = 200;
  await sql(`insert into orders select i, 'new' from generate_series(1, ${rows}) i`);
  for (let round = 1; round <= 20; round++)
    await sql(`update orders set state = 'round ${round}' where id <= ${rows / 2}`);
  const before = rows + 10 * rows;
  await receive(before);
  await askCommand(world.service, 'rewind', 'sink-0', '--where', `id <= ${rows / 2}`, '--table', 'orders');
  let round = 20;
  const change = () => sql(`update orders set state = 'round ${++round}' where id <= ${rows / 2}`);
  await change();
  await waitFor(() => got().some(({ dedup }) => dedup.endsWith(':w1')), 'some to come again');
  await world.service.kill();
  await change();
  await world.start({ config: config() });
  await change();
  await rest();
  await waitFor(
    async () => (await world.service.health()).sinks[0]!.lagBytes === 0,
    'everything to be delivered',
  );
  const again = got().filter(({ dedup }) => dedup.endsWith(':w1'));
  // At least what the log had when it was asked for, each once.
  expect(new Set(again.map(({ dedup }) => dedup)).size).toBe(again.length);
  for (let id = 1; id <= rows / 2; id++) {
    const own = again.flatMap(({ what }) => (what.split(' ')[1] === String(id) ? [what] : []));
    expect(own.slice(0, 21)).toEqual([
      `insert ${id} new`,
      ...Array.from({ length: 20 }, (_, i) => `update ${id} round ${i + 1}`),
    ]);
    expect(got().findLast(({ what }) => what.split(' ')[1] === String(id))!.what).toBe(
      `update ${id} round ${round}`,
    );
  }
  expect(again.every(({ what }) => Number(what.split(' ')[1]) <= rows / 2)).toBe(true);
});

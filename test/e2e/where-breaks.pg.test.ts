// A filter that its tables do not fit: a column that it names is dropped, a table comes later without it, values that it needs are never
// sent. The sink waits where it cannot go on, or makes dead letters; nothing is lost, and the others go on.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { runCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();

const sql = (text: string) => world.database.client.query(text);
const arrived = (queue: string): string[] =>
  world.recorder
    .messagesOf(queue)
    .map(({ body }) => JSON.parse(body) as ChangeMessage)
    .map(({ action, record, metadata }) => `${action} ${metadata.table_name} ${String(record['id'])}`);
const sinkOf = async (name: string) =>
  (await world.service.health()).sinks.find((sink) => sink.name === name)!;
const settled = (name: string) =>
  waitFor(async () => {
    const { state, lagBytes } = await sinkOf(name);
    return state === 'running' && lagBytes === 0;
  }, `sink ${name} to settle everything`);
const has = (queue: string, messages: number) =>
  waitFor(() => arrived(queue).length >= messages, `${messages} messages in ${queue}`);

test('a filter whose column is dropped, or that a later table lacks, waits at that change, until it is changed', async () => {
  await sql('create table orders_a (id int primary key, status text, size int)');
  const config = (where: string, filtered = '') =>
    world.config({
      publication: 'refresh_interval: 100ms',
      sinks: [
        {
          name: 'waits',
          queue: 'waits.fifo',
          tables: ['orders_*'],
          extra: `where: "${where}"\n${filtered}`,
        },
        {
          name: 'letters',
          queue: 'letters.fifo',
          tables: ['orders_*'],
          extra: 'where: size > 10\non_schema_break: dead_letter',
        },
        { name: 'all', queue: 'all.fifo', tables: ['orders_*'] },
      ],
    });
  await world.start({ config: config('size > 10') });
  // In one transaction: what comes before the column is dropped is delivered all the same.
  await sql(`
    begin;
    insert into orders_a values (1, 'paid', 20), (2, 'open', 5);
    alter table orders_a drop column size;
    insert into orders_a values (3, 'paid');
    commit`);
  await has('all.fifo', 3);
  await waitFor(async () => (await sinkOf('waits')).state === 'halted', 'the sink to halt');
  const { reason, cure } = await sinkOf('waits');
  expect(reason).toMatch(
    /where cannot be used for public\.orders_a.*there is no column "size".*waits at the change 0:[0-9A-F]+\/[0-9A-F]+:2, committed at \d{4}-\d\d-\d\dT/,
  );
  expect(cure).toMatch(/^change the filter .*start again/);
  await has('waits.fifo', 1);
  await settled('letters');
  expect(await sinkOf('letters')).toMatchObject({ state: 'running', deadLetters: 1 });
  // It looks again by itself, and repeats nothing.
  await waitFor(async () => (await sinkOf('waits')).requests >= 1, 'its one request');
  expect(world.recorder.counts.duplicates).toBe(0);
  await world.service.kill();

  await world.start({ config: config("status = 'paid'") });
  await has('waits.fifo', 2);
  await settled('waits');
  expect(arrived('waits.fifo')).toEqual(['insert orders_a 1', 'insert orders_a 3']);
  expect((await sinkOf('waits')).status).toBe('healthy');
  await sql('create table orders_b (id int primary key, note text)');
  const streamed = async () => (await world.service.health()).databases[0]!.tables;
  await waitFor(async () => (await streamed()) === 2, 'the new table to be published');
  await sql(`insert into orders_b values (1, 'x'); insert into orders_a values (4, 'paid')`);
  await waitFor(async () => (await sinkOf('waits')).state === 'halted', 'the sink to halt again');
  expect((await sinkOf('waits')).reason).toMatch(/public\.orders_b.*there is no column "status"/);
  expect(await world.service.stop()).toBe(0);

  // The table gets what is true of all its changes; the sink's own filter is for the tables that have the column.
  const own = `tables: [{ name: orders_a, where: "status = 'paid'" }]`;
  await world.start({ config: config("meta.table = 'orders_a' or id = 1", own) });
  await has('waits.fifo', 4);
  await settled('waits');
  expect(arrived('waits.fifo').slice(2)).toEqual(['insert orders_b 1', 'insert orders_a 4']);
  await settled('letters');
  expect((await sinkOf('letters')).deadLetters).toBe(3);
});

test('a sink whose filter would make more than a thousand dead letters a minute is held until it is let go on, and its cure mends it', async () => {
  await sql(`
    create table orders (id int primary key, note text, changed int);
    alter table orders alter column note set storage external`);
  const config = world.config({
    sinks: [{ name: 'notes', tables: ['orders'], extra: `where: length(note) > 10` }],
  });
  await world.start({ config });
  await sql(`insert into orders select n, repeat('x', 3000) from generate_series(1, 1050) n`);
  await waitFor(() => world.recorder.counts.accepted === 1050, 'the rows');
  await sql('update orders set changed = 1');
  await waitFor(async () => (await sinkOf('notes')).state === 'halted', 'the sink to be held');
  const { reason, cure, deadLetters } = await sinkOf('notes');
  expect(reason).toMatch(/^more than 1000 changes within a minute cannot be judged by where/);
  expect(deadLetters).toBe(1000);
  const [, statement, command] = /(ALTER TABLE [^;]+;).*`tailrace (resume notes)`/.exec(cure!)!;
  await sql(statement!);
  expect((await runCommand(world.service, ...command!.split(' '))).code).toBe(0);
  await settled('notes');
  expect(await sinkOf('notes')).toMatchObject({ state: 'running', deadLetters: 1050 });
  await sql('update orders set changed = 2');
  await settled('notes');
  await waitFor(() => world.recorder.counts.accepted === 2100, 'what can be judged now');
  expect((await sinkOf('notes')).deadLetters).toBe(1050);
});

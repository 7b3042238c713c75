// Schema, table, columns, sinks and annotations that are called like what every JavaScript object has.
import { expect, test } from 'vitest';
import { startCli } from '../support/cli.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand, runCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

const COLUMNS = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'];
const FORMATS = ['sequin', 'tailrace', 'pg2sqs'];
/** One of each of these formats, then one whose message is refused. */
const SINKS = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
const REFUSING = SINKS.at(-1)!;
const TABLE = '"__proto__"."constructor"';
/** No object literal: `__proto__` would be none of its keys. */
const parse = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;
const ROW = '{"__proto__":1,"constructor":"a","toString":"b","hasOwnProperty":"c","valueOf":null}';

test('names of prototypes are names like others: in formats, key, group, dead letter, status, metric and tail', async () => {
  const { client } = world.database;
  await client.query(`create schema "__proto__"`);
  await client.query(
    `create table ${TABLE} ("__proto__" int, "constructor" text, "toString" text, "hasOwnProperty" text, "valueOf" text,
       primary key ("__proto__", "constructor"))`,
  );
  await client.query(`alter table ${TABLE} replica identity full`);
  world.proxy.decide = ({ action, queue }) =>
    action === 'SendMessageBatch' && queue === `${REFUSING}.fifo`
      ? { kind: 'entries', senderFault: true, code: 'InvalidMessageContents', refuse: () => true }
      : undefined;
  const sinks = SINKS.map((name, i) => ({
    name,
    tables: [],
    source: '{ include_tables: ["__proto__.constructor"] }',
    queue: `${name}.fifo`,
    extra: `format: ${FORMATS[i] ?? 'sequin'}
annotations: { __proto__: p, constructor: { toString: 1 } }
tables: [{ name: __proto__.constructor, group_column_names: [toString, constructor], columns: [${COLUMNS.join(', ')}] }]`,
    destination: `tables: { __proto__.constructor: { insert: { group_id: "${i === 0 ? '${__proto__}/${constructor}/${hasOwnProperty}' : '${constructor}'}" } } }`,
  }));
  await world.start({ config: world.config({ faulty: true, sinks }) });

  const tail = startCli(['tail', world.database.url, '--table', '__proto__.constructor']);
  await waitFor(() => tail.stderr().includes('streaming'), 'tail to stream');
  await client.query(`insert into ${TABLE} values (1, 'a', 'b', 'c', null)`);
  await client.query(`update ${TABLE} set "toString" = 'B', "valueOf" = 'v'`);
  await waitFor(() => world.recorder.messages.length === 2 * (SINKS.length - 1), 'both changes everywhere');
  const bodiesOf = (name: string) =>
    world.recorder.messages.filter(({ queue }) => queue === `${name}.fifo`).map(({ body }) => parse(body));

  for (const [i, format] of FORMATS.entries()) {
    const [inserted, updated] = bodiesOf(SINKS[i]!);
    if (format === 'pg2sqs') continue;
    expect(inserted!['record']).toEqual(parse(ROW));
    expect(Object.keys(inserted!['record'] as object)).toEqual(COLUMNS);
    expect(updated!['changes']).toEqual(parse('{"toString":"b","valueOf":null}'));
    expect(inserted!['metadata']).toMatchObject({
      table_schema: '__proto__',
      table_name: 'constructor',
      record_pks: ['1', 'a'],
      consumer: { name: SINKS[i], annotations: parse('{"__proto__":"p","constructor":{"toString":1}}') },
    });
  }
  const [flat] = bodiesOf(SINKS[FORMATS.indexOf('pg2sqs')]!);
  expect(flat).toEqual(parse(`${ROW.slice(0, -1)},"kind":"insert"}`));
  const groups = world.recorder.messages.map(({ queue, group }) => `${queue} ${group}`);
  expect(groups).toContain('__proto__.fifo 1/a/c');
  expect(groups).toContain('__proto__.fifo __proto__.constructor:B:a');
  expect(groups).toContain('constructor.fifo a');

  const { service } = world;
  const { dead_letters: letters } = await waitFor(async () => {
    const list = await askCommand<{ dead_letters: { id: number; table: string }[] }>(
      service,
      'dead-letters',
      'list',
      REFUSING,
    );
    return list.dead_letters.length === 2 && list;
  }, 'two dead letters');
  expect(letters[0]).toMatchObject({ table: '__proto__.constructor' });
  const shown = await askCommand<{ payload: string }>(
    service,
    'dead-letters',
    'show',
    REFUSING,
    String(letters[0]!.id),
  );
  expect(Object.keys((parse(shown.payload)['record'] as object) ?? {}).toSorted()).toEqual(
    COLUMNS.toSorted(),
  );
  expect((await runCommand(service, 'dead-letters', 'list', 'valueOf')).code).toBe(1);

  const health = await service.health();
  expect(health.sinks.map(({ name }) => name)).toEqual(SINKS);
  const metrics = await (await fetch(`${await service.apiUrl()}/metrics`)).text();
  for (const name of SINKS) expect(metrics).toContain(`sink="${name}"`);

  await waitFor(() => tail.stdout().trim().split('\n').length === 2, 'two lines of tail');
  expect(parse(tail.stdout().split('\n')[0]!)['record']).toEqual(parse(ROW));
  tail.interrupt();
  expect(await tail.code).toBe(0);
});

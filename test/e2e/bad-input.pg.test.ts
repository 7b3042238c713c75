// What is wrong in the configuration, the database, the data or the machine: it is named with its cure, and the cure cures.
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startEmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { configText } from '../support/config.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { connect, createTestDatabase, waitFor } from '../support/postgres.ts';
import { saidBy, startService } from '../support/service.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();

const changes = (queue = 'changes.fifo'): ChangeMessage[] =>
  world.recorder.messagesOf(queue).map(({ body }) => JSON.parse(body) as ChangeMessage);
/** In their own order: groups have none among them. */
const ids = (queue?: string): number[] =>
  changes(queue)
    .map(({ record }) => Number(record['id']))
    .toSorted((a, b) => a - b);

/** Starts the service, which must end by itself: with this code. Answers what it said. */
async function refused(how: { config: string; env?: Record<string, string> }, code: number): Promise<string> {
  const service = world.launch(how);
  expect(await service.ended).toBe(code);
  return saidBy(service);
}

const query = (sql: string): Promise<unknown> => world.database.client.query(sql);

const createTable = (): Promise<unknown> => query('create table t (id int primary key, note text)');

const insertIds = (from: number, to: number): Promise<unknown> =>
  query(`insert into t select i, 'note ' || i from generate_series(${from}, ${to}) i`);

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function expectIds(expected: readonly number[], queue?: string): Promise<void> {
  await waitFor(() => ids(queue).length >= expected.length, `${expected.length} messages`);
  expect(ids(queue)).toEqual(expected);
}

const oneSink = (): string => world.config({ sinks: [{ tables: ['t'] }] });

/** The first SQL statement in `text` that begins like this: what an operator would copy. */
function sqlIn(text: string, beginning: string): string {
  const start = text.indexOf(beginning);
  const end = text.indexOf(';', start);
  if (start === -1 || end === -1) throw new Error(`there is no ${beginning} in: ${text}`);
  return text.slice(start, end);
}

describe('a configuration', () => {
  test('with several faults is refused with all of them, each with file, line and column', async () => {
    const text = oneSink()
      .replace('hostname:', 'hostnme:')
      .replace('database: shop', 'database: shpo')
      .replace('type: sqs', 'type: sqz')
      .concat('colour: blue\n');
    const lines = text.split('\n');
    const placeOf = (key: string): string => {
      const line = lines.findIndex((candidate) => candidate.includes(key));
      return `tailrace.yaml:${line + 1}:${lines[line]!.indexOf(key) + 1}`;
    };
    const said = await refused({ config: text }, 2);
    expect(said).toMatch(
      new RegExp(`${placeOf('hostnme')}  databases\\[shop\\]\\.hostnme  .*did you mean "hostname"`),
    );
    expect(said).toMatch(new RegExp(`${placeOf('shpo')}  sinks\\[sink-0\\]\\.database  .*"shpo"`));
    expect(said).toMatch(
      new RegExp(`${placeOf('sqz')}  sinks\\[sink-0\\]\\.destination\\.type  .*\\(allowed: .*sqs`),
    );
    expect(said).toMatch(new RegExp(`${placeOf('colour')}  colour  unknown key`));
  });
});

describe('a database', () => {
  test('without the slot is refused with the SQL that makes it, which mends it (C160)', async () => {
    await createTable();
    const config = oneSink().replace('create_if_not_exists: true', 'create_if_not_exists: false');
    const said = await refused({ config }, 1);
    expect(said).toContain(`slot "${world.database.name}"`);
    await query(`create publication ${world.database.name} for table t`);
    await query(sqlIn(said, 'SELECT pg_create_logical_replication_slot'));
    await insertIds(1, 3);
    await world.start({ config });
    await expectIds([1, 2, 3]);
  });

  test('without the publication is refused with the SQL that makes it, which mends it (C166)', async () => {
    await createTable();
    const config = oneSink().replace(/(publication: .*)true/, '$1false');
    const said = await refused({ config }, 1);
    expect(said).toContain(`publication "${world.database.name}"`);
    await query(sqlIn(said, 'CREATE PUBLICATION'));
    await world.start({ config });
    await insertIds(1, 3);
    await expectIds([1, 2, 3]);
  });

  test('that refuses the password is named with the role, and the password is not', async () => {
    await createTable();
    const said = await refused({ config: oneSink().replace('password: postgres', 'password: hunter2') }, 1);
    expect(said).toMatch(/database "shop": 127\.0\.0\.1:\d+ refused the password of role "postgres"/);
    expect(said).toContain('correct the password in the configuration');
    expect(said).not.toContain('hunter2');
  });

  test('that does not exist is refused with the SQL that makes it', async () => {
    const { name } = world.database;
    const said = await refused({ config: oneSink().replace(`database: ${name}`, `database: no_${name}`) }, 1);
    expect(said).toContain(`there is no database "no_${name}"`);
    expect(said).toContain(`CREATE DATABASE "no_${name}";`);
  });

  test('with a slot of another plugin is refused with the SQL that makes it anew, which mends it', async () => {
    await createTable();
    await query(`select pg_create_logical_replication_slot('${world.database.name}', 'test_decoding')`);
    const said = await refused({ config: oneSink() }, 1);
    expect(said).toContain(`slot "${world.database.name}": its output plugin is test_decoding`);
    await query(sqlIn(said, 'SELECT pg_drop_replication_slot'));
    await world.start({ config: oneSink() });
    await insertIds(1, 3);
    await expectIds([1, 2, 3]);
  });

  test('whose slot another consumer uses is waited for, and the consumer is named (C161)', async () => {
    await createTable();
    const { name, url } = world.database;
    await query(`create publication ${name} for table t`);
    await query(`select pg_create_logical_replication_slot('${name}', 'pgoutput')`);
    const consumer = await holdSlot(url, name);
    await insertIds(1, 3);
    const service = world.launch({ config: oneSink() });
    const database = await waitFor(async () => {
      const { databases } = await service.health();
      const [found] = databases;
      return found?.state === 'waiting' && found.reason?.includes(name) === true ? found : undefined;
    }, 'the source to say what it waits for');
    expect(database.status).toBe('degraded');
    expect(database.reason).toContain(`process ${consumer.pid}`);
    expect(database.cure).toContain(`SELECT pg_terminate_backend(${consumer.pid});`);
    expect(ids()).toEqual([]);
    await query(sqlIn(database.cure ?? '', 'SELECT pg_terminate_backend'));
    await service.ready();
    await expectIds([1, 2, 3]);
  });

  test('with a table without a key names it with the cure, spares it, and takes it in once it has an identity', async () => {
    await createTable();
    await query('create table bare (id int, note text)');
    const config = world.config({ sinks: [{ tables: ['t', 'bare'] }] });
    const service = await world.start({ config });
    const warning = await warningAbout('public.bare');
    expect(warning).toContain('it has no primary key and no replica identity');
    // The application goes on as if nobody listened.
    await query("insert into bare values (1, 'a')");
    await query("update bare set note = 'b'");
    await query('delete from bare');
    await insertIds(1, 3);
    await expectIds([1, 2, 3]);
    await service.stop();

    await query(sqlIn(warning, 'ALTER TABLE "public"."bare" REPLICA IDENTITY FULL'));
    await world.start({ config });
    await query("insert into bare values (4, 'a')");
    await query("update bare set note = 'b'");
    await query('delete from bare');
    await waitFor(() => ids().length === 6, 'the changes of the table');
    expect(
      changes()
        .slice(3)
        .map(({ action, record }) => [action, record['id']]),
    ).toEqual([
      ['insert', 4],
      ['update', 4],
      ['delete', 4],
    ]);
  });

  async function warningAbout(table: string): Promise<string> {
    return waitFor(async () => {
      const { databases } = await world.service.health();
      return databases[0]?.warnings.find((warning) => warning.includes(`table "${table}"`));
    }, `a warning about ${table}`);
  }

  test('that crashes while a large transaction is delivered comes back, and every row arrives exactly once', async () => {
    const ROWS = 100_000;
    const server = await startEmbeddedPostgres();
    onTestFinished(() => server.remove());
    const database = await createTestDatabase(server.url());
    await database.client.query('create table t (id int primary key, note text)');
    const config = configText({ database, endpoint: world.proxy.url, sinks: [{ tables: ['t'] }] });
    const service = await world.start({ config });
    const { recorder, proxy } = world;
    // Slow enough that the transaction is still on its way when the server goes.
    proxy.latencyMs = 20;
    await database.client.query(`insert into t select i, 'note ' || i from generate_series(1, ${ROWS}) i`);
    await waitFor(() => recorder.messages.length > 0, 'the first messages');
    await server.stop('immediate');
    expect(recorder.messages.length).toBeLessThan(ROWS);
    proxy.latencyMs = 0;
    await waitFor(
      async () => (await service.health()).databases[0]?.status === 'degraded',
      'the source to notice',
    );
    await server.start();
    const client = await connect(database.url);
    onTestFinished(() => client.end());
    await client.query(`insert into t values (${ROWS + 1}, 'after')`);
    await waitFor(() => recorder.messages.length > ROWS, 'every row');
    const seen = ids();
    expect(seen.length).toBe(ROWS + 1);
    expect(new Set(seen).size).toBe(ROWS + 1);
    // Nothing failed at the endpoint, so nothing was sent there twice.
    expect(recorder.counts.duplicates).toBe(0);
    const health = await service.health();
    expect(health.databases[0]).toMatchObject({ status: 'healthy', gaps: [] });
    expect(health.databases[0]?.reconnects).toBeGreaterThan(0);
  });
});

describe('a sink', () => {
  test('whose group names a column that is not there halts and says so; another sink goes on (C118)', async () => {
    await createTable();
    const config = (column: string): string =>
      world.config({
        sinks: [
          { name: 'wrong', tables: ['t'], queue: 'wrong.fifo', destination: `group_id: "g-\${${column}}"` },
          { name: 'right', tables: ['t'], queue: 'right.fifo' },
        ],
      });
    const service = await world.start({ config: config('colour') });
    await insertIds(1, 3);
    await expectIds([1, 2, 3], 'right.fifo');
    const wrong = await sinkWith('wrong', 'halted');
    expect(wrong.reason).toContain('public.t names the column "colour", which the table does not have');
    expect(wrong.cure).toContain('name one of id, note');
    expect(JSON.stringify(service.log)).toContain('GROUP_COLUMN_MISSING');
    await waitFor(
      async () => (await sinkWith('right', 'healthy')).delivered === 3,
      'the status to count them',
    );
    expect(await service.stop()).toBe(0);

    await world.start({ config: config('id') });
    await expectIds([1, 2, 3], 'wrong.fifo');
    expect(ids('right.fifo')).toEqual([1, 2, 3]);
  });

  test('whose queue is not there says so with the cure, and delivers once it is (C232)', async () => {
    await createTable();
    const config = world
      .config({
        sinks: [
          {
            tables: ['t'],
            queue: 'absent.fifo',
            extra: 'retry: { initial_backoff: 50ms, max_backoff: 200ms }',
          },
        ],
      })
      .replace('create_if_not_exists: true\n      region', 'create_if_not_exists: false\n      region');
    await world.start({ config });
    await insertIds(1, 3);
    const sink = await sinkWith('sink-0', 'degraded');
    expect(sink.reason).toContain('absent.fifo: QueueDoesNotExist');
    expect(sink.cure).toContain('create the queue');
    world.recorder.createQueue('absent.fifo', { FifoQueue: 'true' });
    await expectIds([1, 2, 3], 'absent.fifo');
    await sinkWith('sink-0', 'healthy');
  });

  const ROW_BYTES = 1_200_000;

  test.each([
    { what: 'a row whose message is larger than SQS takes', extra: '', cure: 'list fewer columns' },
    {
      what: 'a row larger than the log takes',
      extra: 'log: { max_message_bytes: 1MB }\n',
      cure: 'raise log.max_message_bytes',
    },
  ])('makes a dead letter of $what, and delivers its neighbours', async ({ extra, cure }) => {
    await createTable();
    const service = await world.start({ config: oneSink() + extra });
    await query(`insert into t values (1, 'a'), (2, repeat('x', ${ROW_BYTES})), (3, 'c')`);
    await query("insert into t values (4, 'd')");
    const sink = await waitFor(async () => {
      const { sinks } = await service.health();
      return sinks[0]!.delivered + sinks[0]!.deadLettered === 4 ? sinks[0] : undefined;
    }, 'everything to be settled');
    expect(sink).toMatchObject({ status: 'degraded', delivered: 3, deadLettered: 1, lagBytes: 0 });
    expect(sink.reason).toContain('1 dead letter kept');
    expect(ids()).toEqual([1, 3, 4]);
    // The row that is missing keeps its number.
    const numbers = changes().map(({ record, metadata }) => [record['id'], metadata.commit_idx]);
    expect(new Map(numbers as [number, number][])).toEqual(
      new Map([
        [1, 0],
        [3, 2],
        [4, 0],
      ]),
    );
    const letter = service.log.find(({ msg }) => msg === 'dead letter');
    expect(letter).toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
    expect(letter?.['hint']).toContain('insert of public.t');
    expect(letter?.['hint']).toContain(cure);
  });

  function sinkWith(name: string, status: string) {
    return waitFor(async () => {
      const { sinks } = await world.service.health();
      return sinks.find((sink) => sink.name === name && sink.status === status);
    }, `sink ${name} to be ${status}`);
  }
});

describe('a data directory', () => {
  test('in use by a running service is refused to a second one; the first goes on (C251)', async () => {
    await createTable();
    const first = await world.start({ config: oneSink() });
    const second = startService({ config: oneSink(), directory: world.directory });
    onTestFinished(() => second.end({}));
    expect(await second.ended).toBe(1);
    expect(saidBy(second)).toContain(
      `the data directory ${join(world.directory, 'data')} is in use by another Tailrace process`,
    );
    expect(saidBy(second)).toContain('--data-dir');
    await insertIds(1, 3);
    await expectIds([1, 2, 3]);
    expect((await first.health()).status).toBe('healthy');
  });

  test.each([
    { what: 'that is a file', path: 'file' },
    { what: 'below a file', path: 'file/data' },
  ])('$what is refused by name', async ({ path }) => {
    writeFileSync(join(world.directory, 'file'), '');
    const dataDirectory = join(world.directory, path);
    const said = await refused({ config: oneSink(), env: { TAILRACE_DATA_DIR: dataDirectory } }, 1);
    expect(said).toContain(`the data directory ${dataDirectory} cannot be made`);
    expect(said).toContain('name another directory with --data-dir');
  });

  test.each([
    { where: 'at its beginning', share: 0 },
    { where: 'in its middle', share: 0.5 },
  ])('whose log was damaged $where says so, declares no gap, and every change arrives', async ({ share }) => {
    const { log, config } = await leaveUndelivered();
    flipByte(log, share);

    await world.proxy.up();
    const after = await world.start({ config });
    const warning = after.log.find(({ damaged }) => damaged === true);
    expect(warning?.msg).toContain(`the change log in ${log} is damaged`);
    await expectIds(range(1, 400));
    const { databases } = await after.health();
    expect(databases[0]?.status).toBe('healthy');
    expect(databases[0]?.gaps).toEqual([]);
  });

  test('whose log was damaged before its last segment halts the sink; the log made anew, every change arrives', async () => {
    const { log, config } = await leaveUndelivered('log: { segment_bytes: 4KB }');
    const damaged = flipByte(log, 0.5);

    await world.proxy.up();
    const service = await world.start({ config });
    const sink = await waitFor(async () => {
      const { sinks } = await service.health();
      return sinks[0]?.status === 'halted' ? sinks[0] : undefined;
    }, 'the sink to halt');
    expect(sink.reason).toContain(`${damaged} is damaged at log offset`);
    expect(sink.cure).toContain('move the directory of this log away');
    expect(await service.stop()).toBe(0);

    renameSync(log, join(world.directory, 'damaged-log'));
    await world.start({ config });
    await expectIds(range(1, 400));
  });

  /** Four transactions of 100 rows in the log of a service that has stopped; the endpoint is down, the slot keeps them. */
  async function leaveUndelivered(extra = ''): Promise<{ log: string; config: string }> {
    await createTable();
    const sinks = [{ tables: ['t'] }];
    const config = world.config({ sinks, faulty: true, slot: 'ack: delivered' }) + extra;
    await world.proxy.down();
    const service = await world.start({ config });
    for (const written of [100, 200, 300, 400]) {
      await insertIds(written - 99, written);
      await waitFor(
        async () => (await service.health()).databases[0]?.changes === written,
        `${written} changes in the log`,
      );
    }
    expect(await service.stop()).toBe(0);
    return { log: join(world.directory, 'data/log/shop'), config };
  }
});

/** Turns one byte over in the oldest segment, behind this share of it. Answers the file. */
function flipByte(directory: string, share: number): string {
  const [oldest] = readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .toSorted();
  const path = join(directory, oldest!);
  const bytes = readFileSync(path);
  bytes[Math.floor(bytes.length * share)]! ^= 0xff;
  writeFileSync(path, bytes);
  return path;
}

/** Streams from the slot, as another consumer would, until the server or the test ends it. */
async function holdSlot(url: string, name: string): Promise<{ readonly pid: number }> {
  const consumer = new Client({ connectionString: url, replication: 'database' } as ConstructorParameters<
    typeof Client
  >[0]);
  consumer.on('error', () => undefined);
  await consumer.connect();
  onTestFinished(() => consumer.end());
  consumer
    .query(`START_REPLICATION SLOT ${name} LOGICAL 0/0 (proto_version '1', publication_names '${name}')`)
    .catch(() => undefined);
  return waitFor(async () => {
    const { rows } = await world.database.client.query<{ pid: number }>(
      'select active_pid as pid from pg_replication_slots where slot_name = $1 and active',
      [name],
    );
    return rows[0];
  }, 'the other consumer to stream');
}

// docs/backfills.md, as somebody follows it: its configuration runs, and each of its commands does what the page says.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startCli } from './support/cli.ts';
import { loadText } from './config/load-config.ts';
import { askCommand } from './support/operator.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';
import { PullClient } from './support/pull-workers.ts';
import { createWorkDirectory, startService, type ServiceProcess } from './support/service.ts';
import { waitFor } from './support/wait.ts';

const page = readFileSync(resolve(import.meta.dirname, '../docs/backfills.md'), 'utf8');
const blocksOf = (language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, text]) => text!);

/** Without what stands behind them as a remark; quotes as a shell takes them. */
const commands = blocksOf('sh')
  .flatMap((block) => block.split('\n'))
  .filter((line) => line.startsWith('tailrace '))
  .map((line) =>
    [...line.replace(/\s+#.*$/, '').matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare!),
  )
  .map(([, ...argv]) => argv);

const SHOWN_ID = 'k7x2m9p4qa';

let database: TestDatabase;
let directory: ReturnType<typeof createWorkDirectory>;
let service: ServiceProcess;
beforeEach(async () => {
  database = await createTestDatabase();
  directory = createWorkDirectory();
  await database.client.query(`
    create table users (id int primary key, email text); insert into users select i, 'x' from generate_series(1, 20) i;
    create table orders (id int primary key, total int, updated_at date);
    insert into orders select i, i * 10, date '2025-12-20' + i from generate_series(1, 30) i; analyze`);
});
afterEach(async ({ task }) => {
  await service?.end(task);
  await database.drop();
  directory.remove();
});

test('its configuration makes a new sink begin with what is there, and every command does its work', async () => {
  const config = blocksOf('yaml')[0]!
    .replace('postgres://tailrace@localhost:5432/shop', database.url)
    .replaceAll('name: tailrace', `name: ${database.name}`);
  service = startService({ directory: directory.path, config: `${config}api: { listen: 127.0.0.1:0 }\n` });
  await service.ready();
  const client = new PullClient(await service.apiUrl(), 'users');
  const rows: { action: string; table: string }[] = [];
  const received = async (count: number): Promise<void> => {
    await waitFor(async () => {
      const messages = await client.receive({ batchSize: 100, waitFor: '1s' });
      if (messages.length > 0) await client.ack(...messages);
      rows.push(...messages.map(({ data }) => ({ action: data.action, table: data.metadata.table_name })));
      return rows.length >= count;
    }, `${count} messages`);
    expect(rows).toHaveLength(count);
  };
  await received(50);
  expect(new Set(rows.map(({ action }) => action))).toEqual(new Set(['read']));

  writeFileSync(join(directory.path, 'lost.txt'), '3\n7\n');
  const run = async (argv: readonly string[]): Promise<string> => {
    const cli = startCli([...argv, '--url', await service.apiUrl()], { cwd: directory.path });
    expect([argv, await cli.code, cli.stderr()]).toEqual([argv, 0, expect.not.stringContaining('error')]);
    return cli.stdout();
  };
  const starts = commands.filter(([, verb]) => verb === 'start');
  // All rows; of one table; of these some; those since; two keys; all again, gently and at full speed.
  const counts = [50, 30, 20, 19, 2, 50, 50];
  expect(starts).toHaveLength(counts.length);
  let expected = 50;
  let finished = '';
  for (const [i, argv] of starts.entries()) {
    finished = /^backfill (\w+) reads/.exec(await run(argv))![1]!;
    await received((expected += counts[i]!));
  }
  expect(await run(['backfill', 'show', finished, '--watch'])).toContain('completed');

  const slowly = ['backfill', 'start', 'users', '--max-rows-per-second', '1'];
  const slow = await askCommand<{ backfill: { id: string } }>(service, ...slowly);
  const states: string[] = [];
  for (const argv of commands.filter(([, verb]) => verb !== 'start')) {
    const id = argv.includes('--watch') ? finished : slow.backfill.id;
    await run(argv.map((word) => (word === SHOWN_ID ? id : word)));
    if (['pause', 'resume', 'cancel'].includes(argv[1]!)) {
      const { state } = await askCommand<{ state: string }>(service, 'backfill', 'show', id);
      states.push(state === 'waiting' ? 'running' : state);
    }
  }
  expect(states).toEqual(['paused', 'running', 'cancelled']);
});

test('its list of tables is one that a configuration takes', async () => {
  const [whole, list] = blocksOf('yaml');
  const text = whole!.replace('    initial_backfill: true\n', list!.replaceAll(/^(?=.)/gm, '    '));
  const { settings } = await loadText(text);
  expect(settings.sinks[0]!.backfill.initial).toEqual([
    { schema: 'public', table: 'users' },
    { schema: 'public', table: 'orders', sort: { column: 'updated_at', from: '2026-01-01' } },
  ]);
});

test('the right that it names is the one that is missing', async () => {
  const [grant] = /GRANT SELECT ON public\.users TO tailrace;/.exec(page)!;
  expect(page).toContain('BYPASSRLS');
  await database.client.query('begin; create role tailrace');
  await database.client.query(grant);
  await database.client.query('set local role tailrace; select from public.users');
  await database.client.query('rollback');
});

// `tailrace explain` and `tailrace where test` beside the service: what they say is what the service does, while it runs and when it is stopped.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startCli } from '../support/cli.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { FAKE_AWS } from '../support/service.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

const sql = (text: string) => world.database.client.query(text);

async function run(...argv: string[]) {
  const cli = startCli(argv, {
    cwd: world.directory,
    env: { TAILRACE_DATA_DIR: join(world.directory, 'data'), ...FAKE_AWS },
  });
  return { code: await cli.code, stdout: cli.stdout(), stderr: cli.stderr() };
}

type Explained = {
  readonly table: string;
  readonly action: string;
  readonly key: string | null;
  readonly where: string | null;
  readonly not_sent: string | null;
  readonly commit_lsn: string;
  readonly commit_idx: number;
  readonly halts?: string;
  readonly messages: readonly {
    readonly action: string;
    readonly route: string;
    readonly group: string;
    readonly idempotency_key: string;
    readonly dead_letter: { readonly code: string } | null;
    readonly body: string | null;
  }[];
};

async function explained(...argv: string[]): Promise<readonly Explained[]> {
  const { code, stdout, stderr } = await run('explain', ...argv, '--json');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Explained);
}

// Each of its commands reads the configuration anew.
const COMMANDS = { timeout: 300_000 };

test('explain says of each change what the service did with it, in the same bytes', COMMANDS, async () => {
  await sql(`
    create table orders (id int primary key, status text, amount numeric, note text);
    create table others (id int primary key);
    alter table orders alter column note set storage external`);
  const config = world.config({
    sinks: [
      {
        name: 'paid',
        queue: 'paid.fifo',
        tables: ['orders'],
        extra: `where: "status = 'paid' and 100 / amount < 10 and note <> 'x'"\nkey_changes: split`,
      },
      { name: 'rest', queue: 'rest.fifo', tables: ['others'] },
    ],
  });
  await world.start({ config });
  await sql(`
    insert into orders values (1, 'paid', 100.5, repeat('é"', 3000)), (2, 'open', 1, null), (3, 'paid', 0, 'zero');
    update orders set amount = 50 where id = 1;
    update orders set id = 4, note = 'four' where id = 1;
    insert into others values (1);
    delete from orders where id = 2`);
  const arrived = (queue: string) => world.recorder.messagesOf(queue);
  await waitFor(() => arrived('rest.fifo').length === 1, 'the last table');
  const sinks = async () => (await world.service.health()).sinks;
  await waitFor(async () => (await sinks()).every(({ lagBytes }) => lagBytes === 0), 'everything to settle');

  const check = async () => {
    const changes = await explained('paid', '--last', '100');
    expect(
      changes.map(({ action, key, where, not_sent, messages }) =>
        [
          action,
          key,
          where,
          not_sent,
          ...messages.map(({ dead_letter }) => dead_letter?.code ?? 'sent'),
        ].join(' '),
      ),
    ).toEqual([
      'insert public.orders:1 pass  sent',
      'insert public.orders:2 drop where',
      'insert public.orders:3 error  WHERE_ERROR',
      // The long note did not change: it was not sent.
      'update public.orders:1 absent  WHERE_ABSENT',
      'update public.orders:4 pass  sent sent',
      'insert   table',
      'delete public.orders:2 absent  sent',
    ]);
    const sent = changes.flatMap(({ messages }) =>
      messages.filter(({ dead_letter }) => dead_letter === null),
    );
    const recorded = arrived('paid.fifo').map(({ body, group }) => `${group} ${body}`);
    expect(sent.map(({ body, group }) => `${group} ${body}`).toSorted()).toEqual(recorded.toSorted());
    expect(new Set(sent.map(({ route }) => route))).toEqual(new Set(['paid.fifo']));
    return changes;
  };
  const changes = await check();
  await world.service.stop();
  await check();

  // One change, by its LSN and by the numbers that its message has.
  const fourth = changes[4]!;
  const { commit_lsn: lsn, commit_idx: index } = fourth;
  expect(await explained('shop/paid', '--position', `${lsn}:${index}`)).toEqual([fourth]);
  const { metadata } = JSON.parse(fourth.messages[0]!.body!) as {
    metadata: { commit_lsn: number; commit_idx: number };
  };
  expect(await explained('paid', '--position', `${metadata.commit_lsn}:${metadata.commit_idx}`)).toEqual([
    fourth,
  ]);
  expect(await explained('paid', '--position', lsn)).toEqual(
    changes.filter((change) => change.commit_lsn === lsn),
  );

  const text = (await run('explain', 'paid', '--last', '100')).stdout;
  expect(text).toContain("public.others is none of the sink's tables");
  expect(text).toMatch(/where .*tailrace\.yaml:\d+:\d+ {2}sinks\[paid\]\.where: false or NULL/);
  const unknown = await run('explain', 'paid', '--position', '0/1:0');
  expect(unknown).toMatchObject({ code: 1 });
  expect(unknown.stderr).toContain('the log has no change at 0/1');
  expect((await run('explain', 'paidd')).stderr).toMatch(/there is no sink "paidd"; did you mean "paid"/);
});

test(
  'where test counts what a condition would say of the changes in the log, and writes nothing',
  COMMANDS,
  async () => {
    await sql(`
    create table orders (id int primary key, amount numeric, note text);
    create table moved (id int primary key, size text);
    alter table orders alter column note set storage external`);
    const config = world.config({
      sinks: [{ name: 'all', queue: 'all.fifo', tables: ['orders', 'moved'], extra: `where: "id < 0"` }],
    });
    await world.start({ config });
    await sql(`
    insert into orders select i, i, repeat('x', 5000) from generate_series(0, 9) as i;
    update orders set amount = 20 where id = 9;
    insert into moved values (1, 'large')`);
    await waitFor(
      async () => (await world.service.health()).sinks[0]!.filtered === 12,
      'everything to be read',
    );
    const tried = async (...argv: string[]) => {
      const { code, stdout } = await run('where', 'test', 'all', ...argv, '--json');
      const { tables } = JSON.parse(stdout) as {
        tables: Record<string, Record<string, { count: number; samples: { key: string; said: string }[] }>>;
      };
      const counts = Object.fromEntries(
        Object.entries(tables).map(([table, answers]) => [
          table,
          Object.fromEntries(Object.entries(answers).map(([answer, { count }]) => [answer, count])),
        ]),
      );
      return { code, counts, tables };
    };
    const fine = await tried('id > 4');
    expect(fine).toMatchObject({
      code: 0,
      counts: { 'public.orders': { pass: 6, drop: 5 }, 'public.moved': { drop: 1 } },
    });
    expect(fine.tables['public.orders']!['pass']!.samples.map(({ key }) => key)).toEqual([
      'public.orders:5',
      'public.orders:6',
      'public.orders:7',
    ]);
    const wrong = await tried('10 / amount > 1 and length(note) > 10');
    expect(wrong).toMatchObject({
      code: 1,
      counts: { 'public.orders': { pass: 9, drop: 1, error: 1 }, 'public.moved': { unusable: 1 } },
    });
    expect(wrong.tables['public.orders']!['error']!.samples[0]!.said).toContain('division by zero');
    expect(wrong.tables['public.moved']!['unusable']!.samples[0]!.said).toContain('no column "amount"');
    expect((await tried('length(note) > 10', '--last', '2')).counts).toEqual({
      'public.orders': { absent: 1 },
      'public.moved': { unusable: 1 },
    });
    const syntax = await run('where', 'test', 'all', 'id >\n  and 3');
    expect(syntax).toMatchObject({ code: 2 });
    expect(syntax.stderr).toContain('line 2, column 3');
    const text = (await run('where', 'test', 'all', 'id > 4')).stdout;
    expect(text).toMatch(/public\.orders\n {2}6 {2}true: it passes\n/);
    await world.service.stop();
    expect((await tried('id > 4')).counts).toEqual(fine.counts);
  },
);

// Transactions of several sessions, with what a sink takes and what it does not, through kill -9: what begins and what ends each stands
// around its changes, and nothing else is between them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { startCli } from '../support/cli.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { connect } from '../support/postgres.ts';
import { compileMessages, readValidators, type TypedMessage } from '../support/typed-messages.ts';
import { startWebhookServer, type WebhookServer } from '../support/webhook-server.ts';
import { waitFor } from '../support/wait.ts';
import { seededRandom } from '../support/workload.ts';

const world = endToEnd();

let server: WebhookServer;
beforeEach(async () => {
  server = await startWebhookServer();
  return () => server.stop();
});

const KILLS = 4;
const SESSIONS = 3;
const TRANSACTIONS = 120;

type Said = {
  readonly action: 'B' | 'C' | 'I' | 'U' | 'D' | 'T';
  readonly xid: number;
  readonly lsn: string;
  readonly nextlsn?: string;
  readonly table?: string;
  readonly columns?: readonly { readonly name: string; readonly value: unknown }[];
};

const saidIn = (texts: readonly string[]): Said[] => texts.map((text) => JSON.parse(text) as Said);
const valueOf = ({ columns = [] }: Said, name: string): unknown =>
  columns.find((column) => column.name === name)?.value;
/** `B 731`, `I 731:4`. */
const textOf = (said: Said): string =>
  `${said.action} ${said.xid}${said.columns === undefined ? '' : `:${String(valueOf(said, 'n'))}`}`;

const SCHEMA = `
  create table wanted (id bigserial primary key, xid bigint not null default pg_current_xact_id()::text::bigint, n int not null, kept bool not null);
  create table others (id bigserial primary key, n int);`;

const CONFIG = `format: wal2json
wal2json: { include-transaction: true, include-xids: true, include-lsn: true }
where: kept`;

/** A transaction with up to four rows that the sink takes, in no order with those that it does not. */
function transactionOf(random: () => number): string {
  const rows = Array.from({ length: 1 + Math.floor(random() * 6) }, (_, n) => {
    const kind = Math.floor(random() * 3);
    if (kind === 0) return `insert into others (n) values (${n});`;
    return `insert into wanted (n, kept) values (${n}, ${kind === 1});`;
  });
  return `begin; ${rows.join(' ')} commit;`;
}

test('kill -9 under load: each transaction comes whole, in its order, and of what came before a kill only the last may come again', async () => {
  const { client } = world.database;
  await client.query(SCHEMA);
  const config = world.config({
    sinks: [
      {
        name: 'replica',
        tables: ['wanted'],
        extra: CONFIG,
        to: `type: webhook\nurl: ${server.url}\nbatch: false`,
      },
      // So that the log has what the first one does not take.
      { name: 'others', tables: ['others'], to: `type: webhook\nurl: ${server.url}/others\nbatch: false` },
    ],
  });
  await world.start({ config });
  const random = seededRandom(7);
  const mine = (): Said[] =>
    saidIn(server.requests.filter(({ path }) => path === '/').map(({ body }) => body));

  let ends: number[] = [];
  for (let kill = 0; kill <= KILLS; kill++) {
    const sessions = Array.from({ length: SESSIONS }, async () => {
      const session = await connect(world.database.url);
      for (let i = 0; i < TRANSACTIONS; i++) await session.query(transactionOf(random));
      await session.end();
    });
    if (kill < KILLS) {
      const before = mine().length;
      const more = 30 + Math.floor(random() * 100);
      await waitFor(() => mine().length >= before + more, 'messages before the kill');
      await world.service.kill();
      ends = [...ends, mine().length];
      await Promise.all(sessions);
      await world.start({ config });
    } else await Promise.all(sessions);
  }
  const { rows } = await client.query<{ xid: string; n: number }>(
    'select xid, n from wanted where kept order by id',
  );
  const expectedRows = new Map<number, number[]>();
  for (const { xid, n } of rows) expectedRows.set(Number(xid), [...(expectedRows.get(Number(xid)) ?? []), n]);
  const total = rows.length + 2 * expectedRows.size;
  await waitFor(() => new Set(mine().map(textOf)).size >= total, 'everything to come');

  // What comes a second time is the one message that had no answer on record at a kill.
  const all = mine();
  const repeats = all.flatMap((said, i) => (i > 0 && textOf(said) === textOf(all[i - 1]!) ? [i] : []));
  expect(repeats.filter((i) => !ends.includes(i))).toEqual([]);
  const once = all.filter((_, i) => !repeats.includes(i));
  expect(once.length).toBe(total);

  for (let at = 0; at < once.length;) {
    const { xid, action, lsn } = once[at]!;
    expect(action).toBe('B');
    const ns = expectedRows.get(xid)!;
    const whole = once.slice(at, at + ns.length + 2);
    expect(whole.map(textOf)).toEqual([`B ${xid}`, ...ns.map((n) => `I ${xid}:${n}`), `C ${xid}`]);
    expect(new Set(whole.map((each) => each.lsn))).toEqual(new Set([lsn]));
    at += whole.length;
  }
}, 240_000);

test('a FIFO queue gets them in one group, with what a backfill has read outside of any transaction, and generated types take all of it', async () => {
  const { client } = world.database;
  await client.query(`${SCHEMA} insert into wanted (n, kept) values (0, true)`);
  await world.start({
    config: world.config({
      sinks: [
        {
          name: 'replica',
          queue: 'replica.fifo',
          tables: ['wanted'],
          extra: `initial_backfill: true\nactions: [insert, update, delete, truncate]\n${CONFIG}`,
          destination: 'message_attributes: true',
        },
      ],
    }),
  });
  const messages = () => world.recorder.messagesOf('replica.fifo');
  await waitFor(() => messages().length === 1, 'the row that was there');
  await client.query('begin; insert into wanted (n, kept) values (1, true); truncate wanted; commit');
  await client.query('insert into wanted (n, kept) values (2, false)');
  await client.query('insert into wanted (n, kept) values (3, true)');
  await waitFor(() => messages().length === 8, 'the transactions');
  const said = saidIn(messages().map(({ body }) => body));
  expect(said.map(({ action }) => action)).toEqual(['I', 'B', 'I', 'T', 'C', 'B', 'I', 'C']);
  expect(new Set(messages().map(({ group }) => group)).size).toBe(1);
  expect(new Set(messages().map(({ dedup }) => dedup)).size).toBe(8);
  const attributes = messages().map((message) =>
    Object.keys(message.attributes ?? {})
      .toSorted()
      .join(),
  );
  expect(attributes.slice(1, 3)).toEqual(['action,idempotency_key', 'action,idempotency_key,schema,table']);
  expect(said[1]).toEqual({ action: 'B', xid: said[2]!.xid, lsn: said[2]!.lsn });
  expect(said[4]).toEqual({
    ...said[1],
    action: 'C',
    nextlsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
  });

  const out = join(world.directory, 'types');
  const cli = startCli(['types', '--out', out], { cwd: world.directory });
  expect({ code: await cli.code, stderr: cli.stderr() }).toEqual({ code: 0, stderr: '' });
  const typed = said.map((each): TypedMessage => ({
    module: each.table === undefined ? 'replica/transaction' : 'replica/public.wanted',
    text: JSON.stringify(each),
  }));
  const validators = readValidators(out);
  expect(typed.filter(({ module, text }) => !validators.get(module)!(JSON.parse(text)))).toEqual([]);
  const wrong = [{ module: 'replica/transaction', text: '{"action":"B","xid":1}' }];
  expect(wrong.filter(({ module, text }) => validators.get(module)!(JSON.parse(text)))).toEqual([]);
  expect(await compileMessages(out, typed, wrong)).toBe('');
  expect(readFileSync(join(out, 'replica/index.ts'), 'utf8')).toMatch(/AnyMessage = Wanted \| Transaction;/);
});

// How a source goes on after its stream breaks: how long it waits, and how it reads then.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TEXT_UNDECODABLE } from '../../../src/postgres/replication/protocol.ts';
import { begin, commit } from '../../log/stream.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { fakeDatabase, INT4, startFakePostgres, type FakePostgres } from '../../support/fake-postgres.ts';
import { insertMessage, relationMessage } from '../../support/pgoutput-messages.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../support/source.ts';
import { waitFor } from '../../support/wait.ts';

let server: FakePostgres;
let directory: SourceDirectory;
let source: TestSource;

const POLICY = { initialBackoffMs: 2, multiplier: 3, maxBackoffMs: 1000, jitter: 0 };

/** Its states can be seen between two connections. */
const UNHURRIED = { initialBackoffMs: 400, multiplier: 2, maxBackoffMs: 5000, jitter: 0 };

async function startSource(
  reconnect: typeof POLICY,
  others: Parameters<typeof databaseSettings>[1] = {},
): Promise<void> {
  server = await startFakePostgres({ walEnd: 1000n });
  directory = createSourceDirectory();
  source = startTestSource(
    databaseSettings(fakeDatabase(server), { publication: { refreshIntervalMs: 0 }, reconnect, ...others }),
    directory,
  );
  source.ended.catch(() => undefined);
}
async function stopSource(): Promise<void> {
  await source.stop();
  directory.remove();
}
beforeEach(() => startSource(POLICY));
afterEach(stopSource);

const waits = (): number[] =>
  source.lines.flatMap((line) => ('retryInMs' in line ? [line.retryInMs as number] : []));

/** The stream number `count` sends a keepalive, begins a transaction and breaks in it. */
async function breakIn(count: number, keepalive: bigint, sqlState = 'XX000'): Promise<void> {
  const stream = await server.stream(count);
  stream.keepalive(keepalive);
  stream.send(begin({ commitLsn: 500n, rows: 1 }));
  stream.fail(sqlState, 'bricht ab');
  await waitFor(() => waits().length === count, `wait number ${count}`);
}

/** Of one row; until it is in the log, where it is the first. */
async function sendTransaction(stream: Awaited<ReturnType<FakePostgres['stream']>>): Promise<void> {
  const transaction = { commitLsn: 500n, rows: 1 };
  const columns = [{ name: 'id', type: INT4, identity: true }];
  stream.send(
    begin(transaction),
    relationMessage({ id: 1, schema: 'public', table: 'items', identity: 'd', columns }),
    insertMessage(1, ['1']),
    commit(transaction),
  );
  await waitFor(() => source.status().transactions === 1, 'the transaction');
}

test('each time is waited longer when the stream breaks at one place, although it has begun (C181)', async () => {
  for (const count of [1, 2, 3, 4]) await breakIn(count, 400n);
  expect(waits()).toEqual([2, 6, 18, 54]);
  // The first time, and after the outage that was told of; the others come within a minute.
  expect(source.lines.filter(({ msg }) => msg.endsWith('streams'))).toHaveLength(2);
});

test('what has come since the last time makes the wait short again: a transaction, or all there was (C181)', async () => {
  for (const count of [1, 2]) await breakIn(count, 400n);
  const third = await server.stream(3);
  await sendTransaction(third);
  third.fail('XX000', 'bricht ab');
  await waitFor(() => waits().length === 3, 'the third wait');
  await breakIn(4, 400n);
  const fifth = await server.stream(5);
  fifth.keepalive(1000n);
  await waitFor(() => source.status().walEnd === '0/3E8', 'the keepalive');
  fifth.fail('XX000', 'bricht ab');
  await waitFor(() => waits().length === 5, 'the fifth wait');
  await breakIn(6, 1000n);
  expect(waits()).toEqual([2, 6, 2, 6, 2, 2]);
});

test('a server that lies halts the source with the place and no values; it is asked less and less often, and believed again', async () => {
  const transaction = { commitLsn: 500n, rows: 1 };
  const columns = [{ name: 'id', type: INT4, identity: true }];
  const relation = relationMessage({ id: 1, schema: 'public', table: 'items', identity: 'd', columns });
  const lies = [
    [begin(transaction), insertMessage(1, ['secret'])],
    [begin(transaction), relation.subarray(0, 20)],
    [begin(transaction), relation, insertMessage(1, ['1']), begin({ ...transaction, commitLsn: 600n })],
  ];
  await stopSource();
  await startSource(UNHURRIED);
  for (const [i, lie] of lies.entries()) {
    (await server.stream(i + 1)).send(...lie);
    await waitFor(() => waits().length === i + 1, `wait number ${i + 1}`);
    expect(source.status()).toMatchObject({
      health: 'halted',
      reason: expect.stringMatching(/the replication stream is corrupt (at|after) 0\/.*0x/) as string,
      cure: expect.stringContaining('proxies') as string,
    });
    expect(JSON.stringify(source.status())).not.toMatch(/secret|736563726574/);
  }
  expect(waits()).toEqual([400, 800, 1600]);
  const honest = await server.stream(lies.length + 1);
  honest.send(begin(transaction), relation, insertMessage(1, ['1']), commit(transaction));
  await waitFor(
    () => source.status().health === 'healthy' && source.status().transactions === 1,
    'the transaction',
  );
});

test('a text that the server cannot convert is read as the database has it, for one run of the stream', async () => {
  server.server.override = (sql) =>
    sql.includes('server_encoding') && sql.includes('moneySource')
      ? [
          {
            options: 'pinned',
            encoding: 'LATIN1',
            clientEncoding: 'UTF8',
            moneySource: 'default',
            moneyOfAll: null,
          },
        ]
      : undefined;
  await breakIn(1, 400n, '22P05');
  expect(source.lines.some((line) => 'code' in line && line.code === TEXT_UNDECODABLE)).toBe(true);
  await breakIn(2, 400n, 'XX000');
  await breakIn(3, 400n, '22021');
  await server.stream(4);
  // What was asked before each stream began, on its connection.
  const runs = server.asked.join('\n').split('START_REPLICATION').slice(0, 4);
  expect(runs.map((asked) => asked.includes(`set_config('client_encoding'`))).toEqual([
    false,
    true,
    false,
    true,
  ]);
});

test('where the server meets an error of its own while transactions are in progress, they are read once they are committed', async () => {
  await stopSource();
  await startSource(POLICY, { slot: { streaming: { maxSpooledBytes: 1_000_000 } } });
  await breakIn(1, 400n, '57P01');
  await breakIn(2, 400n, 'XX000');
  await breakIn(3, 400n, '57P01');
  const fourth = await server.stream(4);
  await sendTransaction(fourth);
  fourth.fail('57P01', 'geht');
  await server.stream(5);
  const began = server.asked.filter((asked) => asked.startsWith('START_REPLICATION'));
  expect(began.map((asked) => asked.includes(`streaming 'on'`))).toEqual([true, true, false, false, true]);
});

// What our own hints tell an operator to move or to delete, done to a real service: nothing is lost in silence.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { listSegments } from '../../src/log/segments.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();
/** How often each row arrived, by its id. */
let arrived: Map<number, number>;

beforeEach(async () => {
  await world.database.client.query('create table t (id int primary key)');
  arrived = new Map();
  world.recorder.onMessage = ({ body }) => {
    const { id } = (JSON.parse(body) as { record: { id: number } }).record;
    arrived.set(id, (arrived.get(id) ?? 0) + 1);
  };
});

const insert = (from: number, to: number) =>
  world.database.client.query('insert into t select generate_series($1::int, $2::int)', [from, to]);
const all = (from: number, to: number): Promise<unknown> =>
  waitFor(
    () => Array.from({ length: to - from + 1 }, (_, i) => from + i).every((id) => arrived.has(id)),
    `all of ${from} to ${to}; ${arrived.size} are there`,
  );
const sinkOf = async () => (await world.service.health()).sinks[0]!;
const config = (extra: { slot?: string; faulty?: boolean } = {}): string =>
  world.config({ sinks: [{ tables: ['t'], queue: 'changes' }], ...extra });
/** Postgres was told that it may forget everything up to now. */
async function confirmedHere(): Promise<void> {
  const { client } = world.database;
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_lsn() as lsn');
  await waitFor(async () => {
    const { rows: slots } = await client.query(
      'select 1 from pg_replication_slots where slot_name = current_database() and confirmed_flush_lsn >= $1::pg_lsn',
      [rows[0]!.lsn],
    );
    return slots.length === 1;
  }, 'the slot to be told');
}
const isHalted = () =>
  waitFor(async () => {
    const found = await sinkOf();
    return found.state === 'halted' && found;
  }, 'the sink to halt');
/** As the cure of a sink says that a gap halts. */
async function acceptTheGap(): Promise<void> {
  // The source looks into the store now and again.
  const gap = await waitFor(async () => {
    const { databases } = await world.service.health();
    return databases[0]!.gaps[0];
  }, 'the status to name the gap');
  expect(gap).toMatchObject({ cause: 'place_lost', sink: 'sink-0' });
  const accepted = await fetch(`${await world.service.apiUrl()}/api/databases/shop/gaps/${gap.id}/accept`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  expect(accepted.status).toBe(200);
}
let moves = 0;
const moveLogAway = (): void => {
  const log = join(world.directory, 'data/log/shop');
  renameSync(log, `${log}.moved-${++moves}`);
};

test('a log directory that is moved away, twice, under ledgers that stay: every later change arrives, without a gap', async () => {
  await world.start({ config: config() });
  await insert(1, 100);
  await all(1, 100);
  for (const round of [1, 2]) {
    // The database goes on with what is not ours: keepalives alone move what Postgres may forget.
    await world.database.client.query('create table if not exists noise (id int)');
    await world.database.client.query('insert into noise select generate_series(1, 1000)');
    await confirmedHere();
    await world.service.stop();
    moveLogAway();
    await world.start({});
    await insert(round * 1000, round * 1000 + 999);
    await all(round * 1000, round * 1000 + 999);
    expect(await sinkOf()).toMatchObject({ status: 'healthy', gaps: [] });
  }
  // Acknowledged by delivery: what was delivered before was not kept for anybody.
  expect(arrived.get(50)).toBe(1);
});

test('what only a moved log had is a gap of the sink, and everything after it arrives once that is accepted', async () => {
  world.proxy.decide = ({ action }) =>
    action === 'SendMessageBatch' ? { kind: 'error', status: 503, code: 'ServiceUnavailable' } : undefined;
  await world.start({ config: config({ slot: 'ack: durable', faulty: true }) });
  await insert(1, 100);
  await confirmedHere();
  await world.service.stop();
  moveLogAway();
  world.proxy.decide = () => undefined;
  await world.start({});
  await insert(101, 200);
  const sink = await isHalted();
  expect(arrived.size).toBe(0);
  await acceptTheGap();
  await all(101, 200);
  expect(arrived.has(1)).toBe(false);
  expect(sink.gaps).toEqual([
    expect.objectContaining({ reason: expect.stringContaining('made anew') as string }),
  ]);
});

test('a ledger that is deleted makes its sink begin at the first change retained, not at the end', async () => {
  await world.start({ config: config() });
  await insert(1, 100);
  await all(1, 100);
  await world.service.stop();
  const ledger = join(world.directory, 'data/ledger/shop/sink-0.ledger');
  expect(existsSync(ledger)).toBe(true);
  rmSync(ledger);
  await insert(101, 200);
  await world.start({});
  await all(101, 200);
  await waitFor(() => arrived.get(1) === 2, 'what was delivered before to come again');
  expect((await sinkOf()).gaps).toEqual([]);
});

test('a store that is deleted leaves the sinks where their ledgers say (C159)', async () => {
  await world.start({ config: config() });
  await insert(1, 100);
  await all(1, 100);
  await world.service.stop();
  for (const suffix of ['', '-wal', '-shm']) {
    rmSync(join(world.directory, `data/tailrace.db${suffix}`), { force: true });
  }
  await insert(101, 200);
  await world.start({});
  await all(101, 200);
  expect(arrived.get(1)).toBe(1);
  expect((await sinkOf()).gaps).toEqual([]);
});

test('a slot of another name is another stream: refused, and moving the log away as the hint says loses nothing in silence', async () => {
  await world.start({ config: config() });
  await insert(1, 100);
  await all(1, 100);
  await world.service.stop();
  const other = config().replace(
    `      name: ${world.database.name}\n`,
    `      name: ${world.database.name}_2\n`,
  );
  const refused = world.launch({ config: other });
  expect(await refused.ended).toBe(1);
  expect(JSON.stringify(refused.log)).toContain('LOG_IDENTITY');
  // The slot that it had made is gone again: what is written now is streamed by none.
  const { rows: left } = await world.database.client.query(
    'select 1 from pg_replication_slots where slot_name = $1',
    [`${world.database.name}_2`],
  );
  expect(left).toEqual([]);
  await insert(101, 200);
  moveLogAway();
  await world.start({ config: other });
  await isHalted();
  await acceptTheGap();
  await insert(201, 300);
  await all(201, 300);
  expect(arrived.has(150)).toBe(false);
});

test('a damaged log halts its sink, and moving it away as the hint says brings what was not delivered', async () => {
  let refusing = false;
  world.proxy.decide = ({ action }) =>
    action === 'SendMessageBatch' && refusing
      ? { kind: 'error', status: 503, code: 'ServiceUnavailable' }
      : undefined;
  const small = `${config({ slot: 'ack: delivered', faulty: true })}log: { segment_bytes: 64KB }\n`;
  await world.start({ config: small });
  await insert(1, 100);
  await all(1, 100);
  await confirmedHere();
  refusing = true;
  for (let from = 101; from < 5000; from += 700) await insert(from, from + 699);
  const directory = join(world.directory, 'data/log/shop');
  await waitFor(() => listSegments(directory).length > 1, 'a second segment');
  await world.service.stop();
  // In the middle of what is not delivered, and long known to be durable.
  const { path } = listSegments(directory)[0]!;
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(path, bytes);
  refusing = false;
  await world.start({});
  const sink = await waitFor(async () => {
    const found = await sinkOf();
    return found.state === 'halted' && found;
  }, 'the sink to halt');
  expect(sink).toMatchObject({ reason: expect.stringContaining('damaged') as string });
  expect(sink.cure).toContain('move the directory of this log away');
  await world.service.stop();
  moveLogAway();
  await world.start({});
  await all(101, 5000);
  expect((await sinkOf()).gaps).toEqual([]);
});

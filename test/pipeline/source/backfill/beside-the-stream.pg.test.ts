// A table read chunk by chunk beside its real stream, while it is written to: at the end who has had both has the table.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRowEvent, UNCHANGED_TOAST } from '../../../../src/core/change.ts';
import { readLsn, toLsn, ZERO_LSN, type Lsn } from '../../../../src/core/lsn.ts';
import { decodeRow, MESSAGE } from '../../../../src/pgoutput/messages.ts';
import type { ChunkRange } from '../../../../src/postgres/backfill/chunk-sql.ts';
import { parseSnapshot } from '../../../../src/postgres/backfill/snapshot.ts';
import { connectReplication } from '../../../../src/postgres/connection/connection.ts';
import { asksForMessages } from '../../../../src/postgres/replication/protocol.ts';
import { startReplication, type ReplicationStream } from '../../../../src/postgres/replication/stream.ts';
import { admit, openWindow, showsAllBefore } from '../../../../src/pipeline/source/backfill/admission.ts';
import { StreamedTransactions } from '../../../../src/pipeline/source/backfill/streamed-transactions.ts';
import { StreamWatch } from '../../../../src/pipeline/source/backfill/stream-watch.ts';
import { TableWatch } from '../../../../src/pipeline/source/backfill/table-watch.ts';
import { openReading, rowsOf, type TestReading } from '../../../support/backfill.ts';
import { databaseSettings, serverVersion } from '../../../support/database-settings.ts';
import { connect, createTestDatabase, waitFor, type TestDatabase } from '../../../support/postgres.ts';

const ROWS = 400;
const PUBLICATION = 'beside';
let database: TestDatabase;
let reading: TestReading;
beforeAll(async () => {
  database = await createTestDatabase();
  await database.client.query(
    `create table t (id int primary key, n int, big text); alter table t alter big set storage external;
     insert into t select i * 2, 0, repeat('x', 3000) || i from generate_series(1, ${ROWS}) i;
     create publication ${PUBLICATION} for table t`,
  );
  reading = await openReading(database, { publication: PUBLICATION });
});
afterAll(async () => {
  await reading.close();
  await database.drop();
});

/** Columns by name; an unchanged large value is not there. */
type Row = Record<string, string>;

/** What a consumer makes of the stream and of the rows that are read. */
class Consumer {
  readonly rows = new Map<string, Row>();
  readonly #event = createRowEvent();
  reached: Lsn = ZERO_LSN;
  isInTransaction = false;

  take(bytes: Buffer, start: number, end: number): void {
    const type = bytes[start];
    if (type === MESSAGE.begin) this.isInTransaction = true;
    if (type === MESSAGE.commit) {
      this.isInTransaction = false;
      this.reached = toLsn(bytes.readBigUInt64BE(start + 10));
    }
    if (type !== MESSAGE.insert && type !== MESSAGE.update && type !== MESSAGE.delete) return;
    const event = this.#event;
    decodeRow(bytes, start, end, event);
    const textOf = ({ starts, lengths }: typeof event.newTuple, i: number): string =>
      bytes.toString('utf8', starts[i], starts[i]! + lengths[i]!);
    const oldId = event.oldKind === 'none' ? undefined : textOf(event.oldTuple, 0);
    if (!event.hasNew) return void this.rows.delete(oldId!);
    const id = textOf(event.newTuple, 0);
    const before = this.rows.get(oldId ?? id);
    if (oldId !== undefined) this.rows.delete(oldId);
    const row: Row = { id, n: textOf(event.newTuple, 1) };
    if (event.newTuple.lengths[2] !== UNCHANGED_TOAST) row['big'] = textOf(event.newTuple, 2);
    else if (before?.['big'] !== undefined) row['big'] = before['big'];
    this.rows.set(id, row);
  }
}

async function startStream(slot: string): Promise<ReplicationStream> {
  const { client } = database;
  await client.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
  const settings = databaseSettings(database);
  return startReplication(await connectReplication(settings, settings.hosts[0]!), {
    slot,
    publication: PUBLICATION,
    startLsn: ZERO_LSN,
    confirmed: ZERO_LSN,
    messages: asksForMessages(await serverVersion(client)),
    statusIntervalMs: 50,
    receiveTimeoutMs: 60_000,
    senderTimeoutMs: 60_000,
    maxMessageBytes: 1 << 20,
  });
}

/** Updates, deletes, inserts and moved keys, in transactions of several rows, until stopped. */
async function write(signal: AbortSignal): Promise<number> {
  const client = await connect(database.url);
  let written = 0;
  for (let i = 1; !signal.aborted; i++) {
    const id = (step: number): number => ((i * 7919 * step) % ROWS) * 2;
    await client.query(
      `begin; update t set n = ${i} where id between ${id(1)} and ${id(1) + 6}; delete from t where id = ${id(3)};
       insert into t values (${id(5)}, ${i}, repeat('y', 3000) || ${i}) on conflict do nothing;
       update t set id = id + 1, n = -${i} where id = ${id(7)} and id % 2 = 0 and not exists (select from t o where o.id = ${id(7) + 1}); commit`,
    );
    written++;
  }
  await client.end();
  return written;
}

test('rows are let in that the stream has not overtaken, and read again where it brought a part of them', async () => {
  const stream = await startStream(`beside_${database.name}`);
  const consumer = new Consumer();
  const { rows: begun } = await reading.client.query<{ snapshot: string; walBlockBytes: number }>(
    `select pg_current_snapshot()::text as snapshot, current_setting('wal_block_size')::int as "walBlockBytes"`,
  );
  const snapshot = parseSnapshot(begun[0]!.snapshot);
  const streamed = new StreamedTransactions(snapshot, snapshot.xmax);
  const watching = new StreamWatch(streamed);
  const table = await reading.table('t');
  const watch = new TableWatch(['id'], { updatesAreTold: true });
  watching.watch(table.relation.id, watch, undefined);
  const streaming = (async (): Promise<void> => {
    for (let batch = await stream.read(); batch !== undefined; batch = await stream.read()) {
      watching.take(batch);
      for (let i = 0; i < batch.count; i++) consumer.take(batch.bytes, batch.starts[i]!, batch.ends[i]!);
      if (!consumer.isInTransaction && stream.walEnd > consumer.reached) consumer.reached = stream.walEnd;
    }
  })();
  const stopWriting = new AbortController();
  const writing = write(stopWriting.signal);
  const reader = reading.reader(table, { limits: { maxRows: 25 } });
  const counts = { letIn: 0, left: 0, partly: 0, again: 0 };
  const todo: ChunkRange[] = [...(await reader.cutAll())];
  for (let range = todo.shift(); range !== undefined; range = todo.shift()) {
    const window = openWindow(streamed, watch, consumer.reached);
    const outcome = await reader.read(range);
    if (outcome.kind !== 'chunk') throw new Error(outcome.kind);
    const { chunk } = outcome;
    const showsAll = showsAllBefore({ readFrom: 'primary', window, chunk, streamed });
    const judge = () =>
      admit({
        window,
        chunk,
        showsAll,
        streamed,
        watch,
        keyIndexes: [0],
        reached: consumer.isInTransaction ? ZERO_LSN : consumer.reached,
        walBlockBytes: begun[0]!.walBlockBytes,
      });
    let admission = judge();
    await waitFor(() => (admission = judge()).verdict !== 'wait', 'the stream to pass the watermark', 60_000);
    if (admission.verdict === 'wait') throw new Error('unreachable');
    if (admission.verdict === 'again') {
      counts.again++;
      todo.unshift(range);
      continue;
    }
    const rows = rowsOf(chunk, table);
    for (const i of admission.kept) consumer.rows.set(rows[i]!['id']!, rows[i] as Row);
    counts.letIn += admission.kept.length;
    counts.left += rows.length - admission.kept.length - admission.partly.length;
    counts.partly += admission.partly.length;
    watch.forgetBefore(watch.now);
    const keys = [...admission.partly, ...watch.takeMovedInPart()];
    if (chunk.rest !== undefined) todo.unshift(chunk.rest);
    if (keys.length > 0) todo.push({ by: 'rows', keys });
  }
  stopWriting.abort();
  const written = await writing;
  const { rows: end } = await database.client.query<{ lsn: string }>(
    'select pg_current_wal_lsn()::text as lsn',
  );
  await waitFor(() => consumer.reached >= readLsn(end[0]!.lsn), 'the stream to bring the rest', 60_000);
  const { rows } = await database.client.query<Row>('select id::text, n::text, big from t order by t.id');
  const told = [...consumer.rows.values()].toSorted((a, b) => Number(a['id']) - Number(b['id']));
  expect(told).toEqual(rows);
  expect(written).toBeGreaterThan(3);
  expect(counts.letIn).toBeGreaterThan(ROWS / 2);
  stream.interrupt();
  await streaming;
  await stream.stop();
});

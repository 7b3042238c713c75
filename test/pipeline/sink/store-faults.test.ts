// A store that is busy or full when a dead letter comes: that sink halts with a reason, goes on by itself, and repeats nothing.
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, onTestFinished, test } from 'vitest';
import { SinkRunner } from '../../../src/pipeline/sink/runner.ts';
import { superviseSink } from '../../../src/pipeline/sink/supervisor.ts';
import { DeadLetters } from '../../../src/store/dead-letters.ts';
import { openStore, type Store } from '../../../src/store/sqlite.ts';
import { REJECTED } from '../../support/dispatcher.ts';
import { SINK } from '../../support/letters.ts';
import { insertMessage } from '../../support/pgoutput-messages.ts';
import { openSinkRoom, rowIdOf, TABLE, TestSink } from '../../support/sink-room.ts';
import { waitFor } from '../../support/wait.ts';

const AT_ONCE = { initialBackoffMs: 20, multiplier: 1, maxBackoffMs: 20, jitter: 0 };

/** A sink that is refused row 3 for good; the rows 1 to 5 are in its log. */
async function refused(openAt: (file: string) => Store) {
  const room = await openSinkRoom();
  // A letter of this size needs pages of its own.
  room.append(
    100,
    [1, 2, 3, 4, 5].map((id) => insertMessage(TABLE, [String(id), 'x'.repeat(9000)])),
  );
  const file = join(dirname(room.options.ledgerFile), 'store.db');
  const store = openAt(file);
  const sinks: TestSink[] = [];
  const sink = (): ReturnType<typeof superviseSink> =>
    superviseSink(
      { ...room.options, store },
      {
        createRunner: (options) => {
          const made = new TestSink({ answer: (m) => (rowIdOf(m) === 3 ? REJECTED : 'delivered') });
          sinks.push(made);
          return SinkRunner.create(options, () => Promise.resolve(made));
        },
        restart: AT_ONCE,
        mendedMs: 1,
      },
    );
  return { room, file, store, sink, accepted: () => sinks.flatMap((made) => made.accepted()) };
}

test('a store that another connection has locked halts the sink with a cure, and nothing that was delivered is sent again (C159)', async () => {
  const r = await refused((file) => openStore(file, { busyTimeoutMs: 10 }));
  const sink = r.sink();
  onTestFinished(() => sink.stop(0));
  const other = new DatabaseSync(r.file);
  onTestFinished(() => other.close());
  // From the first request on: the sink has taken its place.
  await waitFor(() => r.accepted().length > 0 || sink.status().deadLettered > 0, 'the first request');
  await waitFor(() => r.store.deadLetters.counts(SINK).kept === 1, 'the first letter');
  other.exec('begin immediate');
  r.room.insert(200, [11, 3, 12]);
  await waitFor(() => sink.status().state === 'halted', 'the sink to halt');
  expect(sink.status()).toMatchObject({
    health: 'halted',
    reason: expect.stringContaining('the store is busy'),
    cure: expect.stringContaining('another process'),
  });
  expect(r.store.deadLetters.counts(SINK).kept).toBe(1);
  other.exec('rollback');
  await waitFor(() => r.store.deadLetters.counts(SINK).kept === 2, 'the second letter');
  await waitFor(
    () => sink.status().state === 'running' && sink.status().health === 'healthy',
    'the sink to go on',
  );
  expect(r.accepted().toSorted((a, b) => a - b)).toEqual([1, 2, 4, 5, 11, 12]);
});

test('a store that is full halts the sink with a cure, and goes on when there is room (C159)', async () => {
  let full: DatabaseSync | undefined;
  const r = await refused((file) => {
    const store = openStore(file);
    full = new DatabaseSync(file);
    return { ...store, deadLetters: new DeadLetters(full) };
  });
  const { page_count: pages } = full!.prepare('pragma page_count').get() as { page_count: number };
  full!.exec(`pragma max_page_count = ${pages}`);
  const sink = r.sink();
  onTestFinished(() => sink.stop(0));
  await waitFor(() => sink.status().state === 'halted', 'the sink to halt');
  expect(sink.status()).toMatchObject({
    reason: expect.stringContaining('the store is full'),
    cure: expect.stringContaining('free disk space'),
  });
  full!.exec(`pragma max_page_count = ${pages + 1000}`);
  await waitFor(() => r.store.deadLetters.counts(SINK).kept === 1, 'the letter');
  expect(r.accepted().toSorted((a, b) => a - b)).toEqual([1, 2, 4, 5]);
});

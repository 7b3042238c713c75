// Rows are sent again while others are written: whatever comes in between, the consumer's last word on each row is the table's.
import * as fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { NO_RULES } from '../../../../src/functions/columns/rules.ts';
import { parseFilters } from '../../../../src/functions/where/parsing.ts';
import { SinkRunner } from '../../../../src/pipeline/sink/runner.ts';
import { surveyRows } from '../../../../src/pipeline/sink/rows/survey.ts';
import { sinkDefinition } from '../../../../src/sinks/registry.ts';
import { SINK } from '../../../support/letters.ts';
import { patient } from '../../../support/messages.ts';
import {
  deleteMessage,
  insertMessage,
  truncateMessage,
  updateMessage,
} from '../../../support/pgoutput-messages.ts';
import { openSinkRoom, TABLE, TestSink, type SinkRoom } from '../../../support/sink-room.ts';
import { waitFor } from '../../../support/wait.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

type Said = {
  readonly action: string;
  readonly record: { readonly id: number; readonly v: string };
  readonly changes: { readonly id?: number } | null;
};

async function begin(
  room: SinkRoom,
): Promise<{ runner: SinkRunner; said: () => readonly Said[]; stop: () => Promise<void> }> {
  const sink = new TestSink();
  const runner = await SinkRunner.create(room.options, () => Promise.resolve(sink));
  runner.run().catch(() => undefined);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= runner.stop(Infinity));
  stops.push(stop);
  return { runner, stop, said: () => sink.endpoint.accepted.map(({ body }) => JSON.parse(body) as Said) };
}

const ask = ({ options }: SinkRoom, ids: readonly number[]) =>
  options.store.rowRewinds.create(
    SINK,
    {
      request: { schema: 'public', table: 't', key: ['id'], keys: ids.map((id) => [String(id)]) },
      rows: 0,
      changes: 0,
    },
    new Date(),
  );

const untilDone = ({ options }: SinkRoom, { runner }: { readonly runner: SinkRunner }) =>
  waitFor(
    () => options.store.rowRewinds.open(SINK).length === 0 && runner.status().lagBytes === 0,
    'everything to be settled',
  );

const short = ({ action, record }: Said): string =>
  action === 'truncate' ? action : `${action} ${record.id}${action === 'delete' ? '' : ` ${record.v}`}`;

/** What a consumer that keeps the last message of each row has. */
function apply(rows: Map<number, string>, { action, record, changes }: Said): void {
  if (action === 'truncate') return rows.clear();
  if (action === 'delete') return void rows.delete(record.id);
  if (changes?.id !== undefined) rows.delete(changes.id);
  rows.set(record.id, record.v);
}

/** The table, and what its writes look like in the log. */
class Table {
  readonly rows = new Map<number, string>();
  #count = 0;

  insert(id: number): Buffer {
    const v = `v${++this.#count}`;
    const row = insertMessage(TABLE, [String(id), v]);
    const update = updateMessage(TABLE, [String(id), v]);
    const isThere = this.rows.has(id);
    this.rows.set(id, v);
    return isThere ? update : row;
  }
  move(from: number, to: number): Buffer | undefined {
    if (!this.rows.has(from) || this.rows.has(to)) return undefined;
    const v = `v${++this.#count}`;
    this.rows.delete(from);
    this.rows.set(to, v);
    return updateMessage(TABLE, [String(to), v], { kind: 'key', row: [String(from), null] });
  }
  remove(id: number): Buffer | undefined {
    return this.rows.delete(id) ? deleteMessage(TABLE, { kind: 'key', row: [String(id), null] }) : undefined;
  }
  empty(): Buffer {
    this.rows.clear();
    return truncateMessage([TABLE]);
  }
}

const ID = fc.integer({ min: 1, max: 4 });
const STEPS = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), id: ID }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('move' as const), id: ID, to: ID }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), id: ID }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('empty' as const) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('rewind' as const), id: ID }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('turn' as const), turns: fc.integer({ min: 1, max: 30 }) }),
    },
  ),
  { minLength: 5, maxLength: 40 },
);

test('whatever is written, emptied and given other keys while rows are sent again, the last message of each is the table’s (property)', async () => {
  await fc.assert(
    fc.asyncProperty(STEPS, async (steps) => {
      const room = await openSinkRoom({ actions: ['insert', 'update', 'delete', 'truncate'] });
      const table = new Table();
      const consumer = new Map<number, string>();
      let sink = await begin(room);
      let lsn = 100;
      const take = (): void => sink.said().forEach((message) => apply(consumer, message));
      // Nobody rewinds to rows of an empty log.
      room.append(50, [table.insert(4)]);
      for (const step of steps) {
        if (step.do === 'rewind') {
          ask(room, [step.id]);
          sink.runner.rewindRows();
        } else if (step.do === 'restart') {
          await sink.stop();
          take();
          sink = await begin(room);
        } else if (step.do === 'turn') {
          for (let turn = 0; turn < step.turns; turn++) await new Promise((done) => setImmediate(done));
        } else {
          const row =
            step.do === 'put'
              ? table.insert(step.id)
              : step.do === 'move'
                ? table.move(step.id, step.to)
                : step.do === 'remove'
                  ? table.remove(step.id)
                  : table.empty();
          if (row !== undefined) room.append((lsn += 100), [row]);
        }
      }
      await untilDone(room, sink);
      await sink.stop();
      take();
      expect(consumer).toEqual(table.rows);
      await room.log.close();
    }),
    { numRuns: Number(process.env['TAILRACE_TEST_SEQUENCES'] ?? 20) },
  );
});

test('a row that moved is followed under both keys, what was emptied stays away, and others do not come again', async () => {
  const room = await openSinkRoom({ actions: ['insert', 'update', 'delete'] });
  const table = new Table();
  const sink = await begin(room);
  room.append(100, [table.insert(1)]);
  room.append(200, [table.empty()]);
  room.append(300, [table.insert(1), table.insert(2)]);
  room.append(400, [table.move(1, 3)!, table.insert(3), table.insert(2)]);
  await untilDone(room, sink);
  const before = sink.said().length;
  const survey = await surveyRows(
    { schema: 'public', table: 't', key: ['id'], keys: [['1']] },
    room.options,
    patient,
  );
  expect(survey).toMatchObject({ rows: 2, changes: 3, whole: [true], unjudged: 0 });
  ask(room, [1]);
  sink.runner.rewindRows();
  await untilDone(room, sink);
  expect(sink.said().slice(before).map(short)).toEqual(['insert 1 v2', 'update 3 v4', 'update 3 v5']);
  expect(room.options.store.rowRewinds.list(SINK)).toMatchObject([{ state: 'completed', sent: 3 }]);
});

test('a condition finds the rows that it was true of before a change or behind it; one of which the beginning is not there is not whole', async () => {
  const room = await openSinkRoom();
  room.append(100, [updateMessage(TABLE, ['1', '7']), insertMessage(TABLE, ['2', '1'])]);
  room.append(200, [
    updateMessage(TABLE, ['1', '8']),
    updateMessage(TABLE, ['2', '7']),
    insertMessage(TABLE, ['3', '1']),
  ]);
  const [parsed] = await parseFilters([`v::int = 7`]);
  if (parsed?.kind !== 'filter') throw new Error('no filter');
  const filter = { ...parsed.filter, place: 'the condition' };
  const survey = await surveyRows(
    { schema: 'public', table: 't', key: ['id'], filter },
    room.options,
    patient,
  );
  expect(survey).toMatchObject({ keys: [['1'], ['2']], whole: [false, true], rows: 2, changes: 4 });
});

test.each([
  ['ignore', 1],
  ['convert', 2],
] as const)(
  'an update that leaves the watched columns as they were counts where its row goes elsewhere: route_moves: %s',
  async (routeMoves, changes) => {
    const { config } = sinkDefinition('sqs')!;
    const rules = {
      place: 'here',
      ...NO_RULES,
      onlyWhenChanged: { columns: ['id'], whenUnknown: 'refuse' },
    } as const;
    const room = await openSinkRoom({
      routeMoves,
      actions: ['insert', 'update', 'delete'],
      destination: { type: 'sqs', config: config.parse({ type: 'sqs', queue_name: 'q-${row.v}' }) },
      tables: [{ pattern: { schema: ['public'], table: ['t'] }, rules }],
    });
    room.append(100, [insertMessage(TABLE, ['1', 'a'])]);
    room.append(200, [updateMessage(TABLE, ['1', 'b'], { kind: 'full', row: ['1', 'a'] })]);
    room.append(300, [updateMessage(TABLE, ['1', 'b'], { kind: 'full', row: ['1', 'b'] })]);
    const survey = await surveyRows(
      { schema: 'public', table: 't', key: ['id'], keys: [['1']] },
      room.options,
      patient,
    );
    expect(survey).toMatchObject({ rows: 1, changes });
  },
);

test('what the log has let go of meanwhile is said, and cancelled ones send nothing more', async () => {
  const room = await openSinkRoom();
  const { store } = room.options;
  room.insert(100, [1]);
  const { id } = ask(room, [1]);
  // As if it stood before all that the log has.
  store.rowRewinds.note(id, {
    sent: 0,
    place: { epoch: -1, commitLsn: room.signals.lastCommitLsn(), index: 0 },
  });
  const cancelled = ask(room, [1]);
  store.rowRewinds.end(cancelled.id, 'cancelled', new Date());
  const sink = await begin(room);
  await untilDone(room, sink);
  expect(sink.said().map(short)).toEqual(['insert 1 v1']);
  expect(store.rowRewinds.list(SINK)).toMatchObject([
    { state: 'cancelled' },
    { state: 'failed', reason: expect.stringContaining('let go of changes') as string },
  ]);
});

test('what a cancelled rewind has on its way is delivered, though it has to be rendered again, and nothing more of it comes', async () => {
  const room = await openSinkRoom();
  const { store } = room.options;
  // One group, so that all but the first wait as log offsets.
  for (let i = 1; i <= 80; i++)
    room.append(i * 100, [
      i === 1 ? insertMessage(TABLE, ['1', 'v1']) : updateMessage(TABLE, ['1', `v${i}`]),
    ]);
  const sink = new TestSink({ hold: true });
  const runner = await SinkRunner.create(room.options, () => Promise.resolve(sink));
  stops.push(() => runner.stop(0));
  runner.run().catch(() => undefined);
  const answer = setInterval(() => sink.endpoint.held.splice(0).forEach((release) => release()), 1);
  stops.push(async () => clearInterval(answer));
  await waitFor(() => sink.endpoint.accepted.length === 80, 'all of it');
  const { id } = ask(room, [1]);
  runner.rewindRows();
  await waitFor(() => sink.endpoint.accepted.length > 80, 'some of it to come again');
  store.rowRewinds.end(id, 'cancelled', new Date());
  runner.rewindRows();
  await waitFor(() => runner.status().rowRewind === undefined, 'it to end');
  expect(runner.status()).toMatchObject({ state: 'running', parked: 0, inFlight: 0 });
  room.append(9000, [updateMessage(TABLE, ['1', 'last'])]);
  await waitFor(() => sink.endpoint.accepted.at(-1)?.body.includes('last'), 'the sink to go on');
});

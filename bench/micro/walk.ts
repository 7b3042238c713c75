// A sink's way through the log without its endpoint: rows that it does not want, and rows that it lets in, groups,
// batches and settles. The endpoint takes every batch in the next turn of the event loop.
import { pino } from 'pino';
import { loadFilterParser } from '../../src/functions/where/parser.ts';
import { tablePattern } from '../../src/core/selection.ts';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { ORIGIN } from '../../src/core/position.ts';
import { ZERO_LSN } from '../../src/core/lsn.ts';
import { formats } from '../../src/formats/registry.ts';
import { appendFrame, FRAME } from '../../src/pgoutput/frames.ts';
import type { LogBlock } from '../../src/log/block.ts';
import type { Dispatcher } from '../../src/pipeline/delivery/dispatcher.ts';
import { LogWalker } from '../../src/pipeline/intake/log-walker.ts';
import { SinkMarkers } from '../../src/pipeline/intake/markers.ts';
import { RowIntake } from '../../src/pipeline/intake/row-intake.ts';
import type { Unsettled } from '../../src/pipeline/delivery/unsettled.ts';
import { whereStep } from '../../src/pipeline/intake/where.ts';
import type { PlacedFilter } from '../../src/pipeline/settings.ts';
import { compileTablePlan, type TablePlan } from '../../src/pipeline/intake/table-plan.ts';
import { compileColumn } from '../../src/postgres/values/values.ts';
import { createDelivery, createDispatcher, routeTo } from '../../test/support/dispatcher.ts';
import { envelope, insertMessage, relation, transaction } from './rows.ts';
import { cpuPerRow, timePerRow, type Stage } from './stage.ts';

const ROWS = 400_000;
const ROWS_PER_TRANSACTION = 100;
const TRANSACTIONS_PER_BLOCK = 4;
const FIRST_ID = 100_000;
const ROUNDS = 5;

const ROUTE = routeTo('bench.fifo', { batchBytes: 1 << 20, messageBytes: 1 << 20, lanesPerRoute: 32 });

/** A block of small transactions as the reader hands it over, about as large as a read of the socket. */
function logBlock(): { block: LogBlock; rows: number } {
  const begin = Buffer.alloc(21);
  begin[0] = FRAME.begin;
  const commit = Buffer.alloc(26);
  commit[0] = FRAME.commit;
  const writer = new ByteWriter();
  let rows = 0;
  for (let each = 0; each < TRANSACTIONS_PER_BLOCK; each++) {
    appendFrame(writer, begin, 0, begin.length);
    for (let i = 0; i < ROWS_PER_TRANSACTION; i++) {
      const row = insertMessage(FIRST_ID + rows++);
      appendFrame(writer, row, 0, row.length);
    }
    appendFrame(writer, commit, 0, commit.length);
  }
  const context = {
    epoch: 0,
    timeline: 1,
    inTransaction: false,
    commitLsn: ZERO_LSN,
    commitTimeUs: transaction.commitTimeUs,
    xid: 0,
    index: 0,
    lastCommitLsn: ZERO_LSN,
    lastEndLsn: ZERO_LSN,
  } as LogBlock['context'];
  const end = writer.length;
  const block: LogBlock = {
    buffer: writer.buffer,
    start: 0,
    end,
    offset: 0,
    blockEnd: end,
    context,
    prologue: false,
    relationsOnly: false,
  };
  return { block, rows };
}

const NEVER = new AbortController().signal;

const NO_MARKS = new SinkMarkers({
  sink: 'bench',
  heedsSkips: false,
  keep: () => undefined,
  logger: pino({ enabled: false }),
});

/** Two comparisons, of which each row needs both. */
const FILTERS = { all: 'id > 0 and numeric_field < 1000000', none: 'id > 0 and numeric_field < 0' } as const;

/** A sink's walker, what it lets in, and the dispatcher; `wanted`: does the sink want the table? `where`: its filter. */
function follow(
  wanted: boolean,
  where?: PlacedFilter,
): { walker: LogWalker; unsettled: Unsettled; dispatcher: Dispatcher } {
  const delivery = createDelivery({ maxBuffered: 10_000 });
  const { unsettled, routes, barriers } = delivery;
  const options = { ...formats.sequin.values, zonelessTimestampZ: false };
  const settings = {
    selection: wanted ? {} : { includeTables: [tablePattern({ schema: 'public', table: 'another' })] },
    tables: [],
    actions: ['insert', 'update', 'delete'],
    messageGrouping: true,
    backfill: {},
    values: formats.sequin.values,
    ...(where && { where }),
  } as unknown as Parameters<typeof compileTablePlan>[1];
  const dispatcher = createDispatcher(delivery, {
    deliver: async (batch) => {
      await new Promise(setImmediate);
      return batch.map(() => 'delivered' as const);
    },
    sizeOf: (message) => message.jsonBytes,
  });
  const step = whereStep(settings);
  const intake = new RowIntake({
    sink: 'bench',
    unsettled,
    compile: (described): TablePlan | undefined =>
      compileTablePlan(described, settings, {
        sink: { routeOf: () => ROUTE, encoding: 'json-string' },
        format: formats.sequin,
        envelope,
        compileColumn: (column, { types }) => compileColumn(column, types, options),
        routes,
        barriers,
      }),
    isDone: () => false,
    isPartDone: () => false,
    markers: NO_MARKS,
    staysLong: false,
    readFrames: () => Buffer.alloc(0),
    steps: step === undefined ? {} : { where: step },
    counts: delivery.counts,
  });
  intake.relation(relation);
  return {
    unsettled,
    walker: new LogWalker('bench', { position: ORIGIN, endLsn: ZERO_LSN, offset: 0 }, intake),
    dispatcher,
  };
}

/** Rows of which none is let in. */
function passedOver({ walker }: Pick<ReturnType<typeof follow>, 'walker'>): number {
  const { block, rows } = logBlock();
  return timePerRow(ROWS, (count) => {
    for (let walked = 0; walked < count; walked += rows) void walker.block(block, NEVER);
  });
}

/** Walk, decode, render, group, batch, settle. */
async function delivered({ walker, unsettled, dispatcher }: ReturnType<typeof follow>): Promise<number> {
  const { block, rows } = logBlock();
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const cpu = await cpuPerRow(ROWS, async () => {
      for (let walked = 0; walked < ROWS; walked += rows) {
        await walker.block(block, NEVER);
        dispatcher.dispatch();
        while (unsettled.oldest !== undefined) await new Promise(setImmediate);
      }
    });
    best = Math.min(best, cpu);
  }
  return best;
}

export async function stages(): Promise<Stage[]> {
  const parse = await loadFilterParser();
  const filter = (text: string): PlacedFilter => ({ ...parse(text), place: 'bench' });
  return [
    { stage: 'walk', usPerRow: passedOver(follow(false)), note: 'a row that the sink does not want' },
    {
      stage: 'walk, filter, none pass',
      usPerRow: passedOver(follow(true, filter(FILTERS.none))),
      note: FILTERS.none,
    },
    {
      stage: 'walk to settle',
      usPerRow: await delivered(follow(true)),
      note: 'walk, decode, render, group, batch, settle, without request and ledger',
    },
    {
      stage: 'walk to settle, filter',
      usPerRow: await delivered(follow(true, filter(FILTERS.all))),
      note: `the same with ${FILTERS.all}`,
    },
  ];
}

// A sink's intake over blocks in memory: real walker, markers, plans and dispatcher, and an endpoint that the test programs.
import type { Action, Collations } from '../../src/core/change.ts';
import { renderOptions, type Envelope, type MessageFormat } from '../../src/formats/format.ts';
import { formats } from '../../src/formats/registry.ts';
import { ZERO_LSN } from '../../src/core/lsn.ts';
import { ORIGIN } from '../../src/core/position.ts';
import type { LogBlock } from '../../src/log/block.ts';
import { encodeEnrichment } from '../../src/pgoutput/enrichment.ts';
import { FRAME } from '../../src/pgoutput/frames.ts';
import type { Pending } from '../../src/pipeline/delivery/pending.ts';
import { LogWalker, type WalkHead } from '../../src/pipeline/intake/log-walker.ts';
import { SinkMarkers } from '../../src/pipeline/intake/markers.ts';
import { RowIntake, type IntakePorts } from '../../src/pipeline/intake/row-intake.ts';
import { transactionPlan } from '../../src/pipeline/intake/sink-intake.ts';
import { compileTablePlan, type PlanPorts } from '../../src/pipeline/intake/table-plan.ts';
import type { TransactionPorts } from '../../src/pipeline/intake/transaction-ends.ts';
import type { SinkSettings } from '../../src/pipeline/settings.ts';
import { compileColumn } from '../../src/postgres/values/values.ts';
import { ENVELOPE } from './decode.ts';
import { createDelivery, createDispatcher, Endpoint, routeTo, type EndpointOptions } from './dispatcher.ts';
import { BLOCK_BYTES } from './log-blocks.ts';
import { bodyOf, patient, silent } from './messages.ts';
import { int32, int64, relationMessage, uint8, type ColumnSpec } from './pgoutput-messages.ts';
import { waitFor } from './wait.ts';

const TEXT = 25;

/** A Relation message and its enrichment. By default the table has a key `id` and a column `note`. */
export function describeTable(table: {
  readonly id: number;
  readonly name?: string;
  readonly identity?: 'd' | 'f' | 'i';
  readonly columns?: readonly ColumnSpec[];
  readonly key?: readonly string[];
  /** The xid that made the key; default: older than everything. */
  readonly keySince?: number | undefined;
  readonly collations?: Collations;
}): Buffer[] {
  const {
    id,
    name = `t${id}`,
    identity = 'd',
    key = ['id'],
    keySince = 0,
    collations,
    columns = [
      { name: 'id', type: TEXT, identity: true },
      { name: 'note', type: TEXT },
    ],
  } = table;
  return [
    relationMessage({ id, schema: 'public', table: name, identity, columns }),
    encodeEnrichment({ relationId: id, key, keySince, types: new Map(), collations }),
  ];
}

/** What the log keeps of a row that was too large to be kept whole. */
export const oversizeFrame = (action: 'insert' | 'update' | 'delete', relationId: number, bytes: number) =>
  Buffer.concat([uint8(FRAME.oversize), uint8(FRAME[action]), int32(relationId), int64(BigInt(bytes))]);

const START: WalkHead = { position: ORIGIN, endLsn: ZERO_LSN, timeline: 0, offset: 0 };

export type IntakeOptions = EndpointOptions & {
  readonly settings?: Partial<SinkSettings>;
  readonly sink?: Partial<PlanPorts['sink']>;
  readonly ports?: Partial<IntakePorts>;
  readonly transactions?: Partial<TransactionPorts>;
  readonly start?: WalkHead;
  /** May several messages of one group share a request? Default: no. */
  readonly ordered?: boolean;
  readonly envelope?: Partial<Envelope>;
  /** Are there other sinks that walk the same blocks? */
  readonly hasCompany?: boolean;
  readonly onSettled?: (messages: readonly Pending[]) => void;
  /** What the log holds; parked messages are read from it. */
  readonly blocks?: readonly LogBlock[];
};

/** The one route takes everything; groups are the keys of rows. */
export function sinkIntake(options: IntakeOptions = {}) {
  const { blocks = [], start = START } = options;
  const settings = {
    name: 'test',
    selection: {},
    tables: [],
    backfill: { limits: { queryTimeoutMs: 5000 } },
    onAbsent: 'dead_letter',
    deletesOutside: 'deliver',
    whereMoves: 'ignore',
    onSchemaBreak: 'halt',
    actions: ['insert', 'update', 'delete'] satisfies Action[],
    format: 'sequin',
    messageGrouping: true,
    keyChanges: 'update',
    ddl: 'ignore',
    values: formats.sequin.values,
    ...options.settings,
  } as SinkSettings;
  const delivery = createDelivery({ ordered: options.ordered === true });
  const { unsettled, routes, barriers } = delivery;
  const endpoint = new Endpoint(options);
  const settled: Pending[] = [];
  const dead: { readonly message: Pending; readonly code: string }[] = [];
  const format: MessageFormat = formats[settings.format];
  const planPorts: PlanPorts = {
    sink: { routeOf: () => routeTo('q', { batchBytes: 1 << 20, messageBytes: 1 << 20 }), ...options.sink },
    format,
    envelope: { ...ENVELOPE, ...options.envelope },
    hasCompany: options.hasCompany,
    compileColumn: (column, { types }, forms) =>
      compileColumn(column, types, {
        ...renderOptions(format, format.values, settings.formatOptions ?? format.options?.parse({})),
        ...forms,
      }),
    routes,
    barriers,
  };
  const plan = transactionPlan(settings, planPorts);
  const intake = new RowIntake({
    unsettled,
    sink: 'test',
    compile: (relation, isKeyProven, isRead) =>
      compileTablePlan(relation, settings, planPorts, isKeyProven, isRead),
    markers: new SinkMarkers({ sink: 'test', heedsSkips: true, keep: () => undefined, logger: silent }),
    isDone: () => false,
    isPartDone: () => false,
    readFrames(offset, length) {
      const { buffer } = blocks[Math.floor(offset / BLOCK_BYTES)]!;
      return Buffer.from(buffer.subarray(offset % BLOCK_BYTES, (offset % BLOCK_BYTES) + length));
    },
    staysLong: false,
    transactions: plan && {
      ...plan,
      wasSettled: () => false,
      isGivenUp: () => false,
      givenUp: () => undefined,
      ...options.transactions,
    },
    steps: {},
    counts: delivery.counts,
    ...options.ports,
  });
  const dispatcher = createDispatcher(delivery, endpoint, {
    prepare: (messages) => messages.forEach((message) => intake.renderParked(message)),
    outcomes: {
      settled: (messages) => {
        settled.push(...messages);
        options.onSettled?.(messages);
      },
      deadLetter: (message, { code }) => dead.push({ message, code }),
    },
  });
  const walker = new LogWalker('key', start, intake);
  return {
    blocks,
    intake,
    walker,
    unsettled,
    counts: delivery.counts,
    dispatcher,
    endpoint,
    settled,
    dead,
    /** Takes all blocks, waiting for each, and sends nothing yet. */
    walk: async (): Promise<void> => {
      for (const block of blocks) {
        await walker.block(block, patient);
        if (intake.halt !== undefined) throw intake.halt;
      }
    },
    /** What is let in and not settled. */
    letIn: (): Pending[] => [...unsettled.all()],
    bodies: (): Record<string, unknown>[] =>
      [...unsettled.all()].map((message) => JSON.parse(bodyOf(message)) as Record<string, unknown>),
    drained: async (): Promise<void> => {
      dispatcher.dispatch();
      await waitFor(() => unsettled.oldest === undefined, 'everything to settle');
    },
  };
}

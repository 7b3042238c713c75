// Turns replication messages into one JSON line a change, in a message format.
import { ByteWriter } from '../../core/byte-writer.ts';
import { createRowEvent, ROW_ACTIONS, type Relation, type TransactionContext } from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';
import { idempotencyKey, stableUuid, transactionKey } from '../../core/idempotency.ts';
import { inOneLine } from '../../core/json.ts';
import { ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { nameFor } from '../../core/partitions.ts';
import type { Selection } from '../../core/selection.ts';
import type { RenderContext, RenderPlan } from '../../formats/format.ts';
import { formats, type FormatName } from '../../formats/registry.ts';
import { buildRelation, type Enrichment } from '../../pgoutput/enrichment.ts';
import {
  decodeBegin,
  decodeCommit,
  decodeRelation,
  decodeRow,
  decodeTruncate,
  MESSAGE,
  relationIdOfRow,
  type RawRelation,
} from '../../pgoutput/messages.ts';
import { OldRows } from '../../pgoutput/old-rows.ts';
import { isRow, rowEventsIn } from '../../pgoutput/row-numbers.ts';
import type { ShapeProofs } from '../../postgres/shapes/proofs.ts';
import { compileValue } from '../../postgres/values/values.ts';

export type PrinterOptions = {
  readonly format: FormatName;
  /** Name of the database, and the host that it was reached at. */
  readonly database: string;
  readonly hostname: string;
  readonly timeline: number;
  /** `streamKey` of this stream. */
  readonly streamKey: string;
  /** These tables, and their partitions under their names. */
  readonly selection: Selection;
  readonly enrich: (relation: RawRelation) => Promise<Enrichment>;
  /** Which shapes composites have. Whoever gives a batch says so to it first. */
  readonly proofs: ShapeProofs;
  readonly print: (line: string) => void;
  /** Of what cannot be printed. */
  readonly say: (text: string) => void;
};

export type Printer = {
  /** Takes the message `bytes[start, end)`. Answers the end LSN of a transaction that is complete with it. */
  take(bytes: Buffer, start: number, end: number): Promise<Lsn | undefined>;
  /** The message that begins at `bytes[start]` is too large to be read: a row counts and is not printed. */
  skip(bytes: Buffer, start: number): void;
  readonly inTransaction: boolean;
};

export function createPrinter(options: PrinterOptions): Printer {
  const plans = new Map<number, RenderPlan>();
  const event = createRowEvent();
  const oldRows = new OldRows();
  const writer = new ByteWriter();
  let previousEndLsn = ZERO_LSN;
  let context: RenderContext | undefined;
  let key = '';

  const describe = (raw: RawRelation, enrichment: Enrichment): void => {
    const relation = buildRelation(raw, enrichment);
    const plan = compile(relation, options);
    oldRows.relation(relation);
    if (plan === undefined) plans.delete(raw.id);
    else plans.set(raw.id, plan);
  };
  /** What is known of the row at `start` when it is printed. */
  const judge = async (bytes: Buffer, start: number): Promise<void> => {
    const id = relationIdOfRow(bytes, start);
    const place = { bytes, start, xid: open().transaction.xid };
    let judged = options.proofs.judge(id, place);
    if (judged === 'look') {
      await options.proofs.look([id]);
      judged = options.proofs.judge(id, place);
    }
    if (judged !== undefined && judged !== 'look') describe(judged.relation, judged.enrichment);
  };

  const open = (): RenderContext => {
    if (context !== undefined) return context;
    throw new TailraceError('a change came outside of a transaction', {
      code: 'PGOUTPUT_MALFORMED',
      kind: 'fatal',
    });
  };
  const print = (relationId: number, render: (plan: RenderPlan, context: RenderContext) => void): void => {
    const current = open();
    const plan = plans.get(relationId);
    if (plan === undefined) return;
    current.idempotencyKey = idempotencyKey(key, current.index);
    writer.reset();
    render(plan, current);
    // A json document is there as it was written: it may have lines.
    options.print(inOneLine(writer.buffer.toString('utf8', 0, writer.length)));
  };

  return {
    get inTransaction() {
      return context !== undefined;
    },
    skip(bytes, start) {
      if (isRow(bytes[start]!)) open().index += rowEventsIn(bytes, start);
    },
    async take(bytes, start, end) {
      const type = bytes[start] ?? 0;
      switch (type) {
        case MESSAGE.begin: {
          const transaction: TransactionContext = {
            ...decodeBegin(bytes, start, end),
            epoch: 1,
            previousEndLsn,
            timeline: options.timeline,
          };
          key = transactionKey(options.streamKey, transaction, undefined);
          context = { transaction, index: 0, idempotencyKey: key, keyChange: false };
          return undefined;
        }
        case MESSAGE.commit:
          context = undefined;
          previousEndLsn = decodeCommit(bytes, start, end).endLsn;
          return previousEndLsn;
        case MESSAGE.relation: {
          const raw = decodeRelation(bytes, start, end);
          // Compiled anew each time: the table may have changed.
          // What is not wanted is known all the same: it may be a partition of what is.
          const enrichment = await options.enrich(raw);
          if (nameFor(options.selection, buildRelation(raw, enrichment)) !== undefined) {
            const message = bytes.subarray(start, end);
            describe(raw, await options.proofs.relation(raw, message, enrichment));
          } else {
            oldRows.relation(buildRelation(raw, enrichment));
            plans.delete(raw.id);
          }
          return undefined;
        }
        case MESSAGE.insert:
        case MESSAGE.update:
        case MESSAGE.delete:
          if (options.proofs.isNeeded) await judge(bytes, start);
          decodeRow(bytes, start, end, event);
          oldRows.forget(event);
          print(event.relationId, (plan, current) => plan.render(event, current, writer));
          open().index += rowEventsIn(bytes, start);
          return undefined;
        case MESSAGE.truncate: {
          const current = open();
          const next = current.index + rowEventsIn(bytes, start);
          for (const id of decodeTruncate(bytes, start, end).relationIds) {
            if (plans.get(id)?.tellsPartition === false) {
              options.say('a partition was emptied by TRUNCATE, which this format has no words for');
            } else print(id, (plan) => plan.renderTruncate(current, writer));
            current.index++;
          }
          current.index = next;
          return undefined;
        }
        default:
          // Types and origins: what they say is in the catalog, or not for a reader of rows.
          return undefined;
      }
    },
  };
}

/** Undefined: it is not wanted. */
function compile(logged: Relation, options: PrinterOptions): RenderPlan | undefined {
  const name = nameFor(options.selection, logged);
  if (name === undefined) return undefined;
  const relation = { ...logged, schema: name.schema, table: name.table };
  const format = formats[options.format];
  const { database, hostname } = options;
  return format.compile({
    encoding: 'json',
    actionsAt: () => ROW_ACTIONS,
    relation,
    partition: name === logged ? undefined : { schema: logged.schema, table: logged.table },
    columns: relation.columns.map((column, index) => ({
      index,
      name: column.name,
      render: compileValue(column.type, relation.types, {
        ...format.values,
        zonelessTimestampZ: format.zonelessTimestampZ,
      }),
    })),
    envelope: {
      sinkName: 'tail',
      sinkId: stableUuid('sink', database, 'tail'),
      sinkAnnotations: {},
      databaseName: database,
      databaseId: stableUuid('database', database),
      databaseAnnotations: {},
      postgresDatabase: database,
      hostname,
    },
    values: format.values,
    options: format.options?.parse({}),
  });
}

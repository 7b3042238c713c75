// Turns replication messages into one JSON line a change, in a message format.
import { ByteWriter } from '../../core/byte-writer.ts';
import { createRowEvent, ROW_ACTIONS, type Relation, type TransactionContext } from '../../core/change.ts';
import { wallMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import { stableUuid, transactionKey, writeIdempotencyKey } from '../../core/idempotency.ts';
import { inOneLine } from '../../core/json.ts';
import { ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { nameFor } from '../../core/partitions.ts';
import type { Selection } from '../../core/selection.ts';
import {
  renderOptions,
  type MessageFormat,
  type RenderContext,
  type RenderPlan,
} from '../../formats/format.ts';
import type { FormatName } from '../../formats/names.ts';
import { formats } from '../../formats/registry.ts';
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
import { compileColumn } from '../../postgres/values/values.ts';

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

export const createPrinter = (options: PrinterOptions): Printer => new MessagePrinter(options);

/** Invariant: `#context` is there from a Begin to its Commit. */
class MessagePrinter implements Printer {
  readonly #options: PrinterOptions;
  readonly #plans = new Map<number, RenderPlan>();
  readonly #event = createRowEvent();
  readonly #oldRows = new OldRows();
  readonly #writer = new ByteWriter();
  #previousEndLsn = ZERO_LSN;
  #context: RenderContext | undefined;
  /** Of the transaction in progress. */

  constructor(options: PrinterOptions) {
    this.#options = options;
  }

  get inTransaction(): boolean {
    return this.#context !== undefined;
  }

  skip(bytes: Buffer, start: number): void {
    if (isRow(bytes[start]!)) this.#open().index += rowEventsIn(bytes, start);
  }

  async take(bytes: Buffer, start: number, end: number): Promise<Lsn | undefined> {
    switch (bytes[start] ?? 0) {
      case MESSAGE.begin:
        this.#begin(bytes, start, end);
        return undefined;
      case MESSAGE.commit:
        this.#context = undefined;
        this.#previousEndLsn = decodeCommit(bytes, start, end).endLsn;
        return this.#previousEndLsn;
      case MESSAGE.relation:
        await this.#relation(bytes, start, end);
        return undefined;
      case MESSAGE.insert:
      case MESSAGE.update:
      case MESSAGE.delete:
        if (this.#options.proofs.isNeeded) await this.#judge(bytes, start);
        this.#row(bytes, start, end);
        return undefined;
      case MESSAGE.truncate:
        this.#truncate(bytes, start, end);
        return undefined;
      default:
        // Types and origins: what they say is in the catalog, or not for a reader of rows.
        return undefined;
    }
  }

  #begin(bytes: Buffer, start: number, end: number): void {
    const { timeline, streamKey } = this.#options;
    const transaction: TransactionContext = {
      ...decodeBegin(bytes, start, end),
      epoch: 1,
      previousEndLsn: this.#previousEndLsn,
      timeline,
    };
    const key = transactionKey(streamKey, transaction, undefined);
    const context: RenderContext = {
      transaction,
      index: 0,
      key: { writeKey: (writer) => writeIdempotencyKey(key, context.index, writer) },
      keyChange: false,
      moved: undefined,
      read: false,
    };
    this.#context = context;
  }

  /** Compiled anew each time: the table may have changed. What is not wanted is known all the same: it may be a partition of what is. */
  async #relation(bytes: Buffer, start: number, end: number): Promise<void> {
    const { selection, enrich, proofs } = this.#options;
    const raw = decodeRelation(bytes, start, end);
    const enrichment = await enrich(raw);
    if (nameFor(selection, buildRelation(raw, enrichment)) !== undefined) {
      const message = bytes.subarray(start, end);
      this.#describe(raw, await proofs.relation(raw, message, enrichment));
    } else {
      this.#oldRows.relation(buildRelation(raw, enrichment));
      this.#plans.delete(raw.id);
    }
  }

  #describe(raw: RawRelation, enrichment: Enrichment): void {
    const relation = buildRelation(raw, enrichment);
    const plan = compile(relation, this.#options);
    this.#oldRows.relation(relation);
    if (plan === undefined) this.#plans.delete(raw.id);
    else this.#plans.set(raw.id, plan);
  }

  /** What is known of the row at `start` when it is printed. */
  async #judge(bytes: Buffer, start: number): Promise<void> {
    const { proofs } = this.#options;
    const id = relationIdOfRow(bytes, start);
    const place = { bytes, start, xid: this.#open().transaction.xid };
    let judged = proofs.judge(id, place);
    if (judged === 'look') {
      await proofs.look([id]);
      judged = proofs.judge(id, place);
    }
    if (judged !== undefined && judged !== 'look') this.#describe(judged.relation, judged.enrichment);
  }

  #row(bytes: Buffer, start: number, end: number): void {
    const event = this.#event;
    decodeRow(bytes, start, end, event);
    this.#oldRows.forget(event);
    this.#print(event.relationId, (plan, current) => plan.render(event, current, this.#writer));
    this.#open().index += rowEventsIn(bytes, start);
  }

  #truncate(bytes: Buffer, start: number, end: number): void {
    const current = this.#open();
    const next = current.index + rowEventsIn(bytes, start);
    for (const id of decodeTruncate(bytes, start, end).relationIds) {
      if (this.#plans.get(id)?.tellsPartition === false) {
        this.#options.say('a partition was emptied by TRUNCATE, which this format has no words for');
      } else this.#print(id, (plan) => plan.renderTruncate(current, this.#writer));
      current.index++;
    }
    current.index = next;
  }

  #open(): RenderContext {
    if (this.#context !== undefined) return this.#context;
    throw new TailraceError('a change came outside of a transaction', {
      code: 'PGOUTPUT_MALFORMED',
      kind: 'fatal',
    });
  }

  #print(relationId: number, render: (plan: RenderPlan, context: RenderContext) => void): void {
    const current = this.#open();
    const writer = this.#writer;
    const plan = this.#plans.get(relationId);
    if (plan === undefined) return;
    writer.reset();
    render(plan, current);
    // A json document is there as it was written: it may have lines.
    this.#options.print(inOneLine(writer.buffer.toString('utf8', 0, writer.length)));
  }
}

/** Undefined: it is not wanted. */
function compile(logged: Relation, options: PrinterOptions): RenderPlan | undefined {
  const name = nameFor(options.selection, logged);
  if (name === undefined) return undefined;
  const relation = { ...logged, schema: name.schema, table: name.table };
  const format: MessageFormat = formats[options.format];
  const formatOptions = format.options?.parse({});
  const values = renderOptions(format, format.values, formatOptions);
  const { database, hostname } = options;
  return format.compile({
    wallMs,
    encoding: 'json',
    actionsAt: () => ROW_ACTIONS,
    relation,
    partition: name === logged ? undefined : { schema: logged.schema, table: logged.table },
    columns: relation.columns.map((column, index) => ({
      index,
      name: column.name,
      ...compileColumn(column, relation.types, values),
    })),
    masks: new Map(),
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
    options: formatOptions,
  });
}

// The default format, word for word what Sequin sends: record, changes, action and metadata; and the envelope of `tailrace`, its like
// with richer values.
// https://sequinstream.com/docs/reference/messages Hot file: plain loops on purpose (bench/micro/render.ts).
import type { ByteWriter, Literal } from '../core/byte-writer.ts';
import type { Action, Moved, RowAction, RowEvent, TransactionContext } from '../core/change.ts';
import { literal, type MessageEncoding } from '../core/encoding.ts';
import { jsonText } from '../core/json.ts';
import type { JsonType } from '../core/json-type.ts';
import type { SchemaChange } from '../core/schema-change.ts';
import type { TableName } from '../core/selection.ts';
import { ColumnPlan } from './columns.ts';
import { formatCommitTime } from './commit-time.ts';
import { KeyTexts } from './key-texts.ts';
import { schemaJson } from './schema-json.ts';
import type {
  CompileInput,
  Envelope,
  MessageColumn,
  MessageFormat,
  RenderContext,
  RenderPlan,
  RowKnowledge,
} from './format.ts';
import { sequinMessage } from './sequin-types.ts';

const NULL = literal('null', 'json');
/** Closes the key's texts, metadata and message. */
const END = literal(']}}', 'json');
/** Closes the new key, `key_change`, metadata and message. */
const END_OF_KEY_CHANGE = literal('}}}}', 'json');

export const sequinFormat: MessageFormat = {
  name: 'sequin',
  takesPaths: true,
  values: {
    numeric: 'string',
    json: 'embed',
    bytea: 'hex',
    interval: 'object',
    composite: 'text',
    hstore: 'text',
    vector: 'array',
    // It knows no halfvec.
    halfvec: 'text',
    timestamps: 'iso8601',
    timestampDigits: 6,
    absent: 'omit',
    unchanged: 'omit',
  },
  zonelessTimestampZ: false,
  compile: (input) => new SequinPlan(input),
};

class SequinPlan implements RenderPlan {
  readonly #input: CompileInput;
  readonly #columns: ColumnPlan;
  readonly #key: ColumnPlan;
  readonly #keyTexts: KeyTexts;
  readonly #envelope: Envelope;
  readonly #encoding: MessageEncoding;
  readonly #record: Literal;
  readonly #changes: Literal;
  readonly #unchangedColumns: Literal;
  readonly #undecodableColumns: Literal;
  readonly #keyChangeOld: Literal;
  readonly #keyChangeNew: Literal;
  /** As `END`, of a row that left what the sink's filter names, or entered it. */
  readonly #ends: Readonly<Record<Moved, Literal>>;
  /** From `},"changes":null` (of an update: from `},"action"`, which ends them) to the value of `idempotency_key`. */
  readonly #afterInserted: Literal;
  readonly #afterRead: Literal;
  readonly #afterUpdated: Literal;
  readonly #afterDeleted: Literal;
  readonly #afterTruncated: Literal;
  /** Of what is no row: up to the value of `idempotency_key`, with the partition where it is of one. */
  readonly #tableMetadata: string;
  readonly tellsPartition = true;
  /** What follows `commit_idx` where the transaction is not annotated: who sends it and from where. */
  readonly #plainOrigin: Literal;
  #transaction: TransactionContext | undefined;
  /** What rows of one transaction share, between `idempotency_key` and the value of `commit_idx`. */
  #commit: Literal = NULL;
  /** What they share behind `commit_idx`. */
  #origin: Literal = NULL;

  constructor(input: CompileInput) {
    const { schema, table } = input.relation;
    const { encoding, partition } = input;
    const metadata = `"metadata":{"table_schema":${jsonText(schema)},"table_name":${jsonText(table)},"idempotency_key":"`;
    const afterRecord = (action: string, from = metadata): Literal =>
      literal(`},"changes":null,"action":"${action}",${from}`, encoding);
    this.#input = input;
    this.#encoding = encoding;
    this.#columns = new ColumnPlan(input);
    this.#key = new ColumnPlan(keyRow(input));
    this.#keyTexts = new KeyTexts(input);
    this.#envelope = input.envelope;
    this.#record = literal('{"record":{', encoding);
    this.#changes = literal('},"changes":{', encoding);
    this.#unchangedColumns = literal('],"unchanged_columns":[', encoding);
    this.#undecodableColumns = literal('],"undecodable_columns":[', encoding);
    this.#keyChangeOld = literal('],"key_change":{"old":{', encoding);
    this.#keyChangeNew = literal('},"new":{', encoding);
    this.#ends = {
      out: literal('],"moved":"out"}}', encoding),
      in: literal('],"moved":"in"}}', encoding),
    };
    this.#afterInserted = afterRecord('insert');
    this.#afterRead = afterRecord('read');
    this.#afterUpdated = literal(`},"action":"update",${metadata}`, encoding);
    this.#afterDeleted = afterRecord('delete');
    // Of a partition alone: whoever empties his whole table at this would be wrong.
    this.#tableMetadata =
      partition === undefined
        ? metadata
        : metadata.replace(/"idempotency_key":"$/, (rest) => partitionJson(partition) + rest);
    this.#afterTruncated = afterRecord('truncate', this.#tableMetadata);
    this.#plainOrigin = literal(originJson(input.envelope), encoding);
  }

  render(event: RowEvent, context: RenderContext, writer: ByteWriter): void {
    writer.literal(this.#record);
    const damaged = event.newTuple.damagedCount + event.oldTuple.damagedCount;
    if (event.action === 'delete') {
      this.#columns.writeOld(event, writer);
      this.#finish(this.#afterDeleted, context, writer);
      this.#keyTexts.write(event, writer);
      if (damaged > 0) this.#writeUndecodable(event, writer);
      return this.#end(event, context, writer);
    }
    const unknown = this.#columns.writeNew(event, writer);
    if (event.action === 'update') this.#writeChanges(event, writer);
    this.#finish(this.#afterRow(event.action, context), context, writer);
    this.#keyTexts.write(event, writer);
    if (damaged > 0) this.#writeUndecodable(event, writer);
    if (unknown > 0) {
      writer.literal(this.#unchangedColumns);
      this.#columns.writeUnknownNames(event, writer);
    }
    this.#end(event, context, writer);
  }

  describe(action: Action, rows: RowKnowledge): JsonType {
    return sequinMessage({ ...this.#input, key: keyRow(this.#input) }, action, rows);
  }

  /** From the end of `changes` to the key's texts. */
  renderOwn(action: RowAction, context: RenderContext, writer: ByteWriter): void {
    this.#finish(this.#afterRow(action, context), context, writer);
  }

  #afterRow(action: RowAction, { read }: RenderContext): Literal {
    if (action === 'update') return this.#afterUpdated;
    if (action === 'delete') return this.#afterDeleted;
    return read ? this.#afterRead : this.#afterInserted;
  }

  #end(event: RowEvent, { keyChange, moved }: RenderContext, writer: ByteWriter): void {
    if (keyChange) this.#writeKeyChange(event, writer);
    else writer.literal(moved === undefined ? END : this.#ends[moved]);
  }

  /** Not where the damage is in columns that the message does not have. */
  #writeUndecodable(event: RowEvent, writer: ByteWriter): void {
    const { length, escapes } = writer;
    writer.literal(this.#undecodableColumns);
    if (this.#columns.writeDamagedNames(event, writer) === 0) writer.truncate(length, escapes);
  }

  renderTruncate(context: RenderContext, writer: ByteWriter): void {
    writer.literal(this.#record);
    this.#finish(this.#afterTruncated, context, writer);
    writer.literal(END);
  }

  /** As a TRUNCATE: there is no record. */
  renderSchema(change: SchemaChange, context: RenderContext, writer: ByteWriter): void {
    writer.literal(this.#record);
    const head = `},"changes":null,"action":"schema","schema":${schemaJson(change)},${this.#tableMetadata}`;
    this.#finish(literal(head, this.#encoding), context, writer);
    writer.literal(END);
  }

  /** Which row became which: in both halves. */
  #writeKeyChange(event: RowEvent, writer: ByteWriter): void {
    writer.literal(this.#keyChangeOld);
    this.#key.writeOld(event, writer);
    writer.literal(this.#keyChangeNew);
    this.#key.writeNew(event, writer);
    writer.literal(END_OF_KEY_CHANGE);
  }

  /** As far as the old row tells: `{}` where nothing changed, and where Postgres sent no old row. */
  #writeChanges(event: RowEvent, writer: ByteWriter): void {
    writer.literal(this.#changes);
    if (event.oldKind !== 'none') this.#columns.writeChanged(event, writer);
  }

  #finish(afterRecord: Literal, context: RenderContext, writer: ByteWriter): void {
    this.#enter(context.transaction);
    const own = (context.own ??= { start: 0, end: 0, escapes: 0 });
    own.start = writer.length;
    own.escapes = -writer.escapes;
    writer.literal(afterRecord);
    context.key.writeKey(writer);
    writer.literal(this.#commit);
    writer.integer(context.index);
    writer.literal(this.#origin);
    own.end = writer.length;
    own.escapes += writer.escapes;
  }

  #enter(transaction: TransactionContext): void {
    if (this.#transaction === transaction) return;
    this.#transaction = transaction;
    this.#commit = literal(commitJson(transaction), this.#encoding);
    const { annotations } = transaction;
    this.#origin =
      annotations === undefined
        ? this.#plainOrigin
        : literal(originJson(this.#envelope, annotations), this.#encoding);
  }
}

/** A row of the key alone. */
function keyRow(input: CompileInput): CompileInput {
  const { columns, key } = input.relation;
  const isKey = ({ index }: MessageColumn): boolean => key.includes(columns[index]!.name);
  return { ...input, columns: input.columns.filter(isKey), added: [] };
}

const partitionJson = ({ schema, table }: TableName): string =>
  `"partition":{"table_schema":${jsonText(schema)},"table_name":${jsonText(table)}},`;

const commitJson = ({ commitTimeUs, commitLsn }: TransactionContext): string =>
  `","commit_timestamp":"${formatCommitTime(commitTimeUs)}","commit_lsn":${commitLsn},"commit_idx":`;

/** The members behind `commit_idx`; the key's texts, `metadata` and the message stay open. `annotations`: a JSON document. */
function originJson(envelope: Envelope, annotations = 'null'): string {
  const sender = jsonText({
    consumer: { id: envelope.sinkId, name: envelope.sinkName, annotations: envelope.sinkAnnotations },
    database: {
      id: envelope.databaseId,
      name: envelope.databaseName,
      annotations: envelope.databaseAnnotations,
      database: envelope.postgresDatabase,
      hostname: envelope.hostname,
    },
  });
  const database = jsonText(envelope.databaseName);
  return `,"database_name":${database},"transaction_annotations":${annotations},${sender.slice(1, -1)},"enrichment":null,"record_pks":[`;
}

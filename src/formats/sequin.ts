// The default format: record, changes, action and metadata, as Sequin's consumers know it.
// https://sequinstream.com/docs/reference/messages Hot file: plain loops on purpose (bench/micro/render.ts).
import type { ByteWriter } from '../core/byte-writer.ts';
import type { RowEvent, TransactionContext } from '../core/change.ts';
import { jsonText } from '../core/json.ts';
import { ColumnPlan } from './columns.ts';
import { formatCommitTime } from './commit-time.ts';
import type { CompileInput, Envelope, MessageFormat, RenderContext, RenderPlan } from './format.ts';

const RECORD = Buffer.from('{"record":{');
const CHANGES = Buffer.from('},"changes":');
const NULL = Buffer.from('null');
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const UNCHANGED_COLUMNS = Buffer.from(',"unchanged_columns":[');
const CLOSE_BRACKET = 0x5d;
const KEY_CHANGE_OLD = Buffer.from(',"key_change":{"old":{');
const KEY_CHANGE_NEW = Buffer.from('},"new":{');
const END = Buffer.from('}}');

export const sequinFormat: MessageFormat = {
  name: 'sequin',
  zonelessTimestampZ: false,
  compile: (input) => new SequinPlan(input),
};

class SequinPlan implements RenderPlan {
  readonly #columns: ColumnPlan;
  readonly #key: ColumnPlan;
  /** From `},"changes":null` (of an update: from `,"action"`) to the value of `idempotency_key`. */
  readonly #afterInserted: Buffer;
  readonly #afterUpdated: Buffer;
  readonly #afterDeleted: Buffer;
  readonly #afterTruncated: Buffer;
  /** What follows `commit_idx`: who sends it and from where; `transaction_annotations` stand between the two. */
  readonly #database: Buffer;
  readonly #sender: Buffer;
  #transaction: TransactionContext | undefined;
  /** What rows of one transaction share, between `idempotency_key` and the value of `commit_idx`. */
  #commit: Buffer = Buffer.alloc(0);
  /** What they share behind `commit_idx`: `#database`, the annotations, `#sender`. */
  #origin: Buffer = Buffer.alloc(0);

  constructor(input: CompileInput) {
    const { schema, table } = input.relation;
    const metadata = `"metadata":{"table_schema":${jsonText(schema)},"table_name":${jsonText(table)},"idempotency_key":"`;
    this.#columns = new ColumnPlan(input);
    const isKey = ({ name }: { name: string }): boolean => input.relation.key.includes(name);
    this.#key = new ColumnPlan({ ...input, columns: input.columns.filter(isKey) });
    this.#afterInserted = Buffer.from(`},"changes":null,"action":"insert",${metadata}`);
    this.#afterUpdated = Buffer.from(`,"action":"update",${metadata}`);
    this.#afterDeleted = Buffer.from(`},"changes":null,"action":"delete",${metadata}`);
    this.#afterTruncated = Buffer.from(`},"changes":null,"action":"truncate",${metadata}`);
    this.#database = Buffer.from(databaseJson(input.envelope));
    this.#sender = Buffer.from(senderJson(input.envelope));
  }

  render(event: RowEvent, context: RenderContext, writer: ByteWriter): void {
    writer.bytes(RECORD);
    if (event.action === 'delete') {
      this.#columns.writeOld(event, writer);
      this.#finish(this.#afterDeleted, context, writer);
      if (context.keyChange) this.#writeKeyChange(event, writer);
      writer.bytes(END);
      return;
    }
    const leftOut = this.#columns.writeNew(event, writer);
    if (event.action === 'insert') {
      this.#finish(this.#afterInserted, context, writer);
      if (context.keyChange) this.#writeKeyChange(event, writer);
    } else {
      this.#writeChanges(event, writer);
      this.#finish(this.#afterUpdated, context, writer);
    }
    if (leftOut > 0) {
      writer.bytes(UNCHANGED_COLUMNS);
      this.#columns.writeLeftOutNames(event, writer);
      writer.byte(CLOSE_BRACKET);
    }
    writer.bytes(END);
  }

  renderTruncate(context: RenderContext, writer: ByteWriter): void {
    writer.bytes(RECORD);
    this.#finish(this.#afterTruncated, context, writer);
    writer.bytes(END);
  }

  /** Which row became which: in both halves. */
  #writeKeyChange(event: RowEvent, writer: ByteWriter): void {
    writer.bytes(KEY_CHANGE_OLD);
    this.#key.writeOld(event, writer);
    writer.bytes(KEY_CHANGE_NEW);
    this.#key.writeNew(event, writer);
    writer.bytes(END);
  }

  /** `{}` says that nothing changed, which only a full old row can tell; without it what changed is unknown: null. */
  #writeChanges(event: RowEvent, writer: ByteWriter): void {
    writer.bytes(CHANGES);
    const mark = writer.length;
    if (event.oldKind !== 'none') {
      writer.byte(OPEN_BRACE);
      const changed = this.#columns.writeChanged(event, writer);
      writer.byte(CLOSE_BRACE);
      if (changed > 0 || event.oldKind === 'full') return;
      writer.length = mark;
    }
    writer.bytes(NULL);
  }

  #finish(afterRecord: Buffer, context: RenderContext, writer: ByteWriter): void {
    if (this.#transaction !== context.transaction) {
      this.#transaction = context.transaction;
      this.#commit = Buffer.from(commitJson(context.transaction));
      const { annotations = NULL } = context.transaction;
      this.#origin = Buffer.concat([this.#database, annotations, this.#sender]);
    }
    writer.bytes(afterRecord);
    writer.text(context.idempotencyKey);
    writer.bytes(this.#commit);
    writer.integer(context.index);
    writer.bytes(this.#origin);
  }
}

const commitJson = ({ commitTimeUs, commitLsn }: TransactionContext): string =>
  `","commit_timestamp":"${formatCommitTime(commitTimeUs)}","commit_lsn":${commitLsn},"commit_idx":`;

/** The members behind `commit_idx`, up to the value of `transaction_annotations`. */
const databaseJson = (envelope: Envelope): string =>
  `,"database_name":${jsonText(envelope.databaseName)},"transaction_annotations":`;

/** The members behind that; `metadata` and the message stay open. */
function senderJson(envelope: Envelope): string {
  const members = jsonText({
    consumer: { id: envelope.sinkId, name: envelope.sinkName, annotations: envelope.sinkAnnotations },
    database: {
      id: envelope.databaseId,
      name: envelope.databaseName,
      annotations: envelope.databaseAnnotations,
      database: envelope.postgresDatabase,
      hostname: envelope.hostname,
    },
  });
  return `,${members.slice(1, -1)}`;
}

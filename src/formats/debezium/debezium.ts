// Debezium's messages: the envelope of its Postgres connector in JSON without schemas, or (`unwrap`) the row alone.
// https://debezium.io/documentation/reference/3.6/connectors/postgresql.html#postgresql-events Hot file (bench/micro/render.ts).
import type { ByteWriter, Literal } from '../../core/byte-writer.ts';
import type { Action, RowEvent, TransactionContext } from '../../core/change.ts';
import { literal, type MessageEncoding } from '../../core/encoding.ts';
import { jsonText } from '../../core/json.ts';
import type { JsonType } from '../../core/json-type.ts';
import type { z } from 'zod';
import { ColumnPlan } from '../columns.ts';
import { declaredTwice, expectFree } from '../names-beside.ts';
import type {
  CompileInput,
  FormatFault,
  MessageFormat,
  RenderContext,
  RenderPlan,
  RowKnowledge,
  SinkWish,
} from '../format.ts';
import {
  blockOf,
  debeziumOptions,
  namesBeside,
  namedFields,
  valuesOf,
  DELETED,
  type AddedField,
  type DebeziumOptions,
  type SourceField,
} from './options.ts';
import { Source } from './source.ts';
import { envelopeMessage, unwrappedMessage } from './types.ts';

type Options = z.output<typeof debeziumOptions>;
type Op = 'c' | 'u' | 'd' | 'r' | 't';

const OPS: readonly Op[] = ['c', 'u', 'd', 'r', 't'];
const CLOSE_BRACE = 0x7d;
const COMMA = 0x2c;

export const debeziumFormat: MessageFormat<Options> = {
  name: 'debezium',
  writesBeside: true,
  options: debeziumOptions,
  // Of these only `absent` counts: the block of options decides the others.
  values: {
    numeric: 'string',
    json: 'string',
    bytea: 'base64',
    interval: 'object',
    composite: 'text',
    hstore: 'text',
    vector: 'array',
    halfvec: 'array',
    timestamps: 'iso8601',
    timestampDigits: 6,
    absent: 'null',
    unchanged: 'text',
  },
  zonelessTimestampZ: false,
  valuesOf: (options) => ({ debezium: valuesOf(blockOf(options)) }),
  keyChanges: 'split',
  faultsOf: (sink, options) => faultsOf(sink, blockOf(options)),
  notesOf: (options) =>
    blockOf(options)['decimal.handling.mode'] === 'precise'
      ? [
          'numeric columns are bytes whose scale only the table knows, and NaN is null; decimal.handling.mode: string is exact text',
        ]
      : [],
  compile: (input) => {
    const block = blockOf(input.options);
    return block.unwrap ? new UnwrappedPlan(input, block) : new EnvelopePlan(input, block);
  },
};

function faultsOf({ actions, ddl, tables }: SinkWish, block: DebeziumOptions): readonly FormatFault[] {
  const { unwrap } = block;
  const faults: FormatFault[] = unwrap ? [...declaredTwice(tables, namesBeside(block))] : [];
  if (ddl === 'events') {
    faults.push({
      path: ['ddl'],
      message:
        "Debezium's Postgres connector has no messages of schemas: leave it out, or write another format",
    });
  }
  if (unwrap && actions.includes('truncate')) {
    faults.push({
      path: ['actions'],
      message: 'an unwrapped message is a row, and truncate has none: leave it out, or write unwrap: false',
    });
  }
  return faults;
}

/** Constants in the encoding of the sink. */
const literals = <Names extends string>(
  encoding: MessageEncoding,
  texts: Readonly<Record<Names, string>>,
): Readonly<Record<Names, Literal>> => {
  const made = Object.entries<string>(texts).map(([name, text]) => [name, literal(text, encoding)] as const);
  return Object.fromEntries(made) as Record<Names, Literal>;
};

const sourceOf = ({ relation, envelope }: CompileInput, block: DebeziumOptions): Source =>
  new Source({
    name: block['topic.prefix'] ?? envelope.databaseName,
    db: envelope.postgresDatabase,
    schema: relation.schema,
    table: relation.table,
  });

const opOf = ({ action }: RowEvent, { read }: RenderContext): Op => {
  if (read) return 'r';
  return action === 'insert' ? 'c' : action === 'update' ? 'u' : 'd';
};

const noSchemas = (): never => {
  throw new Error('the configuration has let a sink of the format debezium ask for changes of schemas');
};

class EnvelopePlan implements RenderPlan {
  readonly #input: CompileInput<Options>;
  readonly #columns: ColumnPlan;
  readonly #source: Source;
  readonly #wallMs: () => number;
  readonly #encoding: MessageEncoding;
  /** Between the rows. */
  readonly #parts: Readonly<Record<'onlyAfter' | 'before' | 'after' | 'onlyBefore' | 'none', Literal>>;
  readonly #ops: Readonly<Record<Op, Literal>>;
  /** There is no word for a partition. */
  readonly tellsPartition: boolean;
  #transaction: TransactionContext | undefined;
  /** From behind the rows to the value of `op`, for rows of this transaction. */
  #origin: Literal;
  #ms = 0;
  /** When the message is made: from the value of `op` to its end, by the clock of this machine. */
  #end: Literal;

  constructor(input: CompileInput<Options>, block: DebeziumOptions) {
    const { encoding } = input;
    this.#input = input;
    this.#columns = new ColumnPlan(input);
    this.#source = sourceOf(input, block);
    this.#wallMs = input.wallMs;
    this.#encoding = encoding;
    this.tellsPartition = input.partition === undefined;
    this.#parts = literals(encoding, {
      onlyAfter: '{"before":null,"after":{',
      before: '{"before":{',
      after: '},"after":{',
      onlyBefore: '},"after":null',
      none: '{"before":null,"after":null',
    });
    this.#ops = literals(encoding, Object.fromEntries(OPS.map((op) => [op, op])) as Record<Op, string>);
    this.#origin = this.#end = literal('', encoding);
  }

  render(event: RowEvent, context: RenderContext, writer: ByteWriter): void {
    const parts = this.#parts;
    if (event.action === 'delete') {
      writer.literal(parts.before);
      this.#columns.writeOld(event, writer);
      writer.literal(parts.onlyBefore);
    } else {
      if (event.oldKind === 'none' || event.action === 'insert') writer.literal(parts.onlyAfter);
      else {
        writer.literal(parts.before);
        this.#columns.writeOld(event, writer);
        writer.literal(parts.after);
      }
      this.#columns.writeNew(event, writer);
      writer.byte(CLOSE_BRACE);
    }
    this.#finish(opOf(event, context), context, writer);
  }

  renderTruncate(context: RenderContext, writer: ByteWriter): void {
    writer.literal(this.#parts.none);
    this.#finish('t', context, writer);
  }

  renderSchema = noSchemas;

  describe(action: Action, rows: RowKnowledge): JsonType {
    return envelopeMessage(this.#input, action, rows);
  }

  #finish(op: Op, { transaction, read }: RenderContext, writer: ByteWriter): void {
    if (this.#transaction !== transaction) {
      this.#transaction = transaction;
      const source = this.#source.json(transaction, read);
      this.#origin = literal(`,"source":${source},"transaction":null,"op":"`, this.#encoding);
    }
    const ms = this.#wallMs();
    if (this.#ms !== ms) {
      this.#ms = ms;
      this.#end = literal(`","ts_ms":${ms},"ts_us":${ms}000,"ts_ns":${ms}000000}`, this.#encoding);
    }
    writer.literal(this.#origin);
    writer.literal(this.#ops[op]);
    writer.literal(this.#end);
  }
}

/** https://debezium.io/documentation/reference/3.6/transformations/event-flattening.html */
class UnwrappedPlan implements RenderPlan {
  readonly #input: CompileInput<Options>;
  readonly #columns: ColumnPlan;
  readonly #source: Source;
  readonly #wallMs: () => number;
  readonly #encoding: MessageEncoding;
  readonly #fields: readonly (AddedField & { readonly label: string })[];
  readonly #parts: Readonly<Record<'open' | 'kept' | 'deleted', Literal>>;
  readonly tellsPartition: boolean;
  #transaction: TransactionContext | undefined;
  #values: Readonly<Record<SourceField, string>> | undefined;

  constructor(input: CompileInput<Options>, block: DebeziumOptions) {
    const reserved = namesBeside(block);
    this.#input = input;
    expectFree(input, reserved, {
      name: 'debezium',
      cure: 'write another add.fields.prefix or unwrap: false',
    });
    this.#columns = new ColumnPlan(input, { reserved });
    this.#source = sourceOf(input, block);
    this.#wallMs = input.wallMs;
    this.#encoding = input.encoding;
    this.#fields = namedFields(block).map((field) => ({ ...field, label: `,${jsonText(field.name)}:` }));
    this.tellsPartition = input.partition === undefined;
    this.#parts = literals(input.encoding, {
      open: '{',
      kept: `"${DELETED}":"false"`,
      deleted: `"${DELETED}":"true"`,
    });
  }

  render(event: RowEvent, context: RenderContext, writer: ByteWriter): void {
    writer.literal(this.#parts.open);
    const start = writer.length;
    if (event.action === 'delete') this.#columns.writeOld(event, writer);
    else this.#columns.writeNew(event, writer);
    if (writer.length > start) writer.byte(COMMA);
    writer.literal(event.action === 'delete' ? this.#parts.deleted : this.#parts.kept);
    if (this.#fields.length > 0) this.#writeFields(opOf(event, context), context, writer);
    writer.byte(CLOSE_BRACE);
  }

  renderTruncate(): void {
    throw new Error('the configuration has let a sink of unwrapped rows ask for truncate');
  }

  renderSchema = noSchemas;

  describe(action: Action, rows: RowKnowledge): JsonType {
    return unwrappedMessage(this.#input, this.#fields, action, rows);
  }

  #writeFields(op: Op, { transaction, read }: RenderContext, writer: ByteWriter): void {
    if (this.#transaction !== transaction) {
      this.#transaction = transaction;
      this.#values = this.#source.fields(transaction, read);
    }
    const members = this.#fields.map((field) => field.label + this.#jsonOf(field, op));
    writer.literal(literal(members.join(''), this.#encoding));
  }

  #jsonOf({ of, field }: AddedField, op: Op): string {
    if (of === 'transaction') return 'null';
    if (of === 'source') return this.#values![field as SourceField];
    if (field === 'op') return `"${op}"`;
    const ms = this.#wallMs();
    return field === 'ts_ms' ? String(ms) : field === 'ts_us' ? `${ms}000` : `${ms}000000`;
  }
}

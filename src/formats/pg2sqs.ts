// pg2sqs' format: the row's columns flat, the commit time and the kind beside them.
// https://github.com/pgwalk/pg2sqs/blob/main/docs/messages.md Hot file: plain loops on purpose (bench/micro/render.ts).
import { z } from 'zod';
import type { ByteWriter, Literal } from '../core/byte-writer.ts';
import {
  ROW_ACTIONS,
  type Action,
  type Relation,
  type RowEvent,
  type TransactionContext,
} from '../core/change.ts';
import { literal, type MessageEncoding } from '../core/encoding.ts';
import type { TailraceError } from '../core/errors.ts';
import { jsonText } from '../core/json.ts';
import { constant, member, object, STRING, type JsonMember, type JsonType } from '../core/json-type.ts';
import type { SchemaChange } from '../core/schema-change.ts';
import { ColumnPlan } from './columns.ts';
import { clash, declaredTwice, expectFree } from './names-beside.ts';
import { SCHEMA_TYPE, schemaJson } from './schema-json.ts';
import { formatCommitTimeNano } from './commit-time.ts';
import type { CompileInput, MessageFormat, RenderContext, RenderPlan, RowKnowledge } from './format.ts';
import { newRowType, oldRowType } from './row-types.ts';

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const COMMA = 0x2c;
const NAME = 'pg2sqs';
const KIND = 'kind';
const WITH_COLUMNS: readonly Action[] = [...ROW_ACTIONS, 'read'];

const NO_BYTES = literal('', 'json');

const options = z.strictObject({
  commit_time_column: z.string().min(1, 'this is empty').optional().meta({
    description: 'Format `pg2sqs`: the field that takes the commit time.',
    elsewhere: 'the sequin format has metadata.commit_timestamp',
  }),
});
type Options = z.output<typeof options>;

export const pg2sqsFormat: MessageFormat<Options> = {
  name: NAME,
  writesBeside: true,
  options,
  values: {
    numeric: 'float',
    json: 'embed',
    bytea: 'base64',
    interval: 'iso8601',
    composite: 'object',
    hstore: 'object',
    vector: 'array',
    halfvec: 'array',
    timestamps: 'iso8601',
    timestampDigits: 'as_needed',
    absent: 'omit',
    unchanged: 'omit',
  },
  zonelessTimestampZ: true,
  faultsOf: ({ tables }, { commit_time_column: name }) =>
    name === undefined ? [] : [...declaredTwice(tables, [name])],
  compile: (input) => new Pg2sqsPlan(input),
};

class Pg2sqsPlan implements RenderPlan {
  readonly #input: CompileInput<Options>;
  readonly #columns: ColumnPlan;
  readonly #encoding: MessageEncoding;
  /** Set where a message must say its kind: its queue takes more than one action. */
  readonly #kinds: Readonly<Record<Action, Literal | undefined>>;
  readonly #relation: Relation;
  readonly #commitTimeColumn: string | undefined;
  /** There is no word for a partition. */
  readonly tellsPartition: boolean;
  #transaction: TransactionContext | undefined;
  /** `"column":"2026-…"`: what rows of one transaction share. */
  #commitTime = NO_BYTES;

  constructor(input: CompileInput<Options>) {
    const { relation, columns, added = [], encoding, actionsAt } = input;
    const { commit_time_column: commitTimeColumn } = input.options;
    const kind = (action: Action): Literal | undefined =>
      actionsAt(action).length > 1 ? literal(`"${KIND}":"${action}"`, encoding) : undefined;
    this.#input = input;
    this.#encoding = encoding;
    this.#kinds = {
      insert: kind('insert'),
      update: kind('update'),
      delete: kind('delete'),
      truncate: kind('truncate'),
      read: kind('read'),
      // Nothing else tells it from a row.
      schema: literal(`"${KIND}":"schema"`, encoding),
    };
    this.#relation = relation;
    this.#columns = new ColumnPlan(input, { reserved: [KIND, commitTimeColumn ?? KIND] });
    this.tellsPartition = input.partition === undefined;
    this.#commitTimeColumn = commitTimeColumn;
    if (commitTimeColumn !== undefined)
      expectFree(input, [commitTimeColumn], { name: NAME, cure: 'name another commit time column' });
    // Of rows: nothing else has their columns beside its kind.
    const hasKind = WITH_COLUMNS.some((action) => this.#kinds[action] !== undefined);
    if (hasKind && [...columns, ...added].some(({ name }) => name === KIND)) throw this.#kindClash();
  }

  render(event: RowEvent, context: RenderContext, writer: ByteWriter): void {
    writer.byte(OPEN_BRACE);
    const membersStart = writer.length;
    if (event.action === 'delete') this.#columns.writeOld(event, writer);
    else this.#columns.writeNew(event, writer);
    this.#finish(membersStart, this.#kinds[context.read ? 'read' : event.action], context, writer);
  }

  /** All is alike. */
  renderOwn(): void {}

  renderTruncate(context: RenderContext, writer: ByteWriter): void {
    writer.byte(OPEN_BRACE);
    this.#finish(writer.length, this.#kinds.truncate, context, writer);
  }

  /** No field of it is a column's: names do not clash. */
  renderSchema(change: SchemaChange, context: RenderContext, writer: ByteWriter): void {
    writer.literal(literal(`{"schema":${schemaJson(change)}`, this.#encoding));
    this.#finish(0, this.#kinds.schema, context, writer);
  }

  describe(action: Action, rows: RowKnowledge): JsonType {
    const beside: JsonMember[] = [];
    if (this.#commitTimeColumn !== undefined) beside.push(member(this.#commitTimeColumn, STRING));
    if (this.#kinds[action] !== undefined) {
      if (this.#commitTimeColumn === KIND) throw this.#kindClash();
      beside.push(member(KIND, constant(action)));
    }
    switch (action) {
      case 'truncate':
        return object(beside);
      case 'schema':
        return object([member('schema', SCHEMA_TYPE), ...beside]);
      case 'delete':
        return oldRowType(this.#input, action, rows, beside);
      case 'insert':
      case 'update':
      case 'read':
        return newRowType(this.#input, action, rows, beside);
      default:
        return action satisfies never;
    }
  }

  #finish(membersStart: number, kind: Literal | undefined, context: RenderContext, writer: ByteWriter): void {
    if (this.#commitTimeColumn !== undefined) {
      if (this.#transaction !== context.transaction) {
        this.#transaction = context.transaction;
        const time = formatCommitTimeNano(context.transaction.commitTimeUs);
        this.#commitTime = literal(`${jsonText(this.#commitTimeColumn)}:"${time}"`, this.#encoding);
      }
      if (writer.length > membersStart) writer.byte(COMMA);
      writer.literal(this.#commitTime);
    }
    if (kind !== undefined) {
      if (this.#commitTimeColumn === KIND) throw this.#kindClash();
      if (writer.length > membersStart) writer.byte(COMMA);
      writer.literal(kind);
    }
    writer.byte(CLOSE_BRACE);
  }

  #kindClash(): TailraceError {
    return clash(this.#relation, KIND, { name: NAME, cure: 'give each action a queue of its own' });
  }
}

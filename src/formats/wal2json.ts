// wal2json's messages, format version 2: a change is its action, its table, and a list of columns with their types.
// https://github.com/eulerto/wal2json#readme Hot file (bench/micro/render.ts).
import { z } from 'zod';
import type { ByteWriter, Literal } from '../core/byte-writer.ts';
import type { Action, RowEvent, TransactionContext, TransactionEnd } from '../core/change.ts';
import { literal, type MessageEncoding } from '../core/encoding.ts';
import { jsonText } from '../core/json.ts';
import type { JsonType } from '../core/json-type.ts';
import { formatLsn, type Lsn } from '../core/lsn.ts';
import { ColumnPlan, type MemberForm } from './columns.ts';
import { formatCommitTimeNano } from './commit-time.ts';
import type {
  CompileInput,
  MessageFormat,
  RenderContext,
  RenderPlan,
  RowKnowledge,
  TransactionForm,
} from './format.ts';
import { wal2jsonMessage, wal2jsonTransactionEnd, type Facts } from './wal2json-types.ts';

const BLOCK = z.strictObject({
  'include-xids': z.boolean().default(false).describe('`xid` of the transaction.'),
  'include-timestamp': z.boolean().default(false).describe('`timestamp`: when it was committed, in UTC.'),
  'include-lsn': z.boolean().default(false).describe('`lsn`: the LSN of its commit.'),
  'include-schemas': z.boolean().default(true).describe('`schema` of the table.'),
  'include-types': z.boolean().default(true).describe('`type` of each column, as SQL writes it.'),
  'include-typmod': z
    .boolean()
    .default(true)
    .describe('Types with their modifiers: `character varying(20)`.'),
  'include-type-oids': z.boolean().default(false).describe('`typeoid` of each column.'),
  'include-pk': z.boolean().default(false).describe("`pk`: names and types of the key's columns."),
  'numeric-data-types-as-string': z
    .boolean()
    .default(false)
    .describe('Numbers as texts, `NaN` and `Infinity` too, which are `null` otherwise.'),
  'include-transaction': z
    .boolean()
    .default(false)
    .describe(
      'Messages of their own where a transaction begins (`B`) and ends (`C`), around what the sink takes of it. All messages are then one group, in one order. wal2json has `true` as the default.',
    ),
  'format-version': z
    .literal([2, '2'], {
      error: 'only 2 is possible: a message is one change, which format version 1 has no words for',
    })
    .default(2)
    .describe('The version of the format.'),
});
type Block = z.output<typeof BLOCK>;

const options = z.strictObject({
  wal2json: BLOCK.optional().meta({ description: 'Format `wal2json`: its parameters, by their own names.' }),
});
type Options = z.output<typeof options>;

const blockOf = ({ wal2json }: Options): Block => wal2json ?? BLOCK.parse({});

export const wal2jsonFormat: MessageFormat<Options> = {
  name: 'wal2json',
  listsColumns: true,
  options,
  // Of these only `absent` counts: values are as wal2json writes them.
  values: {
    numeric: 'number',
    json: 'string',
    bytea: 'hex',
    interval: 'iso8601',
    composite: 'text',
    hstore: 'text',
    vector: 'text',
    halfvec: 'text',
    timestamps: 'iso8601',
    timestampDigits: 'as_needed',
    absent: 'omit',
    unchanged: 'omit',
  },
  zonelessTimestampZ: false,
  valuesOf: (written) => ({
    wal2json: { numbersAsString: blockOf(written)['numeric-data-types-as-string'] },
  }),
  transactions: (written, encoding) => {
    const block = blockOf(written);
    return block['include-transaction'] ? new Wal2jsonTransaction(block, encoding) : undefined;
  },
  faultsOf: ({ ddl }) =>
    ddl === 'events'
      ? [
          {
            path: ['ddl'],
            message: 'wal2json has no messages of schemas: leave it out, or write another format',
          },
        ]
      : [],
  compile: (input) => new Wal2jsonPlan(input),
};

/** The modifier stands in parentheses, in the middle of some names: `timestamp(3) without time zone`. */
const MODIFIER = /\(\d+(?:,-?\d+)?\)/;
/** Types of this schema have no other name in a session as servers set it up. */
const USUAL_SCHEMA = /^public\./;

/** Null: not known, as in logs of versions that did not ask. */
function typeNameOf({ relation }: CompileInput, index: number, hasModifier: boolean): string | null {
  const name = relation.typeNames?.[index] ?? relation.types.get(relation.columns[index]!.type)?.name ?? null;
  const local = name?.replace(USUAL_SCHEMA, '') ?? null;
  // As wal2json does: a quoted name is one JSON string, without quotes of its own.
  const bare = local === null ? null : local.replace(/^"([^".]*)"$/, '$1');
  return hasModifier || bare === null ? bare : bare.replace(MODIFIER, '');
}

/** What a message says of a column beside its value. */
const factsIn =
  (input: CompileInput, block: Block): Facts =>
  ({ name, index }) => ({
    name,
    ...(block['include-types'] && { type: typeNameOf(input, index, block['include-typmod']) }),
    ...(block['include-type-oids'] && { typeoid: input.relation.columns[index]!.type }),
  });

class Wal2jsonPlan implements RenderPlan {
  readonly #input: CompileInput<Options>;
  readonly #facts: Facts;
  readonly #columns: ColumnPlan;
  readonly #identity: ColumnPlan;
  readonly #encoding: MessageEncoding;
  readonly #block: Block;
  readonly #actions: Readonly<Record<'I' | 'U' | 'D' | 'T', Literal>>;
  /** From behind the commit to the first column. */
  readonly #table: Literal;
  readonly #beginColumns: Literal;
  readonly #beginIdentity: Literal;
  readonly #endList: Literal;
  readonly #end: Literal;
  /** There is no word for a partition. */
  readonly tellsPartition: boolean;
  #transaction: TransactionContext | undefined;
  #commit: Literal;

  constructor(input: CompileInput<Options>) {
    const { relation, encoding } = input;
    const block = blockOf(input.options);
    const facts = factsIn(input, block);
    this.#input = input;
    this.#facts = facts;
    // Without the braces.
    const member = (column: { readonly name: string; readonly index: number }): string =>
      jsonText(facts(column)).slice(1, -1);
    const form: MemberForm = {
      before: (column) => `{${member(column)},"value":`,
      after: '}',
    };
    const key = keyOf(input).map((column) => `{${member(column)}}`);
    this.#block = block;
    this.#encoding = encoding;
    this.#columns = new ColumnPlan(input, { form });
    this.#identity = new ColumnPlan({ ...input, columns: identityOf(input) }, { form });
    this.tellsPartition = input.partition === undefined;
    this.#actions = {
      I: literal('{"action":"I"', encoding),
      U: literal('{"action":"U"', encoding),
      D: literal('{"action":"D"', encoding),
      T: literal('{"action":"T"', encoding),
    };
    const schema = block['include-schemas'] ? `,"schema":${jsonText(relation.schema)}` : '';
    this.#table = literal(`${schema},"table":${jsonText(relation.table)}`, encoding);
    this.#beginColumns = literal(',"columns":[', encoding);
    this.#beginIdentity = literal(',"identity":[', encoding);
    this.#endList = literal(']', encoding);
    this.#end = literal(block['include-pk'] ? `,"pk":[${key.join(',')}]}` : '}', encoding);
    this.#commit = literal('', encoding);
  }

  render(event: RowEvent, context: RenderContext, writer: ByteWriter): void {
    const { action } = event;
    this.#open(action === 'insert' ? 'I' : action === 'update' ? 'U' : 'D', context, writer);
    if (action !== 'delete') {
      writer.literal(this.#beginColumns);
      this.#columns.writeNew(event, writer);
      writer.literal(this.#endList);
    }
    if (action !== 'insert') {
      writer.literal(this.#beginIdentity);
      // Without an old row nothing of the identity has changed.
      if (event.oldKind === 'none') this.#identity.writeNew(event, writer);
      else this.#identity.writeOld(event, writer);
      writer.literal(this.#endList);
    }
    writer.literal(this.#end);
  }

  /** All is alike. */
  renderOwn(): void {}

  renderTruncate(context: RenderContext, writer: ByteWriter): void {
    this.#open('T', context, writer);
    writer.literal(literal('}', this.#encoding));
  }

  renderSchema(): void {
    throw new Error('the configuration has let a sink of the format wal2json ask for changes of schemas');
  }

  describe(action: Action, rows: RowKnowledge): JsonType {
    const input = this.#input;
    const parts = { facts: this.#facts, identity: identityOf(input), key: keyOf(input), block: this.#block };
    return wal2jsonMessage(input, parts, action, rows);
  }

  #open(action: 'I' | 'U' | 'D' | 'T', { transaction }: RenderContext, writer: ByteWriter): void {
    if (this.#transaction !== transaction) {
      this.#transaction = transaction;
      this.#commit = literal(commitJson(transaction, this.#block), this.#encoding);
    }
    writer.literal(this.#actions[action]);
    writer.literal(this.#commit);
    writer.literal(this.#table);
  }
}

class Wal2jsonTransaction implements TransactionForm {
  readonly #block: Block;
  readonly #encoding: MessageEncoding;

  constructor(block: Block, encoding: MessageEncoding) {
    this.#block = block;
    this.#encoding = encoding;
  }

  begin(transaction: TransactionContext, writer: ByteWriter): void {
    this.#write(`{"action":"B"${commitJson(transaction, this.#block)}}`, writer);
  }

  commit(transaction: TransactionContext, endLsn: Lsn, writer: ByteWriter): void {
    const next = this.#block['include-lsn'] ? `,"nextlsn":"${formatLsn(endLsn)}"` : '';
    this.#write(`{"action":"C"${commitJson(transaction, this.#block)}${next}}`, writer);
  }

  describe(end: TransactionEnd): JsonType {
    return wal2jsonTransactionEnd(this.#block, end);
  }

  #write(json: string, writer: ByteWriter): void {
    writer.literal(literal(json, this.#encoding));
  }
}

const identityOf = ({ relation, columns }: CompileInput): CompileInput['columns'] =>
  columns.filter(({ index }) => relation.columns[index]!.identity);

const keyOf = ({ relation, columns }: CompileInput): CompileInput['columns'] =>
  columns.filter(({ index }) => relation.key.includes(relation.columns[index]!.name));

function commitJson({ xid, commitTimeUs, commitLsn }: TransactionContext, block: Block): string {
  const time = (): string => formatCommitTimeNano(commitTimeUs).replace('T', ' ').replace('Z', '+00');
  return [
    block['include-xids'] ? `,"xid":${xid}` : '',
    block['include-timestamp'] ? `,"timestamp":"${time()}"` : '',
    block['include-lsn'] ? `,"lsn":"${formatLsn(commitLsn)}"` : '',
  ].join('');
}

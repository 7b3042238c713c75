// CloudEvents 1.0 around the messages of any other format: JSON in structured mode; with a webhook also binary mode, and batches.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md Hot file (bench/micro/render.ts).
import { z } from 'zod';
import { ByteWriter, type Literal } from '../core/byte-writer.ts';
import type { Action, RowEvent } from '../core/change.ts';
import { literal, type MessageEncoding } from '../core/encoding.ts';
import { jsonText } from '../core/json.ts';
import { constant, maybe, member, object, STRING, type JsonType } from '../core/json-type.ts';
import type { Media } from '../core/message.ts';
import type { RenderOptions } from '../core/render.ts';
import type { SchemaChange } from '../core/schema-change.ts';
import { formatCommitTime } from './commit-time.ts';
import {
  tellsTransactions,
  type CompileInput,
  type FormatFault,
  type MessageFormat,
  type RenderContext,
  type RenderPlan,
  type RowKnowledge,
  type SinkWish,
} from './format.ts';
import { KeyTexts } from './key-texts.ts';
import { dataFormatNames, DEFAULT_FORMAT, type DataFormatName } from './names.ts';

const QUOTE = 0x22;
const CLOSE_BRACE = 0x7d;
const LOWER_N = 0x6e;

const HEADER_PREFIX = 'ce-';
const STRUCTURED: Media = {
  message: 'application/cloudevents+json',
  batch: 'application/cloudevents-batch+json',
};
/** https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#31-binary-content-mode */
const BINARY: Media = { ...STRUCTURED, headerPrefix: HEADER_PREFIX };

/** RFC 3986 allows these, and `%` in front of two hexadecimal digits. */
const URI_REFERENCE = /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/;
const notAUri =
  'a URI is expected, or a path of one: what else than its characters it has is percent-encoded';

const block = z.strictObject({
  source: z
    .string()
    .regex(URI_REFERENCE, notAUri)
    .optional()
    .describe(
      'Begin of `source`; `/schema.table` follows. Default: `/tailrace/` and the name of the database.',
    ),
  type: z
    .string()
    .min(1, 'this is empty')
    .default('tailrace')
    .describe('Begin of `type`; the action follows: `com.example.row` gives `com.example.row.insert`.'),
  dataschema: z
    .string()
    .regex(URI_REFERENCE, notAUri)
    .optional()
    .describe('`dataschema`: a URI. Default: there is none.'),
  content_mode: z
    .enum(['structured', 'binary'])
    .default('structured')
    .describe(
      '`binary`, of webhooks with `batch: false`: the attributes are headers (`ce-id`, …), and the body is the data.',
    ),
});
type Block = z.output<typeof block>;

const options = z.strictObject({
  data_format: z
    .enum(dataFormatNames)
    .optional()
    .meta({
      description: `Format \`cloudevents\`: the format of \`data\`, whose own keys go beside this one. Default: \`${DEFAULT_FORMAT}\`.`,
    }),
  cloudevents: block
    .optional()
    .meta({ description: 'Format `cloudevents`: what the attributes of the events say.' }),
});

/** `data`: the format inside, with what its own schema made of its keys; undefined: of none. */
type Options = z.output<typeof options> & {
  readonly data?: { readonly format: DataFormatName; readonly options: unknown };
};

type DataFormats = Readonly<Record<DataFormatName, MessageFormat>>;

export function cloudEventsFormat(formats: DataFormats): MessageFormat<Options> {
  const dataOf = ({ data, data_format: name = DEFAULT_FORMAT }: Options) => {
    const format = formats[data?.format ?? name];
    return { format, options: data === undefined ? format.options?.parse({}) : data.options };
  };
  return {
    name: 'cloudevents',
    // In what stands inside.
    writesBeside: true,
    options,
    values: formats[DEFAULT_FORMAT].values,
    zonelessTimestampZ: formats[DEFAULT_FORMAT].zonelessTimestampZ,
    valuesOf: (written): Partial<RenderOptions> => {
      const { format, options } = dataOf(written);
      return { zonelessTimestampZ: format.zonelessTimestampZ, ...format.valuesOf?.(options) };
    },
    mediaOf: ({ cloudevents }) => (cloudevents?.content_mode === 'binary' ? BINARY : STRUCTURED),
    faultsOf: (sink, written) => {
      const { format, options } = dataOf(written);
      const data = format.faultsOf?.(sink, options) ?? [];
      return [...modeFaults(sink, written), ...transactionFaults(format, options), ...data];
    },
    notesOf: (written) => {
      const { format, options } = dataOf(written);
      return format.notesOf?.(options) ?? [];
    },
    compile: (input) => {
      const { format, options } = dataOf(input.options);
      return new CloudEventsPlan(
        input,
        input.options.cloudevents ?? block.parse({}),
        format.compile({ ...input, options }),
      );
    },
  };
}

function modeFaults({ destination }: SinkWish, { cloudevents }: Options): readonly FormatFault[] {
  if (cloudevents?.content_mode !== 'binary') return [];
  const path = ['cloudevents', 'content_mode'];
  const { headers = [] } = destination as { readonly headers?: readonly { readonly key: string }[] };
  if (destination.type !== 'webhook') {
    return [{ path, message: 'binary mode puts attributes into headers of HTTP, which only a webhook has' }];
  }
  if (destination['batch'] !== false) {
    return [{ path, message: 'binary mode is one event a request: write batch: false in the destination' }];
  }
  return headers
    .filter(({ key }) => key.toLowerCase().startsWith(HEADER_PREFIX))
    .map(({ key }) => ({
      path: ['destination', 'headers'],
      message: `in binary mode headers that begin with ${HEADER_PREFIX} are attributes of the event: leave ${key} out`,
    }));
}

/** An event is of a row or a table. */
const transactionFaults = (format: MessageFormat, options: unknown): readonly FormatFault[] =>
  !tellsTransactions(format, options)
    ? []
    : [
        {
          path: [format.name],
          message: `an event tells of one change, and not where a transaction begins and ends: leave include-transaction out, or write format: ${format.name}`,
        },
      ];

const ACTIONS: readonly Action[] = ['insert', 'update', 'delete', 'read', 'truncate', 'schema'];

class CloudEventsPlan implements RenderPlan {
  readonly #data: RenderPlan;
  readonly #encoding: MessageEncoding;
  readonly #block: Block;
  readonly #source: string;
  readonly #keyTexts: KeyTexts;
  /** Set where the key has several columns: their texts are put together. */
  readonly #joinedKey: KeyTexts | undefined;
  readonly #scratch = new ByteWriter(256);
  readonly #begin: Literal;
  /** From behind the id to behind the type. */
  readonly #types: Readonly<Record<Action, Literal>>;
  readonly #subject: Literal;
  readonly #time: Literal;
  /** From behind the time to the data. */
  readonly #beginData: Literal;

  constructor(input: CompileInput, block: Block, data: RenderPlan) {
    const { source, type, dataschema } = block;
    const { relation, encoding, envelope, masks } = input;
    const begin = source ?? `/tailrace/${encodeURIComponent(envelope.databaseName)}`;
    const table = `${encodeURIComponent(relation.schema)}.${encodeURIComponent(relation.table)}`;
    this.#block = block;
    this.#source = `${begin.replace(/\/$/, '')}/${table}`;
    const of = jsonText(this.#source);
    this.#data = data;
    this.#encoding = encoding;
    this.#keyTexts = new KeyTexts(input);
    this.#joinedKey =
      relation.key.length > 1 ? new KeyTexts({ relation, masks, encoding: 'json' }) : undefined;
    this.#begin = literal('{"specversion":"1.0","id":"', encoding);
    this.#types = Object.fromEntries(
      ACTIONS.map((action) => [
        action,
        literal(`","source":${of},"type":${jsonText(`${type}.${action}`)}`, encoding),
      ]),
    ) as Record<Action, Literal>;
    this.#subject = literal(',"subject":', encoding);
    const schema = dataschema === undefined ? '' : `,"dataschema":${jsonText(dataschema)}`;
    this.#time = literal(',"time":"', encoding);
    this.#beginData = literal(`","datacontenttype":"application/json"${schema},"data":`, encoding);
  }

  get tellsPartition(): boolean {
    return this.#data.tellsPartition;
  }

  render(event: RowEvent, context: RenderContext, writer: ByteWriter): void {
    this.#open(context.read ? 'read' : event.action, context, writer);
    this.#writeSubject(event, writer);
    this.#writeCommit(context, writer);
    this.#data.render(event, context, writer);
    writer.byte(CLOSE_BRACE);
  }

  renderTruncate(context: RenderContext, writer: ByteWriter): void {
    this.#open('truncate', context, writer);
    this.#writeCommit(context, writer);
    this.#data.renderTruncate(context, writer);
    writer.byte(CLOSE_BRACE);
  }

  renderSchema(change: SchemaChange, context: RenderContext, writer: ByteWriter): void {
    this.#open('schema', context, writer);
    this.#writeCommit(context, writer);
    this.#data.renderSchema(change, context, writer);
    writer.byte(CLOSE_BRACE);
  }

  /** In binary mode the attributes are headers. */
  describe(action: Action, rows: RowKnowledge): JsonType {
    const { type, dataschema, content_mode: mode } = this.#block;
    const data = this.#data.describe(action, rows);
    if (mode === 'binary') return data;
    const isRow = action !== 'truncate' && action !== 'schema';
    return object([
      member('specversion', constant('1.0')),
      member('id', STRING),
      member('source', constant(this.#source)),
      member('type', constant(`${type}.${action}`)),
      ...(isRow ? [maybe('subject', STRING)] : []),
      member('time', STRING),
      member('datacontenttype', constant('application/json')),
      ...(dataschema === undefined ? [] : [member('dataschema', constant(dataschema))]),
      member('data', data),
    ]);
  }

  #open(action: Action, { key }: RenderContext, writer: ByteWriter): void {
    writer.literal(this.#begin);
    key.writeKey(writer);
    writer.literal(this.#types[action]);
  }

  #writeCommit({ transaction }: RenderContext, writer: ByteWriter): void {
    writer.literal(this.#time);
    writer.latin1(formatCommitTime(transaction.commitTimeUs));
    writer.literal(this.#beginData);
  }

  /** Not where the row has no key, or it is not known: a subject is never empty. */
  #writeSubject(event: RowEvent, writer: ByteWriter): void {
    const { length, escapes } = writer;
    writer.literal(this.#subject);
    const start = writer.length;
    if (this.#joinedKey === undefined) this.#keyTexts.write(event, writer);
    else writer.literal(literal(jsonText(this.#joined(event)), this.#encoding));
    if (isNothing(writer, start)) writer.truncate(length, escapes);
  }

  /** `1,a%2Cb`: their texts, where a comma and a percent sign inside are encoded; one that is not known is empty. */
  #joined(event: RowEvent): string {
    const scratch = this.#scratch;
    scratch.reset();
    this.#joinedKey!.write(event, scratch);
    const texts = JSON.parse(`[${scratch.buffer.toString('utf8', 0, scratch.length)}]`) as (string | null)[];
    return texts.map((text) => (text ?? '').replaceAll('%', '%25').replaceAll(',', '%2C')).join(',');
  }
}

/** Nothing, null, or an empty string in either encoding. */
function isNothing({ buffer, length }: ByteWriter, start: number): boolean {
  const size = length - start;
  if (size === 0 || buffer[start] === LOWER_N) return true;
  return (
    size <= 4 && size % 2 === 0 && buffer[start + size / 2 - 1] === QUOTE && buffer[length - 1] === QUOTE
  );
}

// The `debezium` block of a sink: options of Debezium's connector and of its unwrapping transform, by their own names.
// https://debezium.io/documentation/reference/3.6/connectors/postgresql.html#postgresql-connector-properties
import { z } from 'zod';
import type { DebeziumValues } from '../../core/render.ts';

/** Fields of the envelope that can be added to an unwrapped row, as they are found: outer ones before those of `source`. */
export const OUTER_FIELDS = ['op', 'ts_ms', 'ts_us', 'ts_ns'] as const;
export const SOURCE_FIELDS = [
  'version',
  'connector',
  'name',
  'ts_ms',
  'snapshot',
  'db',
  'sequence',
  'ts_us',
  'ts_ns',
  'schema',
  'table',
  'txId',
  'lsn',
  'xmin',
  'origin',
  'origin_lsn',
] as const;

export type SourceField = (typeof SOURCE_FIELDS)[number];
export type OuterField = (typeof OUTER_FIELDS)[number];
export type AddedField = {
  readonly name: string;
  readonly of: 'message' | 'source' | 'transaction';
  readonly field: string;
};

/** `op`, `source.ts_ms`, `table:TAB` → where it is found, and its name after the prefix. Undefined: no such field. */
function addedField(text: string): AddedField | undefined {
  const [path = '', rename] = text.trim().split(':');
  const [first = '', second] = path.split('.');
  const name = rename ?? path.replaceAll('.', '_');
  const isOf = (names: readonly string[], field: string): boolean => names.includes(field);
  if (second === undefined) {
    if (isOf(OUTER_FIELDS, first)) return { name, of: 'message', field: first };
    return isOf(SOURCE_FIELDS, first) ? { name, of: 'source', field: first } : undefined;
  }
  if (first === 'source' && isOf(SOURCE_FIELDS, second)) return { name, of: 'source', field: second };
  return first === 'transaction' && ['id', 'total_order', 'data_collection_order'].includes(second)
    ? { name, of: 'transaction', field: second }
    : undefined;
}

/** `op,source.ts_ms:AT` → its fields, all of which the schema has found to be some. */
const addedFields = (text: string | undefined): readonly AddedField[] =>
  (text ?? '').split(',').flatMap((part) => (part.trim() === '' ? [] : [addedField(part)!]));

const addFields = z.string().superRefine((text, context) => {
  for (const part of text.split(',')) {
    if (addedField(part) !== undefined) continue;
    const known = [...OUTER_FIELDS, ...SOURCE_FIELDS.map((name) => `source.${name}`)].join(', ');
    context.addIssue({
      code: 'custom',
      message: `"${part.trim()}" is no field of these messages, which are ${known}`,
    });
  }
});

const NO_NULL = 'no sink here can carry a message that is null';

export const debeziumBlock = z.strictObject({
  'topic.prefix': z
    .string()
    .min(1, 'this is empty')
    .optional()
    .describe("`source.name`. Default: the database's name in this file."),
  'time.precision.mode': z
    .enum(['adaptive', 'adaptive_time_microseconds', 'connect', 'isostring', 'microseconds', 'nanoseconds'])
    .default('adaptive')
    .describe('Times as numbers of milli-, micro- or nanoseconds, or as ISO 8601.'),
  'decimal.handling.mode': z
    .enum(['precise', 'double', 'string'])
    .default('precise')
    .describe("`numeric` and `money` as Kafka Connect's Decimal (bytes), as doubles, or as exact text."),
  'interval.handling.mode': z
    .enum(['numeric', 'string'])
    .default('numeric')
    .describe('`interval` as microseconds, a month having 30.4375 days, or as ISO 8601.'),
  'binary.handling.mode': z
    .enum(['bytes', 'base64', 'base64-url-safe', 'hex'])
    .default('bytes')
    .describe('`bytea`. In JSON `bytes` and `base64` are the same.'),
  'hstore.handling.mode': z
    .enum(['json', 'map'])
    .default('json')
    .describe('`hstore` as a string of JSON, or as an object.'),
  'money.fraction.digits': z
    .int()
    .min(0)
    .max(6)
    .default(2)
    .describe("Digits behind the point that the server's `lc_monetary` gives to `money`."),
  'unavailable.value.placeholder': z
    .string()
    .min(1, 'this is empty')
    .regex(/^(?!hex:)|^hex:(?:[0-9a-fA-F]{2})+$/, 'behind hex: pairs of hexadecimal digits are expected')
    .default('__debezium_unavailable_value')
    .describe(
      'Stands for a large value that did not change and was not sent again. `hex:…` gives its bytes.',
    ),
  'tombstones.on.delete': z
    .literal(false, { error: `only false is possible: ${NO_NULL}` })
    .default(false)
    .describe(`A message that is null after each delete: ${NO_NULL}.`),
  unwrap: z
    .boolean()
    .default(false)
    .describe('The row alone instead of the envelope, as the transform `ExtractNewRecordState` makes it.'),
  'add.fields': addFields.optional().meta({
    description:
      'With `unwrap`: fields of the envelope that the row gets too, with commas between them: `op,source.ts_ms,lsn:LSN`.',
  }),
  'add.fields.prefix': z
    .string()
    .default('__')
    .describe('With `unwrap`: what stands in front of their names.'),
  'delete.tombstone.handling.mode': z
    .literal('rewrite', {
      error: `only rewrite is possible: ${NO_NULL}; who wants no deletes writes actions: [insert, update]`,
    })
    .default('rewrite')
    .describe(
      'With `unwrap`: a deleted row is its old values with `"__deleted":"true"`; other rows have `"false"`.',
    ),
});

export type DebeziumOptions = z.output<typeof debeziumBlock>;

export const debeziumOptions = z.strictObject({
  debezium: debeziumBlock
    .superRefine((block, context) => {
      const path = ['add.fields'];
      const written = block['add.fields'];
      if (written === undefined) return;
      if (!block.unwrap) context.addIssue({ code: 'custom', path, message: 'this goes with unwrap: true' });
      // What is no field is a fault of its own.
      if (written.split(',').some((part) => addedField(part) === undefined)) return;
      const names = namesBeside(block);
      const twice = names.find((name, index) => names.indexOf(name) < index);
      if (twice === undefined) return;
      const message = `two fields of the row would be called "${twice}": give one another name, as in op:kind`;
      context.addIssue({ code: 'custom', path, message });
    })
    .optional()
    .meta({ description: 'Format `debezium`: options of its connector, by their own names.' }),
});

/** What the block says, with its defaults where there is none. */
export const blockOf = ({ debezium }: z.output<typeof debeziumOptions>): DebeziumOptions =>
  debezium ?? debeziumBlock.parse({});

/** The fields that an unwrapped row gets, under the names that they have there. */
export const namedFields = (block: DebeziumOptions): readonly AddedField[] =>
  addedFields(block['add.fields']).map((field) => ({
    ...field,
    name: block['add.fields.prefix'] + field.name,
  }));

/** Says of an unwrapped row whether it is deleted. */
export const DELETED = '__deleted';

/** All that stands beside the columns of an unwrapped row. */
export const namesBeside = (block: DebeziumOptions): readonly string[] => [
  DELETED,
  ...namedFields(block).map(({ name }) => name),
];

export const valuesOf = (block: DebeziumOptions): DebeziumValues => ({
  time: block['time.precision.mode'],
  decimal: block['decimal.handling.mode'],
  interval: block['interval.handling.mode'],
  binary: block['binary.handling.mode'],
  hstore: block['hstore.handling.mode'],
  moneyFractionDigits: block['money.fraction.digits'],
  unavailable: block['unavailable.value.placeholder'],
});

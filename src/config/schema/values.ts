// The schema of `sinks[].values`: how single kinds of values are written. A format is a set of defaults for them.
import { z } from 'zod';
import type { ValueOptions } from '../../core/render.ts';
import type { MessageFormat } from '../../formats/format.ts';
import { DEFAULT_FORMAT, formatNames } from '../../formats/names.ts';
import { formats } from '../../formats/registry.ts';

type Word = string | number | null;

/** Can `values` be written beside this format, or do its own keys say all of that? */
const takesForms = ({ valuesOf }: MessageFormat): boolean => valuesOf === undefined;

/** One way to write values. Default: the format's. */
function valueOption<const Words extends readonly Word[]>(
  key: keyof ValueOptions,
  words: Words,
  description: string,
) {
  const usual = formats[DEFAULT_FORMAT].values[key];
  const others = formatNames.filter(
    (format) => takesForms(formats[format]) && formats[format].values[key] !== usual,
  );
  const option = z.literal(words).optional();
  if (others.length === 0) return option.meta({ description, default: usual });
  const exceptions = others.map((format) => `; \`${formats[format].values[key]}\` in format \`${format}\``);
  return option.describe(`${description} Default: \`${usual}\`${exceptions.join('')}.`);
}

/** The forms of values that can be chosen. */
export const valueForms = z.strictObject({
  numeric: valueOption(
    'numeric',
    ['string', 'number', 'float'],
    '`numeric` as exact text, exact digits, or a double.',
  ),
  json: valueOption(
    'json',
    ['embed', 'string'],
    '`json` and `jsonb` as the document itself, or as a string of it.',
  ),
  bytea: valueOption('bytea', ['hex', 'base64'], "`bytea` as Postgres' hex text, or as base64."),
  interval: valueOption(
    'interval',
    ['iso8601', 'object'],
    '`interval` as an ISO 8601 duration, or as `{"months","days","microseconds"}`.',
  ),
  composite: valueOption(
    'composite',
    ['object', 'text'],
    "Composites as objects by attribute, or as Postgres' text.",
  ),
  hstore: valueOption('hstore', ['object', 'text'], "`hstore` as an object, or as Postgres' text."),
  vector: valueOption(
    'vector',
    ['array', 'text'],
    "pgvector's `vector` as an array of numbers, or as Postgres' text.",
  ),
  halfvec: valueOption(
    'halfvec',
    ['array', 'text'],
    "pgvector's `halfvec` as an array of numbers, or as Postgres' text.",
  ),
  timestamp_digits: valueOption(
    'timestampDigits',
    // A variable gives a text.
    [6, '6', 'as_needed'],
    'Fraction digits of timestamps: always six, or without zeros at the end.',
  ),
  absent: valueOption(
    'absent',
    ['omit', 'null', null],
    'A column of a deleted row that Postgres did not send: left out, or `null`.',
  ),
  unchanged: valueOption(
    'unchanged',
    ['omit', 'text'],
    'A large value that did not change and was not sent again: left out, or `"unchanged_toast"`.',
  ),
});

/** What is not written is the format's. A key that is there without a value says null, as YAML reads the word. */
export const formsOf = (
  written: z.output<typeof valueForms>,
  timestamps: ValueOptions['timestamps'] | undefined,
  { values }: MessageFormat,
): ValueOptions => ({
  timestamps: timestamps ?? values.timestamps,
  numeric: written.numeric ?? values.numeric,
  json: written.json ?? values.json,
  bytea: written.bytea ?? values.bytea,
  interval: written.interval ?? values.interval,
  composite: written.composite ?? values.composite,
  hstore: written.hstore ?? values.hstore,
  vector: written.vector ?? values.vector,
  halfvec: written.halfvec ?? values.halfvec,
  timestampDigits: digitsOf(written.timestamp_digits) ?? values.timestampDigits,
  absent: written.absent ?? ('absent' in written ? 'null' : values.absent),
  unchanged: written.unchanged ?? values.unchanged,
});

const digitsOf = (written: 6 | '6' | 'as_needed' | undefined): 6 | 'as_needed' | undefined =>
  written === '6' ? 6 : written;

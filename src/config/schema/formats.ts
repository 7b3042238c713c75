// The keys of a sink that belong to its format: those of every format as fields, what is wrong with them, and what a format makes of its own.
import { z } from 'zod';
import {
  tellsTransactions,
  type FormatFault,
  type MessageFormat,
  type SinkWish,
} from '../../formats/format.ts';
import {
  dataFormatNames,
  DEFAULT_FORMAT,
  formatNames,
  type DataFormatName,
  type FormatName,
} from '../../formats/names.ts';
import { formats } from '../../formats/registry.ts';

/** Keys that belong to one format each. */
const formatOptions = formatNames.flatMap((format) =>
  Object.entries((formats[format] as MessageFormat).options?.shape ?? {}).map(([key, schema]) => {
    const { elsewhere } = (z.globalRegistry.get(schema) as { elsewhere?: string }) ?? {};
    return { format, key, schema, elsewhere };
  }),
);

/** The keys of all formats, as fields of a sink. */
export const formatFields: Readonly<Record<string, z.core.$ZodType>> = Object.fromEntries(
  formatOptions.map(({ key, schema }) => [key, schema]),
);

/** As a default is told: `; split in format …`. */
export const splittingFormats = formatNames
  .filter((format) => (formats[format] as MessageFormat).keyChanges === 'split')
  .map((format) => `; \`split\` in format \`${format}\``)
  .join('');

/** What the sink asks for and its format cannot do. */
export function formatFaults(
  written: Omit<SinkWish, 'destination'> &
    Chosen & { readonly values: object; readonly timestamp_format?: unknown; readonly destination: unknown },
): readonly FormatFault[] {
  const strange = strangeKeys(written);
  const format: MessageFormat = formats[written.format];
  const destination = written.destination as SinkWish['destination'];
  // What its own keys say may be a fault already, which stands at its place.
  if ([format, dataFormatOf(written)].some((each) => readOptions(each, written)?.success === false))
    return strange;
  const faults = [...strange, ...(format.faultsOf?.({ ...written, destination }, optionsOf(written)) ?? [])];
  const { name, options, valuesOf } = dataFormatOf(written);
  if (valuesOf === undefined) return faults;
  const key = Object.keys(written.values).length > 0 ? 'values' : 'timestamp_format';
  if (key === 'timestamp_format' && written.timestamp_format === undefined) return faults;
  const message = `format ${name} says by keys of its own how values are written: ${Object.keys(options?.shape ?? {}).join(', ')}`;
  return [...faults, { path: [key], message }];
}

/** Keys of formats that the sink does not have. */
function strangeKeys(written: Chosen): FormatFault[] {
  const used: readonly string[] = [written.format, dataFormatOf(written).name];
  const key = isEnvelope(written.format) ? 'data_format' : 'format';
  return formatOptions
    .filter(
      (option) =>
        !used.includes(option.format) && (written as Record<string, unknown>)[option.key] !== undefined,
    )
    .map(({ format, key: path, elsewhere }) => ({
      path: [path],
      message: `this needs \`${key}: ${format}\`${elsewhere === undefined ? '' : `; ${elsewhere}`}`,
    }));
}

/** Has it messages of their own where transactions begin and end? Not where its own keys are at fault. */
export const isToldOfTransactions = (written: Chosen): boolean => {
  const format: MessageFormat = formats[written.format];
  const read = readOptions(format, written);
  return read?.success !== false && tellsTransactions(format, optionsOf(written));
};

/** The format that says what happened: another one than the sink's where that puts it into an envelope. */
export const dataFormatOf = (written: Chosen): MessageFormat =>
  isEnvelope(written.format) ? formats[written.data_format ?? DEFAULT_FORMAT] : formats[written.format];

const isEnvelope = (name: FormatName): boolean => !(dataFormatNames as readonly string[]).includes(name);

type Chosen = { readonly format: FormatName; readonly data_format?: DataFormatName | undefined };

/** What the schemas of its formats make of their own keys. */
export function optionsOf(written: Chosen): unknown {
  const data = dataFormatOf(written);
  const own = readOptions(formats[written.format], written)?.data;
  if (!isEnvelope(written.format)) return own;
  return { ...(own as object), data: { format: data.name, options: readOptions(data, written)?.data } };
}

/** Of one format. */
function readOptions({ options }: MessageFormat, written: object): z.ZodSafeParseResult<unknown> | undefined {
  const keys = Object.keys(options?.shape ?? {});
  return options?.safeParse(
    Object.fromEntries(Object.entries(written).filter(([key]) => keys.includes(key))),
  );
}

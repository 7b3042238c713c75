// Every message format, one line each, by its name in the configuration. To add a format, add its file, its name (names.ts) and its line here.
import { cloudEventsFormat } from './cloudevents.ts';
import { debeziumFormat } from './debezium/debezium.ts';
import type { MessageFormat } from './format.ts';
import type { DataFormatName, FormatName } from './names.ts';
import { pg2sqsFormat } from './pg2sqs.ts';
import { sequinFormat } from './sequin.ts';
import { tailraceFormat } from './tailrace.ts';
import { wal2jsonFormat } from './wal2json.ts';

/** A format gets only options that its own schema has parsed, hence `unknown` here. */
const dataFormats = {
  sequin: sequinFormat,
  tailrace: tailraceFormat,
  pg2sqs: pg2sqsFormat as MessageFormat,
  debezium: debeziumFormat as MessageFormat,
  wal2json: wal2jsonFormat as MessageFormat,
} satisfies Readonly<Record<DataFormatName, MessageFormat>>;

export const formats = {
  ...dataFormats,
  cloudevents: cloudEventsFormat(dataFormats) as MessageFormat,
} satisfies Readonly<Record<FormatName, MessageFormat>>;

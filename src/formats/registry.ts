// Every message format, one line each, by its name in the configuration. To add a format, add its file and its line here.
import type { MessageFormat } from './format.ts';
import { pg2sqsFormat } from './pg2sqs.ts';
import { sequinFormat } from './sequin.ts';
import { tailraceFormat } from './tailrace.ts';

/** A format gets only options that its own schema has parsed, hence `unknown` here. */
export const formats = {
  sequin: sequinFormat,
  tailrace: tailraceFormat,
  pg2sqs: pg2sqsFormat as MessageFormat,
} satisfies Readonly<Record<string, MessageFormat>>;

export type FormatName = keyof typeof formats;

export const formatNames = Object.keys(formats) as readonly FormatName[];

export const DEFAULT_FORMAT: FormatName = 'sequin';

/** Names that a later version brings: not unknown, but not here. */
export const FORMATS_NOT_YET: readonly string[] = ['debezium', 'wal2json'];

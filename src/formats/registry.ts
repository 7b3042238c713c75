// Every message format, by its name in the configuration.
import type { FormatName, MessageFormat } from './format.ts';
import { pg2sqsFormat } from './pg2sqs.ts';
import { sequinFormat } from './sequin.ts';

export const formats: Readonly<Record<FormatName, MessageFormat>> = {
  sequin: sequinFormat,
  pg2sqs: pg2sqsFormat,
};

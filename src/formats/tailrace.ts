// The envelope of the format `sequin` with richer values: ISO 8601 durations, composites and hstore as objects.
import type { MessageFormat } from './format.ts';
import { sequinFormat } from './sequin.ts';

export const tailraceFormat: MessageFormat = {
  ...sequinFormat,
  name: 'tailrace',
  values: {
    ...sequinFormat.values,
    interval: 'iso8601',
    composite: 'object',
    hstore: 'object',
    halfvec: 'array',
  },
};

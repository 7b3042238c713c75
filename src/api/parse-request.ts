// Queries and bodies of the management API, read by a schema: all that is wrong is said at once.
import { z } from 'zod';
import { MAX_BACKFILL_KEYS } from '../core/backfill.ts';
import { parseTableName } from '../core/selection.ts';
import { invalidRequest } from './errors.ts';

/** `schema.table`. */
export const tableField = z.string().transform((text, context) => {
  const name = parseTableName(text);
  if (name !== undefined) return name;
  context.addIssue({ code: 'custom', message: 'a table is named schema.table' });
  return z.NEVER;
});

/** Each row by the texts of its key. */
export const keyList = z.array(z.array(z.string()).min(1)).min(1).max(MAX_BACKFILL_KEYS);
/** Of a request that may name so many. */
export const MAX_KEYS_BYTES = 32 * 1024 * 1024;

/** Throws REQUEST_INVALID. */
export function parseRequest<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  );
  throw invalidRequest(faults.join('; '), 'docs/operations.md describes the requests');
}

// The keys of a sink that say which rows of before it gets: `initial_backfill`, as in sequin.yaml, and `backfill`.
import { z } from 'zod';
import { DEFAULT_BACKFILL_WORKERS, MAX_BACKFILL_WORKERS } from '../../core/backfill.ts';
import { formatTableName } from '../../core/selection.ts';
import { nonEmpty, positiveDuration, tableName } from './parts.ts';

/** A value of the column, as Postgres reads it. */
const startPosition = () =>
  z
    .union([nonEmpty(), z.number(), z.boolean()], { error: 'a value of the column is expected' })
    .transform((written, context): string => {
      if (typeof written !== 'number' || !Number.isInteger(written) || Number.isSafeInteger(written))
        return String(written);
      context.addIssue({
        code: 'custom',
        message: 'a number of so many digits does not stay as it is: write it in quotes',
      });
      return z.NEVER;
    });

const entry = z
  .strictObject({
    table: tableName().describe('The table, `schema.table`.'),
    type: z
      .enum(['full', 'partial'])
      .default('full')
      .describe('`full`: every row. `partial`: those from `start_position` on.'),
    sort_column: nonEmpty()
      .optional()
      .describe(
        'Of a partial one: the column that is compared, and that orders the reading where an index leads with it.',
      ),
    start_position: startPosition()
      .optional()
      .describe('Of a partial one: the smallest value of that column, as Postgres reads it.'),
  })
  .superRefine((value, context) => {
    for (const key of ['sort_column', 'start_position'] as const) {
      const isMissing = value[key] === undefined;
      if (isMissing !== (value.type === 'partial')) continue;
      const message = isMissing ? 'a partial backfill needs this' : 'this needs `type: partial`';
      context.addIssue({ code: 'custom', path: [key], message });
    }
  })
  .transform(({ table, sort_column: column, start_position: from }) => ({
    ...table,
    ...(column === undefined || from === undefined ? {} : { sort: { column, from } }),
  }));

const entries = z.array(entry).superRefine((tables, context) => {
  const names = tables.map(formatTableName);
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) === index) continue;
    context.addIssue({ code: 'custom', message: `${name} is named twice`, path: [index, 'table'] });
  }
});

/** An empty list asks for nothing. */
export const initialBackfill = () =>
  z
    .union([z.boolean(), z.strictObject({ all: z.boolean() }), entries, z.null()], {
      error: 'true, false or a list of tables is expected',
    })
    .transform((written) => {
      if (written === null || written === false) return undefined;
      if (written === true) return 'all';
      if (!Array.isArray(written)) return written.all ? 'all' : undefined;
      return written.length === 0 ? undefined : written;
    })
    .optional();

const QUERY_TIMEOUT = '5s';

export const backfillOptions = () =>
  z
    .strictObject({
      reads: z
        .boolean()
        .optional()
        .describe(
          'Does the sink get the rows that backfills read, as messages with the action `read`? Default: those of tables whose `insert` it takes; all of them where it has an `initial_backfill` and no `insert` in its `actions`.',
        ),
      query_timeout: positiveDuration()
        .prefault(QUERY_TIMEOUT)
        .describe(
          'The longest that one statement of a backfill may take: its chunks become as small as that needs.',
        ),
      workers: z
        .int()
        .min(1)
        .max(MAX_BACKFILL_WORKERS)
        .prefault(DEFAULT_BACKFILL_WORKERS)
        .describe(
          `How many chunks of a table are read at once, each over a connection of its own: 1 to ${MAX_BACKFILL_WORKERS}. They come into the log in order all the same.`,
        ),
      max_rows_per_second: z
        .int()
        .min(1)
        .optional()
        .describe('How many rows a second a backfill for this sink reads at most. Default: no limit.'),
      gives_way: z
        .boolean()
        .prefault(true)
        .describe(
          'Does a backfill for this sink give way to live changes: is it read no faster than leaves them the time that they take without it? `false`: as fast as can be.',
        ),
    })
    .prefault({});

// The schema of one entry of `sinks` in tailrace.yaml: every key of it, with its default. Destinations come from the
// registry of sinks, formats and their own keys from the registry of formats.
import { z } from 'zod';
import { DEFAULT_FORMAT, formatNames } from '../../formats/names.ts';
import { sinkDefinition, sinkDefinitions } from '../../sinks/registry.ts';
import { backfillOptions, initialBackfill } from './backfill.ts';
import {
  annotations,
  exported,
  ignored,
  noFunction,
  nonEmpty,
  notYet,
  resourceName,
  retryPolicy,
  sinkStart,
  schemaPattern,
  schemaPatterns,
  tableName,
  tablePattern,
  tablePatterns,
} from './parts.ts';
import { columnRules, maskKey } from './columns.ts';
import {
  dataFormatOf,
  formatFaults,
  formatFields,
  optionsOf,
  splittingFormats,
  isToldOfTransactions,
} from './formats.ts';
import { formsOf, valueForms } from './values.ts';
import { ruleFaults } from '../tailrace/column-rules.ts';
import { routeFaults } from '../tailrace/route-checks.ts';
import { transactionFaults } from '../tailrace/transaction-checks.ts';
import { tableFaults } from '../tailrace/source-checks.ts';

const action = () => z.enum(['insert', 'update', 'delete', 'truncate']);

/** An empty list is none. */
const groupColumns = () =>
  z
    .array(nonEmpty())
    .transform((names) => (names.length > 0 ? names : undefined))
    .optional();

/** Parsed where the whole file is read: what is wrong in it is said at its place. */
const condition = () => z.string();

const sinkTable = z.strictObject({
  name: tablePattern().describe(
    'The table, `schema.table`, or a pattern of tables. A table takes the entry that names it, else the first whose pattern fits.',
  ),
  group_column_names: groupColumns().describe(
    'Columns whose values make the message group: order holds inside it. Default, and of an empty list: the primary key.',
  ),
  ...columnRules,
  actions: z
    .array(action())
    .min(1)
    .optional()
    .describe("Of the sink's `actions` only these. Default: all of them."),
  where: condition().optional().describe('Of these tables only the changes for which this is true too.'),
});

const source = z.strictObject({
  include_schemas: schemaPatterns({ least: 1 }).optional().describe('Only tables in these schemas.'),
  exclude_schemas: schemaPatterns({ least: 0 }).optional().describe('No table in these schemas.'),
  include_tables: tablePatterns({ least: 1 }).optional().describe('Only these tables, `schema.table`.'),
  exclude_tables: tablePatterns({ least: 0 }).optional().describe('Not these tables.'),
});

const destination = z.discriminatedUnion(
  'type',
  sinkDefinitions.map((definition) => definition.config) as unknown as [z.core.$ZodTypeDiscriminable],
);

const SAME_GROUP_DEFAULT = 'strict';

const NO_RECORD = 'it says how the sink stood when it was exported';

export const sinkSchema = z
  .strictObject({
    name: resourceName().describe(
      "Name of the sink. With its database it is the sink's identity: renaming makes a new sink.",
    ),
    database: z
      .string()
      .optional()
      .describe('Name of the database that it follows. Default: the only one that there is.'),
    status: z
      .enum(['active', 'paused', 'disabled'])
      .default('active')
      .describe(
        "`paused` holds the sink's place in the log; `disabled` holds nothing. What was chosen while running (`tailrace pause`) holds until this value changes.",
      ),
    start: sinkStart()
      .optional()
      .describe(
        'Where a new sink begins: `earliest` retained, an LSN, or a time. Default: the end of the log, or the slot for the very first sink.',
      ),
    source: source
      .optional()
      .describe(
        'The tables that it reads: exact names, or patterns in which `*` stands for any characters (`tenant_*.orders`). What is excluded wins. Default: every table of the publication.',
      ),
    table: tableName()
      .optional()
      .describe("Sequin's older spelling of `source.include_tables` with one table."),
    partitions_have_identity: z
      .boolean()
      .default(false)
      .describe(
        "`true`: a partitioned table without a primary key of its own is published all the same, because each of its partitions, those to come too, is given a key or `REPLICA IDENTITY FULL`. Where one is not, the application's UPDATE and DELETE fail on it until Tailrace takes the table out again (`publication.refresh_interval`).",
      ),
    schema: schemaPattern()
      .optional()
      .describe("Sequin's older spelling of `source.include_schemas` with one schema."),
    group_column_names: groupColumns().describe("Sequin's older spelling, beside `table`."),
    tables: z
      .array(sinkTable)
      .default([])
      .describe('Options of single tables, or of all that a pattern matches.'),
    actions: z
      .array(action())
      .min(1)
      .default(['insert', 'update', 'delete'])
      .describe('The actions that it wants.'),
    where: condition()
      .optional()
      .describe(
        "Only the changes for which this condition in SQL is true: `status = 'paid' and amount > 100`. A column is that of the row after the change, of a delete the old one; `old.x` is the value before, `meta.action` what happened. docs/filters.md lists what it may have.",
      ),
    on_absent: z
      .enum(['dead_letter', 'deliver', 'drop'])
      .default('dead_letter')
      .describe(
        'What becomes of an update when a value decides `where` that Postgres did not send: a large one that did not change, in a table without `REPLICA IDENTITY FULL`.',
      ),
    deletes_outside: z
      .enum(['deliver', 'drop'])
      .default('deliver')
      .describe(
        'What becomes of a delete whose values are needed for `where` and not known: without `REPLICA IDENTITY FULL` Postgres sends only the key of a deleted row.',
      ),
    where_moves: z
      .enum(['ignore', 'convert'])
      .default('ignore')
      .describe(
        '`convert`: an update after which a row does not pass `where` any more is a `delete`, and one after which it passes for the first time an `insert`, so that a filtered copy stays right. `ignore`: an update passes or not.',
      ),
    route_moves: z
      .enum(['ignore', 'convert'])
      .default('ignore')
      .describe(
        '`convert`: an update after which a row goes elsewhere (a template of the destination gives another route) is a `delete` for the old route, and then an `insert` for the new one. It needs the old row: `REPLICA IDENTITY FULL`. `ignore`: the update goes to the new route, and the old one is not told.',
      ),
    on_schema_break: z
      .enum(['halt', 'dead_letter'])
      .default('halt')
      .describe(
        'What becomes of the changes of a table whose columns `where` or the templates of a route do not fit any more (or never did): `halt`, the sink waits at the first of them; `dead_letter`.',
      ),
    format: z.enum(formatNames).default(DEFAULT_FORMAT).describe('The shape of its messages.'),
    values: valueForms.prefault({}).describe('How values are written, where not as the format says.'),
    ...formatFields,
    mask_key: maskKey(),
    message_grouping: z
      .boolean()
      .default(true)
      .describe('`false`: messages have no group, and no order among them is kept.'),
    same_group: z.enum(['strict', 'ordered']).optional().meta({
      description:
        '`ordered`: one request may carry several messages of a group where the destination keeps their order.',
      default: SAME_GROUP_DEFAULT,
    }),
    load_shedding_policy: z
      .enum(['pause_on_full', 'discard_on_full'])
      .default('pause_on_full')
      .describe(
        'What happens when the log would exceed `log.max_bytes` because of this sink. `pause_on_full`: nothing is dropped, the log grows until `log.min_free` is left; then the source stops, and with it every sink of the database. `discard_on_full`: the sink gives up its oldest changes, with a record; the others never notice.',
      ),
    key_changes: z
      .enum(['update', 'split'])
      .optional()
      .describe(
        `An update that changes the primary key: one \`update\`, or (\`split\`) a \`delete\` in the old message group and an \`insert\` in the new one. Default: \`update\`${splittingFormats}.`,
      ),
    ddl: z
      .enum(['ignore', 'events'])
      .default('ignore')
      .describe(
        '`events`: when columns of a table were added, dropped, retyped or renamed, or the table was renamed, a message with the action `schema` says so before the first row that was written since. `ignore`: rows alone tell.',
      ),
    ignore_markers: z
      .boolean()
      .default(false)
      .describe(
        '`true`: deliver also what `databases[].markers.skip` lets a transaction keep from the sinks.',
      ),
    max_retry_count: z
      .int()
      .min(1)
      .optional()
      .describe(
        'Failures of a message itself (never of the route) before it becomes a dead letter. Default: no limit.',
      ),
    // The longest wait as Sequin's, up to about three minutes.
    retry: retryPolicy({ initial: '200ms', longest: '3m' }).describe(
      'Waits between tries, of a message that is refused and of a route that is down.',
    ),
    max_buffered: z
      .int()
      .min(1)
      .optional()
      .describe(
        'Messages in memory before the sink stops reading. Default: what is in requests, and as many more; 1,000 more at least, or, of sinks that share a thread, a share of 3,000 (250 at least).',
      ),
    batch_size: z
      .int()
      .min(1)
      .optional()
      .describe("A cap on the messages of one request. Default: the destination's own."),
    max_parked: z
      .int()
      .min(1)
      .default(100_000)
      .describe('Changes of blocked groups that are passed over before the sink stops reading.'),
    annotations: annotations(),
    transform: z
      .string()
      .optional()
      .describe(
        'A function of type `path` (`functions`): a message is what stands at that place of it, `null` where nothing does. For the formats `sequin` and `tailrace`. `none` for none.',
      ),
    filter: noFunction('filters'),
    enrichment: noFunction('enrichments'),
    routing: noFunction('routing functions'),
    timestamp_format: z
      .enum(['iso8601', 'unix_microsecond'])
      .optional()
      .describe(
        "Sequin's key. `unix_microsecond`: `timestamp` and `timestamptz` in rows are whole microseconds since 1970. Default: `iso8601`.",
      ),
    destination: destination.describe('Where the messages go; its keys depend on `type`.'),
    filters: notYet(),
    initial_backfill: initialBackfill().describe(
      'The rows that are there when the sink is new, as messages with the action `read`: `true` (or `{ all: true }`) for all of its tables, or a list of tables. A sink that is there already gets none; `tailrace backfill start` reads for it.',
    ),
    backfill: backfillOptions().describe('How backfills read for this sink.'),
    active_backfill: ignored(NO_RECORD),
    active_backfills: ignored(NO_RECORD),
    health: ignored(NO_RECORD),
    message_kind: ignored('every sink is told what changed'),
    consumer_start: ignored('`start` says where a new sink begins'),
    replication_slot_id: ignored("the sink's database has one slot"),
    sequence_id: ignored('changes are ordered by their position in the log'),
    ...exported(),
  })
  .superRefine((value, context) => {
    const fault = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message });
    const places = (['source', 'table', 'schema'] as const).filter((key) => value[key] !== undefined);
    for (const key of places.slice(1)) fault([key], `${places[0]} says this already: give one of the two`);
    if (value.group_column_names !== undefined && value.table === undefined) {
      fault(['group_column_names'], 'this goes with `table`; otherwise write it in `tables`, for each table');
    }
    for (const { path, message } of ruleFaults(value, dataFormatOf(value))) fault(path, message);
    for (const { path, message } of formatFaults(value)) fault([...path], message);
    for (const { path, message, nearest } of tableFaults(value)) {
      context.addIssue({ code: 'custom', path, message, ...(nearest && { params: { nearest } }) });
    }
    for (const { path, message } of routeFaults({ ...value, reads: readsOf(value) })) fault(path, message);
    if (isToldOfTransactions(value))
      for (const { path, message } of transactionFaults(value)) fault(path, message);
  })
  .transform((written) => {
    const format = dataFormatOf(written);
    const { defaults } = sinkDefinition((written.destination as { type: string }).type) ?? {};
    return {
      ...written,
      start: written.start ?? { from: 'default' as const },
      values: formsOf(written.values, written.timestamp_format, format),
      format_options: optionsOf(written),
      key_changes: written.key_changes ?? format.keyChanges ?? ('update' as const),
      backfill: { ...written.backfill, reads: readsOf(written) },
      same_group: written.same_group ?? defaults?.sameGroup ?? SAME_GROUP_DEFAULT,
      batch_size: written.batch_size ?? defaults?.batchSize,
    };
  });

/** Whoever asks for an initial backfill wants its rows. Undefined: those of the tables whose inserts it takes. */
const readsOf = (sink: {
  readonly backfill: { readonly reads?: boolean | undefined };
  readonly initial_backfill?: unknown;
  readonly actions: readonly string[];
}): boolean | undefined =>
  sink.backfill.reads ??
  (sink.initial_backfill !== undefined && !sink.actions.includes('insert') ? true : undefined);

/** A sink, checked and read; its database is known only in the whole file where it names none. */
export type SinkConfig = z.output<typeof sinkSchema> & { readonly database: string };

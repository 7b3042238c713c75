// Renders pgoutput messages with our decoder: hand-made ones, and those of a real slot read through SQL.
import type { MessageEncoding } from '../../src/core/encoding.ts';
import type { Client } from 'pg';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import {
  createRowEvent,
  ROW_ACTIONS,
  type Action,
  type Relation,
  type TransactionContext,
  type TypeCatalog,
} from '../../src/core/change.ts';
import { toLsn, ZERO_LSN } from '../../src/core/lsn.ts';
import type { ValueOptions } from '../../src/core/render.ts';
import {
  renderOptions,
  type Envelope,
  type MessageFormat,
  type RenderContext,
  type RenderPlan,
} from '../../src/formats/format.ts';
import type { FormatName } from '../../src/formats/names.ts';
import { atPath, type MessagePath } from '../../src/formats/path.ts';
import { formats } from '../../src/formats/registry.ts';
import { enrichWithLineage, type EnrichmentContext } from '../../src/postgres/catalog.ts';
import { buildRelation, type Enrichment } from '../../src/pgoutput/enrichment.ts';
import {
  decodeBegin,
  decodeRelation,
  decodeRow,
  decodeTruncate,
  MESSAGE,
  relationIdOfRow,
} from '../../src/pgoutput/messages.ts';
import { OldRows } from '../../src/pgoutput/old-rows.ts';
import { compileColumn, compileValue } from '../../src/postgres/values/values.ts';
import { serverVersion } from './database-settings.ts';
import type { TestDatabase } from './postgres.ts';

export type RenderSettings = {
  /** Only what stands there. */
  readonly path?: MessagePath;
  readonly format?: FormatName;
  readonly values?: Partial<ValueOptions>;
  readonly envelope?: Partial<Envelope>;
  /** Keys of the format's own. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** The same as a configuration has read them. */
  readonly formatOptions?: unknown;
  /** Does a queue take all actions, or each its own? */
  readonly severalActions?: boolean;
  readonly encoding?: MessageEncoding;
  /** Only these columns; undefined: all. */
  readonly columns?: readonly string[];
};

export const ENVELOPE: Envelope = {
  sinkName: 'users',
  sinkId: 'sink-id',
  sinkAnnotations: {},
  databaseName: 'shop',
  databaseId: 'database-id',
  databaseAnnotations: {},
  postgresDatabase: 'app',
  hostname: 'db-1',
};

export const TRANSACTION: TransactionContext = {
  epoch: 0,
  commitLsn: toLsn(123_456_789n),
  previousEndLsn: ZERO_LSN,
  commitTimeUs: 1_767_323_045_123_456n, // 2026-01-02T03:04:05.123456Z
  xid: 731,
  timeline: 1,
};

/** When messages are made: 2026-01-02T03:04:06Z. */
export const MADE_MS = 1_767_323_046_000;

/** Of a message that has this key. */
export const keyOf = (key: string): RenderContext['key'] => ({ writeKey: (writer) => writer.latin1(key) });

export const renderContext = (context: Partial<RenderContext> = {}): RenderContext => ({
  transaction: TRANSACTION,
  index: 0,
  key: keyOf('key-0'),
  keyChange: false,
  moved: undefined,
  read: false,
  ...context,
});

/** The text as JSON bytes, as a column of `type` is rendered. */
export function renderValue(
  type: number,
  text: string | Buffer,
  options: Partial<ValueOptions> & {
    readonly types?: TypeCatalog;
    readonly zonelessTimestampZ?: boolean;
  } = {},
): string {
  const { types = new Map(), ...rest } = options;
  const render = compileValue(type, types, {
    ...formats.tailrace.values,
    zonelessTimestampZ: false,
    ...rest,
  });
  // Neighbours on both sides: a renderer that reads beyond its range is found out.
  const value = Buffer.from(text as string);
  const bytes = Buffer.concat([Buffer.from('{"9'), value, Buffer.from('9"}')]);
  const writer = new ByteWriter(1);
  render(bytes, 3, value.length, writer);
  return writer.buffer.toString('utf8', 0, writer.length);
}

export function compileRelation(relation: Relation, settings: RenderSettings = {}): RenderPlan {
  const whole: MessageFormat = formats[settings.format ?? 'sequin'];
  const format = settings.path === undefined ? whole : atPath(whole, settings.path);
  const options = settings.formatOptions ?? format.options?.parse(settings.options ?? {});
  const values = { ...format.values, ...settings.values };
  const forms = renderOptions(format, values, options);
  return format.compile({
    encoding: settings.encoding ?? 'json',
    wallMs: () => MADE_MS,
    actionsAt: (action) => (settings.severalActions === true ? ROW_ACTIONS : [action]),
    relation,
    columns: relation.columns
      .map((column, index) => ({ index, name: column.name, ...compileColumn(column, relation.types, forms) }))
      .filter(({ name }) => settings.columns === undefined || settings.columns.includes(name)),
    masks: new Map(),
    envelope: { ...ENVELOPE, ...settings.envelope },
    values,
    options,
  });
}

/** The message of one hand-made row message. */
export function renderRow(
  relation: Relation,
  message: Buffer,
  settings: RenderSettings = {},
  context: Partial<RenderContext> = {},
): string {
  const event = createRowEvent();
  decodeRow(message, 0, message.length, event);
  const writer = new ByteWriter(1);
  compileRelation(relation, settings).render(event, renderContext(context), writer);
  return writer.buffer.toString('utf8', 0, writer.length);
}

/** A message in the default format, parsed. */
export type SequinMessage = {
  readonly record: Readonly<Record<string, unknown>>;
  readonly changes: Readonly<Record<string, unknown>> | null;
  readonly action: Action;
  readonly metadata: Readonly<Record<string, unknown>>;
};

export type RenderedChange = {
  readonly relation: Relation;
  /** The message as it would be sent. */
  readonly text: string;
};

export const parse = (change: RenderedChange): SequinMessage => JSON.parse(change.text) as SequinMessage;

export type ChangeReader = {
  /** The messages of everything committed since the last call. */
  read(settings?: RenderSettings): Promise<RenderedChange[]>;
};

/** As the source pins them for its own sessions: the texts on the wire depend on them. */
const SESSION_SETTINGS = [
  "set datestyle = 'ISO'",
  "set intervalstyle = 'iso_8601'",
  'set extra_float_digits = 3',
  "set timezone = 'UTC'",
  "set bytea_output = 'hex'",
].join(';');

/** Publishes every table of the database and follows it through a slot that SQL reads. */
export async function openChangeReader(
  database: TestDatabase,
  publicationOptions = 'publish_via_partition_root = true',
): Promise<ChangeReader> {
  const { client, name: slot } = database;
  await client.query(SESSION_SETTINGS);
  await client.query(`create publication everything for all tables with (${publicationOptions})`);
  await client.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
  const relations = new Map<number, Relation>();
  const oldRows = new OldRows();
  const context = { publication: 'everything', serverVersion: await serverVersion(client) };
  return {
    async read(settings = {}) {
      const { rows } = await client.query<{ data: Buffer }>(
        `select data from pg_logical_slot_get_binary_changes($1, null, null,
           'proto_version', '1', 'publication_names', 'everything')`,
        [slot],
      );
      const messages = rows.map((row) => row.data);
      const enrichments = await enrichAll(client, messages, context);
      return renderMessages(messages, { relations, oldRows }, enrichments, settings);
    },
  };
}

/** By relation; what the catalog says now, as the source would ask. */
async function enrichAll(
  client: Client,
  messages: readonly Buffer[],
  context: EnrichmentContext,
): Promise<ReadonlyMap<number, Enrichment>> {
  const enrichments = new Map<number, Enrichment>();
  for (const message of messages) {
    if (message[0] !== MESSAGE.relation) continue;
    const enrichment = await enrichWithLineage(client, decodeRelation(message, 0), context);
    enrichments.set(enrichment.relationId, enrichment);
  }
  return enrichments;
}

function renderMessages(
  messages: readonly Buffer[],
  { relations, oldRows }: { readonly relations: Map<number, Relation>; readonly oldRows: OldRows },
  enrichments: ReadonlyMap<number, Enrichment>,
  settings: RenderSettings,
): RenderedChange[] {
  const changes: RenderedChange[] = [];
  const plans = new Map<number, RenderPlan>();
  const event = createRowEvent();
  let context = renderContext();
  const add = (relationId: number, render: (plan: RenderPlan, writer: ByteWriter) => void): void => {
    const relation = relations.get(relationId)!;
    let plan = plans.get(relationId);
    if (plan === undefined) plans.set(relationId, (plan = compileRelation(relation, settings)));
    context.key = keyOf(`key-${context.index}`);
    const writer = new ByteWriter(1);
    render(plan, writer);
    context.index++;
    changes.push({ relation, text: writer.buffer.toString('utf8', 0, writer.length) });
  };
  for (const message of messages) {
    switch (message[0]!) {
      case MESSAGE.begin:
        context = { ...context, transaction: { ...TRANSACTION, ...decodeBegin(message, 0) }, index: 0 };
        break;
      case MESSAGE.relation: {
        const raw = decodeRelation(message, 0);
        const relation = buildRelation(raw, enrichments.get(raw.id));
        relations.set(raw.id, relation);
        oldRows.relation(relation);
        plans.delete(raw.id);
        break;
      }
      case MESSAGE.insert:
      case MESSAGE.update:
      case MESSAGE.delete:
        decodeRow(message, 0, message.length, event);
        oldRows.forget(event);
        add(relationIdOfRow(message, 0), (plan, writer) => plan.render(event, context, writer));
        break;
      case MESSAGE.truncate:
        for (const id of decodeTruncate(message, 0).relationIds) {
          add(id, (plan, writer) => plan.renderTruncate(context, writer));
        }
        break;
      default:
    }
  }
  return changes;
}

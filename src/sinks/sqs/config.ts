// The configuration of an SQS destination: one schema, from which validation, JSON Schema and the docs table derive.
import { z } from 'zod';
import { ROW_ACTIONS, type RowAction } from '../../core/change.ts';
import { isTemplate } from '../../core/template.ts';
import { awsFaultsOf, awsKeys, awsUrl, type Fault } from '../aws/config.ts';
import { allowedField, freelyNamed, namesFreely, unfitNames } from '../routing/allowed.ts';
import { resolved, routed } from '../routing/fields.ts';
import { queueNameOfUrl, regionOfQueueUrl } from './queue-url.ts';

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
const QUEUE_NAME = /^(?=.{1,80}$)[A-Za-z0-9_-]+(\.fifo)?$/;

/** What a queue may be called, and where it may be, once the row's values stand there. */
export const sqsRouting = z.object({
  queue_name: resolved(
    z
      .string()
      .regex(
        QUEUE_NAME,
        'a queue name has at most 80 letters, digits, hyphens and underscores, and may end with .fifo',
      ),
    'name',
  ),
  queue_url: resolved(awsUrl('https://sqs.eu-west-1.amazonaws.com/123456789012/users'), 'name'),
});

const place = {
  queue_name: routed(sqsRouting.shape.queue_name)
    .optional()
    .describe(
      'Name of the queue, in the account and region of the credentials. `.fifo` at its end: a FIFO queue. Values of the row may stand in it: `orders-${row.region}.fifo`.',
    ),
  queue_url: routed(sqsRouting.shape.queue_url)
    .optional()
    .describe(
      'URL of the queue, instead of its name. The region is read from it. Values of the row may stand in its last part.',
    ),
  group_id: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Template of the message group id: `${column}`, `${row.column}`, `${%table%}`, `${%schema%}`, `${%xid%}`. ' +
        'FIFO queues use the message group when there is none; standard queues send a group id (fair queues) only when there is one.',
    ),
};

const onePlace = (value: { queue_name?: unknown; queue_url?: unknown }): boolean =>
  value.queue_name === undefined || value.queue_url === undefined;
const ONE_PLACE = { path: ['queue_url'], error: 'write queue_name or queue_url, not both' };

const actionPlace = (action: string) =>
  z
    .strictObject(place)
    .refine(onePlace, ONE_PLACE)
    .optional()
    .describe(`Where ${action} go, when elsewhere: a queue, a group id, or both.`);

const perAction = {
  insert: actionPlace('inserts (and backfilled rows)'),
  update: actionPlace('updates'),
  delete: actionPlace('deletes'),
};

const tablePlace = z.strictObject({ ...place, ...perAction }).refine(onePlace, ONE_PLACE);

export const sqsConfigSchema = z
  .strictObject({
    type: z.literal('sqs').describe('Amazon SQS.'),
    ...place,
    ...perAction,
    tables: z
      .record(z.string(), tablePlace)
      .default({})
      .describe(
        'Tables that go elsewhere, by `schema.table`: the same keys again for each, on top of the ones above.',
      ),
    allowed: allowedField('queue'),
    create_if_not_exists: z
      .boolean()
      .default(false)
      .describe('Create missing queues. A `.fifo` name becomes a FIFO queue in high-throughput mode.'),
    message_attributes: z
      .boolean()
      .default(false)
      .describe('Send the attributes `table`, `schema`, `action` and `idempotency_key` with each message.'),
    ...awsKeys({ service: 'SQS', route: 'queue', identifier: 'queue URL' }),
  })
  .superRefine((config, context) => {
    for (const { path, ...fault } of faultsOf(config)) {
      context.addIssue({ code: 'custom', path: [...path], ...fault });
    }
  });

/** A destination's configuration after parsing; `timeout` is in milliseconds. */
export type SqsConfig = z.output<typeof sqsConfigSchema>;

/** What may be written at the top, per table and per action. */
export type QueuePlace = {
  queue_name?: string | undefined;
  queue_url?: string | undefined;
  group_id?: string | undefined;
};
export type TablePlace = QueuePlace & { [action in RowAction]?: QueuePlace | undefined };

/** What one field cannot say alone. */
function* faultsOf(config: SqsConfig): Generator<Fault> {
  const places = placesOf(config);
  if (!onePlace(config)) yield { path: ['queue_url'], message: ONE_PLACE.error };
  if (!places.some(({ place }) => place.queue_name !== undefined || place.queue_url !== undefined)) {
    yield {
      path: ['queue_name'],
      message: 'no queue: write queue_name or queue_url, here, per action or per table',
    };
  }
  for (const table of Object.keys(config.tables)) {
    if (/[^.]\.[^.]/.test(table)) continue;
    const message = 'this names no table: a table is written as schema.table';
    yield { path: ['tables', table], message, params: { nearest: `public.${table}` } };
  }
  const rowDecides = places.some(({ place }) => isTemplate(place.queue_name ?? place.queue_url ?? ''));
  if (config.allowed !== undefined && !rowDecides)
    yield { path: ['allowed'], message: 'this goes with a template: no row decides the queue here' };
  yield* unfitNames(config.allowed, sqsRouting);
  for (const { path, place } of places) {
    for (const key of ['queue_name', 'queue_url'] as const)
      if (config.allowed === undefined && namesFreely(place[key] ?? ''))
        yield { path: [...path, key], message: freelyNamed('queue') };
    if (URL.canParse(place.queue_url ?? '') && queueNameOfUrl(place.queue_url ?? '') === '') {
      yield { path: [...path, 'queue_url'], message: 'this URL names no queue' };
    }
    if (URL.parse(place.queue_url ?? '')?.search) {
      yield {
        path: [...path, 'queue_url'],
        message: 'the URL of a queue has no query: leave out what begins with ?',
      };
    }
    const name =
      place.queue_name ?? (place.queue_url === undefined ? undefined : queueNameOfUrl(place.queue_url));
    if (
      config.is_fifo !== undefined &&
      name !== undefined &&
      // A value has no dot, unless it is one of those that are allowed.
      !(config.allowed !== undefined && name.endsWith('}')) &&
      config.is_fifo !== name.endsWith('.fifo')
    ) {
      const message = `is_fifo is ${config.is_fifo}, but the queue is called ${name}: FIFO queues, and only they, end with .fifo`;
      yield { path: path.length === 0 ? ['is_fifo'] : path, message };
    }
    const region = place.queue_url === undefined ? undefined : regionOfQueueUrl(place.queue_url);
    if (region !== undefined && config.region !== undefined && region !== config.region) {
      yield {
        path: [...path, 'queue_url'],
        message: `this queue is in ${region}, but region says ${config.region}`,
      };
    }
  }
  yield* awsFaultsOf(config);
}

/** Every place of the configuration where a queue may stand, with its path. */
export function placesOf(config: SqsConfig): { path: readonly string[]; place: QueuePlace }[] {
  const holders: { path: string[]; holder: TablePlace }[] = [{ path: [], holder: config }];
  for (const [table, holder] of Object.entries(config.tables))
    holders.push({ path: ['tables', table], holder });
  return holders.flatMap(({ path, holder }) => [
    { path, place: holder },
    ...ROW_ACTIONS.flatMap((action) => {
      const place = holder[action];
      return place === undefined ? [] : [{ path: [...path, action], place }];
    }),
  ]);
}

// The configuration of an SNS destination: one schema, from which validation, JSON Schema and the docs table derive.
import { z } from 'zod';
import { isTemplate } from '../../core/template.ts';
import { awsFaultsOf, awsKeys, mistypedRegion, type Fault } from '../aws/config.ts';
import { allowedField, freelyNamed, namesFreely, unfitNames } from '../routing/allowed.ts';
import { resolved, routed, withStandIns } from '../routing/fields.ts';
import { parseTopicArn, TOPIC_NAME } from './arn.ts';

/** What a topic may be called, and where it may be, once the row's values stand there. */
export const snsRouting = z.object({
  topic_arn: resolved(
    z.string().refine((arn) => parseTopicArn(arn) !== undefined, {
      error: 'a topic ARN looks like arn:aws:sns:eu-west-1:123456789012:users.fifo',
    }),
    'name',
  ),
  topic_name: resolved(
    z
      .string()
      .regex(
        TOPIC_NAME,
        'a topic name has at most 256 letters, digits, hyphens and underscores, and may end with .fifo',
      ),
    'name',
  ),
});

export const snsConfigSchema = z
  .strictObject({
    type: z.literal('sns').describe('Amazon SNS.'),
    topic_arn: routed(snsRouting.shape.topic_arn)
      .optional()
      .describe(
        'ARN of the topic. The region is read from it. `.fifo` at its end: a FIFO topic. Values of the row may stand in its last part: `arn:aws:sns:eu-west-1:123456789012:orders-${row.region}`.',
      ),
    topic_name: routed(snsRouting.shape.topic_name)
      .optional()
      .describe(
        'Name of the topic, instead of its ARN, in the account and region of the credentials. Values of the row may stand in it.',
      ),
    allowed: allowedField('topic'),
    group_id: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Template of the message group id: `${column}`, `${row.column}`, `${%table%}`, `${%schema%}`, `${%xid%}`. ' +
          'FIFO topics use the message group when there is none; standard topics send a group id (fair queues of subscribers) only when there is one.',
      ),
    create_if_not_exists: z
      .boolean()
      .default(false)
      .describe(
        'Create the topic if it is missing. A `.fifo` name becomes a FIFO topic in high-throughput mode.',
      ),
    message_attributes: z
      .boolean()
      .default(false)
      .describe(
        'Send the attributes `table`, `schema`, `action` and `idempotency_key` with each message, for filter policies of subscriptions.',
      ),
    ...awsKeys({ service: 'SNS', route: 'topic', identifier: 'topic ARN' }),
  })
  .superRefine((config, context) => {
    for (const { path, ...fault } of faultsOf(config)) {
      context.addIssue({ code: 'custom', path: [...path], ...fault });
    }
  });

/** A destination's configuration after parsing; `timeout` is in milliseconds. */
export type SnsConfig = z.output<typeof snsConfigSchema>;

/** The topic as configured: name or ARN, or a template of one. */
export const topicOf = ({ topic_arn: arn, topic_name: name }: SnsConfig): string | undefined => arn ?? name;

/** Stands for a value of the row: it may be a part of a name, and is none of a region or an account. */
const VALUE = 'X';

/** What one field cannot say alone. */
function* faultsOf(config: SnsConfig): Generator<Fault> {
  const { topic_arn: arn, topic_name: name, region, is_fifo: isFifo } = config;
  if (arn !== undefined && name !== undefined) {
    yield { path: ['topic_name'], message: 'write topic_arn or topic_name, not both' };
  }
  if (arn === undefined && name === undefined) {
    yield { path: ['topic_arn'], message: 'no topic: write topic_arn or topic_name' };
  }
  for (const [key, text = ''] of [
    ['topic_arn', arn],
    ['topic_name', name],
  ] as const)
    if (config.allowed === undefined && namesFreely(text))
      yield { path: [key], message: freelyNamed('topic') };
  if (config.allowed !== undefined && !isTemplate(topicOf(config) ?? ''))
    yield { path: ['allowed'], message: 'this goes with a template: no row decides the topic here' };
  yield* unfitNames(config.allowed, snsRouting);
  const known = arn === undefined ? undefined : parseTopicArn(withStandIns(arn, VALUE));
  if (region !== undefined && known !== undefined && known.region !== region) {
    yield { path: ['topic_arn'], message: `this topic is in ${known.region}, but region says ${region}` };
  }
  if (known?.region !== region) yield* mistypedRegion(config, known?.region, 'topic_arn');
  const written = topicOf(config) ?? '';
  // A value has no dot, unless it is one of those that are allowed.
  const mayBeEither = config.allowed !== undefined && written.endsWith('}');
  const isFifoByName = withStandIns(written, VALUE).endsWith('.fifo');
  if (isFifo !== undefined && written !== '' && !mayBeEither && isFifo !== isFifoByName) {
    const called = isTemplate(written) ? written : (known?.name ?? written);
    const message = `is_fifo is ${isFifo}, but the topic is called ${called}: FIFO topics, and only they, end with .fifo`;
    yield { path: ['is_fifo'], message };
  }
  yield* awsFaultsOf(config);
}

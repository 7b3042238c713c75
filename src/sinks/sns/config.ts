// The configuration of an SNS destination: one schema, from which validation, JSON Schema and the docs table derive.
import { z } from 'zod';
import { awsFaultsOf, awsKeys, type Fault } from '../aws/config.ts';
import { parseTopicArn, TOPIC_NAME } from './arn.ts';

export const snsConfigSchema = z
  .strictObject({
    type: z.literal('sns').describe('Amazon SNS.'),
    topic_arn: z
      .string()
      .refine((arn) => parseTopicArn(arn) !== undefined, {
        error: 'a topic ARN looks like arn:aws:sns:eu-west-1:123456789012:users.fifo',
      })
      .optional()
      .describe('ARN of the topic. The region is read from it. `.fifo` at its end: a FIFO topic.'),
    topic_name: z
      .string()
      .regex(
        TOPIC_NAME,
        'a topic name has at most 256 letters, digits, hyphens and underscores, and may end with .fifo',
      )
      .optional()
      .describe('Name of the topic, instead of its ARN, in the account and region of the credentials.'),
    group_id: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Template of the message group id: `${column}`, `${%table%}`, `${%schema%}`, `${%xid%}`. ' +
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

/** What one field cannot say alone. */
function* faultsOf(config: SnsConfig): Generator<Fault> {
  const { topic_arn: arn, topic_name: name, region, is_fifo: isFifo } = config;
  if (arn !== undefined && name !== undefined) {
    yield { path: ['topic_name'], message: 'write topic_arn or topic_name, not both' };
  }
  if (arn === undefined && name === undefined) {
    yield { path: ['topic_arn'], message: 'no topic: write topic_arn or topic_name' };
  }
  const parsed = arn === undefined ? undefined : parseTopicArn(arn);
  if (region !== undefined && parsed !== undefined && parsed.region !== region) {
    yield { path: ['topic_arn'], message: `this topic is in ${parsed.region}, but region says ${region}` };
  }
  const called = name ?? parsed?.name;
  if (isFifo !== undefined && called !== undefined && isFifo !== called.endsWith('.fifo')) {
    const message = `is_fifo is ${isFifo}, but the topic is called ${called}: FIFO topics, and only they, end with .fifo`;
    yield { path: ['is_fifo'], message };
  }
  yield* awsFaultsOf(config);
}

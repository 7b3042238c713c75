// The SQS sink: each change is a message, ten at most in a request, each with an outcome of its own.
import type { SinkDefinition } from './sink.ts';
import { sqsConfigSchema, type SqsConfig } from './sqs-config.ts';

export const sqs: SinkDefinition<SqsConfig> = {
  type: 'sqs',
  title: 'Amazon SQS',
  config: sqsConfigSchema,
  create: () => Promise.reject(new Error('being written')),
};

// Every sink there is, one line each. Schemas, documentation and validation derive from these definitions.
// How to add one: docs/add-a-sink.md
import type { SinkDefinition } from './sink.ts';
import { sns } from './sns/sns.ts';
import { sqs } from './sqs/sqs.ts';
import { stream } from './stream/stream.ts';
import { webhook } from './webhook/webhook.ts';

/** A definition gets only configuration that its own schema has parsed, hence `unknown` here. */
export const sinkDefinitions: readonly SinkDefinition<unknown>[] = [sqs, sns, webhook, stream];

/** Types that a later version brings: not unknown, but not here. A type that has come is passed over. */
export const SINKS_NOT_YET: readonly string[] = [
  'http_pull',
  'kafka',
  'redis_stream',
  'redis_string',
  'rabbitmq',
  'gcp_pubsub',
  'nats',
  'kinesis',
  's2',
  'typesense',
  'meilisearch',
  'elasticsearch',
  'azure_event_hub',
  'mysql',
];

/** The definition that `destination.type` names; undefined when there is none. */
export const sinkDefinition = (type: string): SinkDefinition<unknown> | undefined =>
  sinkDefinitions.find(
    (definition) => definition.type === type || definition.aliases?.includes(type) === true,
  );

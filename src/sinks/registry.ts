// Every sink there is, one line each. Schemas, documentation and validation derive from these definitions.
import type { SinkDefinition } from './sink.ts';
import { sns } from './sns/sns.ts';
import { sqs } from './sqs/sqs.ts';
import { stream } from './stream/stream.ts';
import { webhook } from './webhook/webhook.ts';

/** A definition gets only configuration that its own schema has parsed, hence `unknown` here. */
export const sinkDefinitions: readonly SinkDefinition<unknown>[] = [sqs, sns, webhook, stream];

/** The definition that `destination.type` names; undefined when there is none. */
export const sinkDefinition = (type: string): SinkDefinition<unknown> | undefined =>
  sinkDefinitions.find(
    (definition) => definition.type === type || definition.aliases?.includes(type) === true,
  );

// A sink that is only looked at, by a command beside the service.
import type { Logger } from 'pino';
import { sinkDefinition } from '../../sinks/registry.ts';
import type { PullContext, Sink } from '../../sinks/sink.ts';
import type { SinkSettings } from '../settings.ts';

/** What its workers hold is in the files of the service that runs. */
const NOTHING_HELD: PullContext = {
  openLeases: () => ({
    load: () => [],
    save: () => undefined,
    remove: () => undefined,
    close: () => undefined,
  }),
  remembered: () => Promise.resolve(),
};

/** Nothing is delivered by it, and nothing connected before it is asked to. Whoever asks closes it. */
export function lookAtSink(
  { name, actions, destination: { type, config } }: SinkSettings,
  logger: Logger,
): Promise<Sink> {
  const definition = sinkDefinition(type);
  if (definition === undefined) throw new Error(`there is no sink of type ${type}`);
  return definition.create(config, { name, actions, rewinds: 0, logger, pull: NOTHING_HELD });
}

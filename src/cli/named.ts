// Sinks and databases of a configuration, as a command line names them.
import { didYouMean, nearestName } from '../core/nearest-name.ts';
import type { TailraceError } from '../core/errors.ts';
import type { ServiceSettings, SinkSettings } from '../pipeline/settings.ts';
import type { DatabaseSettings } from '../postgres/settings.ts';
import { usageError } from './ports.ts';

/** `name`, or `database/name`. */
export function sinkNamed(name: string, { sinks }: ServiceSettings): SinkSettings {
  const known = sinks.flatMap((sink) => [sink.name, `${sink.database}/${sink.name}`]);
  const found = sinks.filter((sink) => name === sink.name || name === `${sink.database}/${sink.name}`);
  if (found[1] !== undefined)
    throw usageError(
      `several databases have a sink "${name}"`,
      `write one of ${found.map((sink) => `${sink.database}/${sink.name}`).join(', ')}`,
    );
  return (
    found[0] ??
    fail(
      usageError(
        `there is no sink "${name}"${didYouMean(nearestName(name, known))}`,
        `the configuration has ${sinks.map((sink) => sink.name).join(', ') || 'none'}`,
      ),
    )
  );
}

export const databaseNamed = (name: string, { databases }: ServiceSettings): DatabaseSettings =>
  databases.find((database) => database.name === name) ??
  fail(
    usageError(
      `there is no database "${name}"${didYouMean(
        nearestName(
          name,
          databases.map((database) => database.name),
        ),
      )}`,
      `the configuration has ${databases.map((database) => database.name).join(', ') || 'none'}`,
    ),
  );

function fail(error: TailraceError): never {
  throw error;
}

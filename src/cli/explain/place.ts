// What the commands work with that read the change log beside the service: the sink that is meant, its log, and how its messages look.
import type { SinkSettings } from '../../pipeline/settings.ts';
import { streamKey } from '../../core/idempotency.ts';
import { TailraceError } from '../../core/errors.ts';
import { logDirectory } from '../../data-directory/places.ts';
import { openWrittenLog } from '../../log/written.ts';
import { envelopeOf } from '../../pipeline/sink/envelope.ts';
import type { ExplainOptions } from '../../pipeline/sink/explain/changes.ts';
import { lookAtSink } from '../../pipeline/sink/looked-at.ts';
import { readStore } from '../../store/read-only.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { loadConfiguration } from '../configuration.ts';
import { sinkNamed } from '../named.ts';
import type { CliPorts } from '../ports.ts';

export type PlaceOptions = { readonly config?: string; readonly dataDir?: string };

/** `change`: the sink's settings as they are to be tried. Nothing is connected, nothing written: the service may run or not. */
export async function withExplained<T>(
  name: string,
  options: PlaceOptions,
  ports: CliPorts,
  work: (explained: ExplainOptions) => Promise<T>,
  change: (settings: SinkSettings) => SinkSettings = (settings) => settings,
): Promise<T> {
  const { settings: service } = await loadConfiguration(options, ports);
  const settings = change(sinkNamed(name, service));
  const database = service.databases.find((database) => database.name === settings.database)!;
  const directory = logDirectory(service, database.name);
  const log = openWrittenLog(directory, ports.version);
  if (log === undefined) throw nothingLogged(directory);
  const logger = createLogger({ level: 'error', destination: ports.stderr, env: ports.env });
  const sink = await lookAtSink(settings, logger);
  try {
    return await work({
      settings,
      sink,
      log,
      logDirectory: directory,
      logger,
      envelope: envelopeOf(settings, database, database.hosts[0]?.host ?? ''),
      heedsSkips: database.markers.skip && !settings.ignoreMarkers,
      streamKey: streamKey({
        databaseName: database.name,
        systemIdentifier: log.identity.systemIdentifier,
      }),
      salts: readStore(service.state.file, (store) => store.renumbered.salts(database.name)) ?? [],
    });
  } finally {
    log.reader.close();
    await sink.close();
  }
}

const nothingLogged = (directory: string): TailraceError =>
  new TailraceError(`there is no change in a log at ${directory}`, {
    code: 'LOG_EMPTY',
    kind: 'fatal',
    hint: 'run this where the service runs, with its configuration and its data directory (-c, --data-dir, TAILRACE_DATA_DIR), once it has logged a change',
  });

// What a sink's messages say of where they come from.
import { stableUuid } from '../../core/idempotency.ts';
import type { Envelope } from '../../formats/format.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { SinkSettings } from '../settings.ts';
import { sinkId } from './pull/streams.ts';

/** `hostname`: of the server that the changes are read from. */
export const envelopeOf = (sink: SinkSettings, database: DatabaseSettings, hostname: string): Envelope => ({
  sinkName: sink.name,
  sinkId: sinkId(database.name, sink.name),
  sinkAnnotations: sink.annotations,
  databaseName: database.name,
  databaseId: stableUuid('database', database.name),
  databaseAnnotations: database.annotations ?? {},
  postgresDatabase: database.database,
  hostname,
});

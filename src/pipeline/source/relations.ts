// What is logged with relations, for one connection: what the catalog, the stream and earlier looks say of them.
import type { Client } from 'pg';
import type { Look } from '../../core/look.ts';
import type { Enrichment } from '../../pgoutput/enrichment.ts';
import type { RawRelation } from '../../pgoutput/messages.ts';
import { describeRelation, type EnrichmentContext } from '../../postgres/catalog.ts';
import { readTableShapes } from '../../postgres/table-shapes.ts';
import { Committed } from './committed.ts';
import { firstLooks } from './first-looks.ts';
import type { JoinPorts } from './joining.ts';
import { Lineages } from './lineages.ts';
import type { SourceLog } from './log.ts';
import type { Looking } from './looks.ts';
import { PartitionWatch } from './partition-watch.ts';
import { ShapesInUse } from './used-shapes.ts';

export type Describe = (relation: RawRelation) => Promise<Enrichment>;

export type Describing = {
  readonly describe: Describe;
  readonly partitions: PartitionWatch;
  /** Undefined: no sink is to be told of changed schemas, and none keeps columns or rows of a table back. */
  readonly shapes: ShapesInUse | undefined;
  /** A look was taken. */
  readonly looked: (look: Look) => Promise<void>;
};

export function describingRelations(connection: {
  readonly opened: SourceLog;
  readonly client: Client;
  readonly looking: Looking;
  /** The connection's first. */
  readonly look: Look;
  readonly ports: Pick<JoinPorts, 'options' | 'gaps' | 'looks'>;
}): Describing {
  const { client, looking, look } = connection;
  const { feed, log } = connection.opened;
  const { options, gaps, looks } = connection.ports;
  const { settings } = options;
  const context: EnrichmentContext = {
    publication: settings.publication.name,
    serverVersion: looking.serverVersion,
  };
  const lineages = new Lineages({
    client,
    context,
    settings,
    gaps,
    seen: (oid) => looks.seen(oid),
    lookedFrom: look.walAfter,
    at: () => ({ loggedTo: log.context.lastEndLsn, xid: feed.xid, commitLsn: feed.commitLsn }),
  });
  const partitions = new PartitionWatch({
    client,
    context,
    database: settings.name,
    gaps,
    endBefore: (look, xid) => looks.endBefore(look, xid),
  });
  const committed = new Committed(client);
  const { systemIdentifier, databaseOid } = connection.opened;
  const shapes = options.tellsSchemas
    ? new ShapesInUse({
        client,
        owner: { database: settings.name, server: `${systemIdentifier}/${databaseOid}` },
        store: options.store.usedShapes,
        tables: (oids, xid) => readTableShapes(client, oids, context.publication, xid),
        partings: () => log.partings,
        logger: options.logger,
      })
    : undefined;
  const describe: Describe = async (relation) => {
    await committed.isVisible(feed.xid);
    const { xid } = feed;
    const { enrichment: own, columns } = await describeRelation(client, relation, context, xid);
    const enrichment = { ...own, ...(await lineages.of(relation)) };
    partitions.logged(enrichment);
    await shapes?.came(relation, { enrichment, columns, xid });
    return enrichment;
  };
  feed.firstUses.onFirstUse = shapes && ((id, at) => shapes.firstUse(id, at));
  const noteFirst =
    shapes &&
    firstLooks({
      client,
      context,
      selections: options.selections,
      shapes,
      last: () => ({ epoch: log.context.epoch, commitLsn: log.context.lastCommitLsn }),
    });
  const looked = async (look: Look): Promise<void> => {
    await partitions.looked(look);
    await noteFirst?.(look);
  };
  return { describe, partitions, shapes, looked };
}

// The management API of a database's servers: where the history of one parted from the log's, what had been delivered of the changes
// that were lost, and the drain of one that is to be left. Needs full access.
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { ServiceControl } from '../pipeline/service/control.ts';
import type { OrphanRecord, PartingRecord } from '../store/partings.ts';
import { invalidRequest } from './errors.ts';
import { addManagementRoutes, databaseOf } from './management-routes.ts';
import { nextAfter, pageOf } from './pages.ts';

const drainBody = z.strictObject({ undo: z.boolean().default(false) });

export function addServerRoutes(app: FastifyInstance, control: ServiceControl): void {
  addManagementRoutes(app, (routes) => {
    routes.get('/api/databases/:database/partings', async (request) => ({
      partings: control.partings(databaseOf(request)).map(partingDocument),
    }));
    routes.post('/api/databases/:database/drain', async (request) => {
      const parsed = drainBody.safeParse(request.body ?? {});
      if (!parsed.success)
        throw invalidRequest('undo is true or false', 'docs/operations.md has the requests');
      const database = databaseOf(request);
      control.drain(database, parsed.data);
      return { database, drain: !parsed.data.undo };
    });
    routes.get('/api/databases/:database/orphans', async (request) => {
      const page = pageOf(request.query);
      const orphans = control.orphans(databaseOf(request), page);
      return { orphans: orphans.map(orphanDocument), next: nextAfter(orphans, page.limit) };
    });
  });
}

const partingDocument = ({ logEnd, why, ...parting }: PartingRecord): Record<string, unknown> => ({
  epoch: parting.epoch,
  lsn: parting.lsn,
  log_end: logEnd,
  timeline: parting.timeline,
  reason: why,
  at: parting.at,
  sinks: parting.sinks,
});

const orphanDocument = (orphan: OrphanRecord): Record<string, unknown> => ({
  id: orphan.id,
  sink: orphan.sink,
  table: `${orphan.schema}.${orphan.table}`,
  action: orphan.action,
  key: orphan.key ?? null,
  position: `${orphan.epoch}:${orphan.commitLsn}:${orphan.index}`,
});

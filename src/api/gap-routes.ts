// The management API of gaps: which there are, and that somebody accepts one. Needs full access.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ServiceControl } from '../pipeline/service/control.ts';
import { invalidRequest } from './errors.ts';
import { addManagementRoutes, databaseOf } from './management-routes.ts';
import { nextAfter, pageOf } from './pages.ts';
import { keyList, MAX_KEYS_BYTES, parseRequest, tableField } from './parse-request.ts';

const repairBody = z.strictObject({
  dry_run: z.boolean().default(false),
  whole: z.boolean().default(false),
  /** Keys that a consumer has of a table. */
  keys: z
    .strictObject({ table: tableField, keys: keyList })
    .transform(({ table, keys }) => ({ ...table, keys }))
    .optional(),
});

const orphansBody = z.strictObject({ dry_run: z.boolean().default(false) });

export function addGapRoutes(app: FastifyInstance, control: ServiceControl): void {
  addManagementRoutes(app, (routes) => {
    routes.get('/api/databases/:database/gaps', async (request) => {
      const page = pageOf(request.query);
      const gaps = control.gaps(databaseOf(request), page);
      return { gaps, next: nextAfter(gaps, page.limit) };
    });
    routes.get('/api/databases/:database/gaps/:id', async (request) =>
      control.gap(databaseOf(request), idOf(request)),
    );
    routes.post('/api/databases/:database/orphans/repair', async (request) => {
      const { dry_run: isDry } = parseRequest(orphansBody, request.body);
      return control.repairs.repairOrphans(databaseOf(request), { isDry });
    });
    routes.post('/api/databases/:database/gaps/:id/accept', async (request) =>
      control.acceptGap(databaseOf(request), idOf(request)),
    );
    routes.post(
      '/api/databases/:database/gaps/:id/repair',
      { bodyLimit: MAX_KEYS_BYTES },
      async (request) => {
        const { dry_run: isDry, whole: isWhole, keys } = parseRequest(repairBody, request.body);
        return control.repairs.repair(databaseOf(request), idOf(request), { isDry, isWhole, keys });
      },
    );
  });
}

function idOf(request: FastifyRequest): number {
  const id = Number((request.params as { id: string }).id);
  if (!Number.isSafeInteger(id)) throw invalidRequest('the id is a number', 'the list of gaps shows the ids');
  return id;
}

// The management API of gaps: which there are, and that somebody accepts one. Needs full access.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ServiceControl } from '../pipeline/service/control.ts';
import { invalidRequest } from './errors.ts';
import { addManagementRoutes } from './management-routes.ts';

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;

const listQuery = z.strictObject({
  after: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
});

export function addGapRoutes(app: FastifyInstance, control: ServiceControl): void {
  addManagementRoutes(app, (routes) => {
    routes.get('/api/databases/:database/gaps', async (request) => {
      const parsed = listQuery.safeParse(request.query);
      if (!parsed.success)
        throw invalidRequest('after and limit are numbers', 'docs/operations.md has the requests');
      const { after, limit } = parsed.data;
      const gaps = control.gaps(databaseOf(request), { limit, ...(after === undefined ? {} : { after }) });
      return {
        gaps,
        next: gaps.length < limit ? null : (gaps.at(-1)?.id ?? null),
      };
    });
    routes.get('/api/databases/:database/gaps/:id', async (request) =>
      control.gap(databaseOf(request), idOf(request)),
    );
    routes.post('/api/databases/:database/gaps/:id/accept', async (request) =>
      control.acceptGap(databaseOf(request), idOf(request)),
    );
  });
}

const databaseOf = (request: FastifyRequest): string => (request.params as { database: string }).database;

function idOf(request: FastifyRequest): number {
  const id = Number((request.params as { id: string }).id);
  if (!Number.isSafeInteger(id)) throw invalidRequest('the id is a number', 'the list of gaps shows the ids');
  return id;
}

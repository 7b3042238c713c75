// The management API of gaps: which there are, and that somebody accepts one. Needs full access.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { gapName, type Gap } from '../core/gaps.ts';
import type { ServiceControl } from '../pipeline/service/control.ts';
import { invalidRequest, problem, NOT_JSON } from './errors.ts';

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;

const listQuery = z.strictObject({
  after: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
});

/** Every request here needs full access, and a body that is said to be JSON (a form of another page cannot say so). */
export function addGapRoutes(app: FastifyInstance, control: ServiceControl): void {
  void app.register(async (routes) => {
    routes.addHook('onRequest', async (request, reply) => {
      if (request.access !== 'full') return reply.code(401).send(problem('this needs a token'));
      const isJson = /^application\/json\b/i.test(request.headers['content-type'] ?? '');
      if (request.method === 'GET' || isJson) return undefined;
      return reply.code(400).send(problem(NOT_JSON));
    });
    routes.get('/api/databases/:database/gaps', async (request) => {
      const parsed = listQuery.safeParse(request.query);
      if (!parsed.success)
        throw invalidRequest('after and limit are numbers', 'docs/operations.md has the requests');
      const { after, limit } = parsed.data;
      const gaps = control.gaps(databaseOf(request), { limit, ...(after === undefined ? {} : { after }) });
      return {
        gaps: gaps.map(gapDocument),
        next: gaps.length < limit ? null : (gaps.at(-1)?.id ?? null),
      };
    });
    routes.get('/api/databases/:database/gaps/:id', async (request) =>
      gapDocument(control.gap(databaseOf(request), idOf(request))),
    );
    routes.post('/api/databases/:database/gaps/:id/accept', async (request) =>
      gapDocument(control.acceptGap(databaseOf(request), idOf(request))),
    );
  });
}

const databaseOf = (request: FastifyRequest): string => (request.params as { database: string }).database;

function idOf(request: FastifyRequest): number {
  const id = Number((request.params as { id: string }).id);
  if (!Number.isSafeInteger(id)) throw invalidRequest('the id is a number', 'the list of gaps shows the ids');
  return id;
}

const gapDocument = (gap: Gap): Record<string, unknown> => ({
  id: gap.id,
  name: gapName(gap),
  cause: gap.cause,
  reason: gap.reason,
  from: gap.from,
  to: gap.to ?? null,
  tables: gap.tables?.map(({ schema, table }) => `${schema}.${table}`) ?? null,
  sink: gap.sink ?? null,
  since: gap.since,
  halts: gap.halts,
  accepted_at: gap.acceptedAt ?? null,
});

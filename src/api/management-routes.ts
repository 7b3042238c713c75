// What all routes of the management API have in common: who may call them, and with what.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isJsonType } from './access.ts';
import { NOT_JSON, problem } from './errors.ts';

/** Every request to them needs full access, and a body that is said to be JSON (a form of another page cannot say so). */
export function addManagementRoutes(app: FastifyInstance, add: (routes: FastifyInstance) => void): void {
  void app.register(async (routes) => {
    routes.addHook('onRequest', async (request, reply) => {
      if (request.access !== 'full') return reply.code(401).send(problem('this needs a token'));
      const isRead = request.method === 'GET' || request.method === 'HEAD';
      if (isRead || isJsonType(request.headers['content-type'])) return undefined;
      return reply.code(400).send(problem(NOT_JSON));
    });
    add(routes);
  });
}

/** Of a route below `/api/databases/:database`. */
export const databaseOf = (request: FastifyRequest): string =>
  (request.params as { database: string }).database;

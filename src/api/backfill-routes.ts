// The management API of backfills: they are started, listed, paused, resumed and cancelled. Needs full access.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { MAX_BACKFILL_WORKERS, type BackfillTableRequest } from '../core/backfill.ts';
import type { BackfillMove } from '../pipeline/service/backfills.ts';
import type { ServiceControl } from '../pipeline/service/control.ts';
import { addManagementRoutes, databaseOf } from './management-routes.ts';
import { keyList, MAX_KEYS_BYTES, parseRequest, tableField } from './parse-request.ts';

const MAX_TABLES = 1000;
const MAX_SINKS = 1000;
/** As long as a timer can wait. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

const text = z.string().min(1);

const table = z
  .strictObject({
    table: tableField,
    where: text.optional(),
    sort_column: text.optional(),
    start_position: text.optional(),
    keys: keyList.optional(),
  })
  .refine(
    (value) => value.start_position === undefined || value.sort_column !== undefined,
    'start_position needs a sort_column',
  )
  .transform(
    ({ table: name, where, sort_column: column, start_position: from, keys }): BackfillTableRequest => ({
      ...name,
      ...(where === undefined ? {} : { where }),
      ...(column === undefined ? {} : { sort: { column, ...(from === undefined ? {} : { from }) } }),
      ...(keys === undefined ? {} : { keys }),
    }),
  );

const startBody = z.strictObject({
  sinks: z.union([z.literal('all'), z.array(text).min(1).max(MAX_SINKS)]),
  tables: z.array(table).min(1).max(MAX_TABLES).optional(),
  query_timeout_ms: z.int().min(1).max(MAX_TIMEOUT_MS).optional(),
  workers: z.int().min(1).max(MAX_BACKFILL_WORKERS).optional(),
  max_rows_per_second: z.int().min(1).optional(),
  gives_way: z.boolean().optional(),
});

const listQuery = z.strictObject({ sink: text.optional() });
const noBody = z.strictObject({});

const MOVES: Readonly<Record<string, BackfillMove>> = {
  pause: 'paused',
  resume: 'waiting',
  cancel: 'cancelled',
};

export function addBackfillRoutes(app: FastifyInstance, { backfills }: ServiceControl): void {
  const path = '/api/databases/:database/backfills';
  addManagementRoutes(app, (routes) => {
    routes.get(path, async (request) => {
      const { sink } = parseRequest(listQuery, request.query);
      return { backfills: backfills.list(databaseOf(request), sink === undefined ? {} : { sink }) };
    });
    routes.get(`${path}/:id`, async (request) => backfills.find(databaseOf(request), idOf(request)));
    routes.post(path, { bodyLimit: MAX_KEYS_BYTES }, async (request) => {
      const body = parseRequest(startBody, request.body);
      const { sinks, tables, workers, gives_way: givesWay } = body;
      const { query_timeout_ms: queryTimeoutMs, max_rows_per_second: rate } = body;
      return backfills.start({
        database: databaseOf(request),
        sinks,
        tables,
        limits: {
          ...(queryTimeoutMs === undefined ? {} : { queryTimeoutMs }),
          ...(workers === undefined ? {} : { workers }),
          ...(rate === undefined ? {} : { maxRowsPerSecond: rate }),
          ...(givesWay === undefined ? {} : { givesWay }),
        },
      });
    });
    for (const [verb, to] of Object.entries(MOVES)) {
      routes.post(`${path}/:id/${verb}`, async (request) => {
        parseRequest(noBody, request.body);
        return backfills.move(databaseOf(request), idOf(request), to);
      });
    }
  });
}

const idOf = (request: FastifyRequest): string => (request.params as { id: string }).id;

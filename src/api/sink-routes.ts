// The management API of sinks: how they stand, their status, rewinds, dead letters. Needs full access.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parseSinkStart } from '../config/schema/parts.ts';
import { formatPosition } from '../core/position.ts';
import type { ServiceControl } from '../pipeline/service/control.ts';
import { sinkDocument } from '../pipeline/service/health.ts';
import type { RewindTarget } from '../pipeline/sink/requests.ts';
import type { DeadLetterFilter, DeadLetterSummary } from '../store/dead-letters.ts';
import type { SinkId } from '../store/sink-records.ts';
import { invalidRequest } from './errors.ts';
import { addManagementRoutes } from './management-routes.ts';
import { nextAfter, pageQuery } from './pages.ts';
import { parseRequest, tableField } from './parse-request.ts';

const MAX_IDS = 10_000;
const MAX_PER_SECOND = 100_000;

const time = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const conditions = {
  table: tableField.optional(),
  code: z.string().min(1).optional(),
  since: time.optional(),
};

const statusBody = z.strictObject({
  status: z.enum(['active', 'paused', 'disabled']),
  now: z.boolean().default(false),
});
const rewindBody = z.strictObject({
  to: z.string().transform((text, context): RewindTarget => {
    const target = parseSinkStart(text);
    if (target !== undefined && target.from !== 'default') return target;
    context.addIssue({
      code: 'custom',
      message:
        'earliest, an LSN such as 16/B374D848, or a time with its zone such as 2026-01-02T03:04:05Z is expected',
    });
    return z.NEVER;
  }),
});
const rewindRowsBody = z
  .strictObject({
    table: tableField,
    key: z.array(z.string()).min(1).optional(),
    where: z.string().min(1).optional(),
    dry_run: z.boolean().default(false),
  })
  .refine(({ key, where }) => (key === undefined) !== (where === undefined), 'give a key, or a where');
const noBody = z.strictObject({});
const listQuery = z.strictObject({
  ...conditions,
  database: z.string().optional(),
  ...pageQuery,
});
/** Which letters: an empty choice is a slip, so all of them are asked for by that word. */
const choice = {
  ...conditions,
  ids: z.array(z.int().min(1)).min(1).max(MAX_IDS).optional(),
  all: z.literal(true).optional(),
};
const isChoice = (body: object): boolean =>
  ['ids', 'table', 'code', 'since', 'all'].some(
    (key) => (body as Record<string, unknown>)[key] !== undefined,
  );
const CHOOSE = 'say which: ids, table, code, since, or all: true';
const discardBody = z.strictObject(choice).refine(isChoice, CHOOSE);
const replayBody = z
  .strictObject({
    ...choice,
    per_second: z.number().positive().max(MAX_PER_SECOND).optional(),
    force: z.boolean().default(false),
  })
  .refine(isChoice, CHOOSE);

export function addSinkRoutes(app: FastifyInstance, control: ServiceControl): void {
  addManagementRoutes(app, (routes) => {
    addStatusRoutes(routes, control);
    addDeadLetterRoutes(routes, control);
  });
}

function addStatusRoutes(routes: FastifyInstance, control: ServiceControl): void {
  routes.get('/api/sinks', async () => ({ sinks: control.sinks().map(sinkDocument) }));
  routes.get('/api/sinks/:name', async (request) => sinkDocument(control.sink(sinkOf(request, control))));
  routes.patch('/api/sinks/:name', async (request) => {
    const { status, now } = parseRequest(statusBody, request.body);
    const id = sinkOf(request, control);
    await control.setStatus(id, status, { now });
    return { ...naming(id), status };
  });
  routes.post('/api/sinks/:name/rewind', async (request) => {
    const { to } = parseRequest(rewindBody, request.body);
    const id = sinkOf(request, control);
    const { from, rewinds, withdrawnDeadLetters } = await control.rewind(id, to);
    return { ...naming(id), from, rewinds, withdrawn_dead_letters: withdrawnDeadLetters };
  });
  routes.post('/api/sinks/:name/rewind_rows', async (request) => {
    const { table: name, key, where, dry_run: isDry } = parseRequest(rewindRowsBody, request.body);
    const id = sinkOf(request, control);
    const wish = key === undefined ? { ...name, where: where! } : { ...name, row: key };
    return { ...naming(id), ...(await control.rowRewinds.rewind(id, wish, { isDry })) };
  });
  routes.get('/api/sinks/:name/rewind_rows', async (request) => ({
    rewinds: control.rowRewinds.list(sinkOf(request, control)),
  }));
  routes.post('/api/sinks/:name/rewind_rows/cancel', async (request) => {
    parseRequest(noBody, request.body);
    const id = sinkOf(request, control);
    return { ...naming(id), ...(await control.rowRewinds.cancel(id)) };
  });
}

function addDeadLetterRoutes(routes: FastifyInstance, control: ServiceControl): void {
  const path = '/api/sinks/:name/dead_letters';
  routes.get(path, async (request) => {
    const { after, limit, ...filter } = parseRequest(listQuery, request.query);
    const id = sinkOf(request, control);
    const letters = control.deadLetters(id, filterOf(filter), { after, limit });
    const isLost = control.lostIn(id.database);
    return {
      dead_letters: letters.map((letter) => letterDocument(letter, isLost)),
      next: nextAfter(letters, limit),
    };
  });
  routes.get(`${path}/:id`, async (request) => {
    const letter = Number((request.params as { id: string }).id);
    if (!Number.isSafeInteger(letter)) throw invalidRequest('the id is a number', 'list shows the ids');
    const { payload, ...found } = control.deadLetter(sinkOf(request, control), letter);
    return {
      ...letterDocument({ ...found, hasPayload: payload !== undefined }, control.lostIn(found.database)),
      payload: payload === undefined ? null : Buffer.from(payload).toString('utf8'),
    };
  });
  routes.post(`${path}/discard`, async (request) => {
    const filter = filterOf(parseRequest(discardBody, request.body));
    return control.discard(sinkOf(request, control), filter);
  });
  routes.post(`${path}/replay`, async (request) => {
    const { per_second: perSecond, force, ...chosen } = parseRequest(replayBody, request.body);
    const id = sinkOf(request, control);
    const { replaying, withoutPayload, withheld } = await control.replay(id, filterOf(chosen), {
      perSecond,
      force,
    });
    return {
      replaying,
      without_payload: withoutPayload,
      of_lost_history: withheld,
      sink_state: control.sink(id).state,
    };
  });
}

/** `/api/sinks/users`, `/api/sinks/shop%2Fusers` or `/api/sinks/users?database=shop`. */
function sinkOf(request: FastifyRequest, control: ServiceControl): SinkId {
  const { name } = request.params as { name: string };
  const { database } = request.query as { database?: unknown };
  return control.find(name, typeof database === 'string' ? database : undefined);
}

const naming = ({ database, sink }: SinkId): { database: string; name: string } => ({ database, name: sink });

function filterOf(chosen: {
  readonly ids?: readonly number[] | undefined;
  readonly table?: { readonly schema: string; readonly table: string } | undefined;
  readonly code?: string | undefined;
  readonly since?: Date | undefined;
}): DeadLetterFilter {
  const { ids, table, code, since } = chosen;
  return {
    ...(ids === undefined ? {} : { ids }),
    ...table,
    ...(code === undefined ? {} : { code }),
    ...(since === undefined ? {} : { since }),
  };
}

const letterDocument = (
  letter: DeadLetterSummary,
  isLost: (position: DeadLetterSummary['position']) => boolean,
): Record<string, unknown> => ({
  id: letter.id,
  database: letter.database,
  sink: letter.sink,
  // What begins or ends a transaction is of none.
  table: letter.table === '' ? null : `${letter.schema}.${letter.table}`,
  action: letter.action,
  group: letter.group,
  route: letter.route,
  position: formatPosition(letter.position),
  idempotency_key: letter.idempotencyKey,
  state: letter.state,
  code: letter.code,
  reason: letter.reason,
  attempts: letter.attempts,
  payload_bytes: letter.payloadBytes,
  has_payload: letter.hasPayload,
  of_lost_history: isLost(letter.position),
  created_at: letter.createdAt,
  last_failed_at: letter.lastFailedAt,
});

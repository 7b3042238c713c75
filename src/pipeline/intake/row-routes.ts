// Where the rows of one table and action go, when each row decides it (a template or function of the sink).
import type { Relation, RowEvent } from '../../core/change.ts';
import { TailraceError, type DeliveryError } from '../../core/errors.ts';
import { didYouMean, nearestName } from '../../core/nearest-name.ts';
import { formatTableName } from '../../core/selection.ts';
import { quoteTable } from '../../postgres/quoting.ts';
import type { RouteByRow, RouteFault, RouteInput } from '../../sinks/sink.ts';
import type { Pending } from '../delivery/pending.ts';
import type { RouteQueue } from '../delivery/route-queue.ts';
import { isFault, type Routes } from '../delivery/routes.ts';
import type { Masks } from '../../functions/columns/masks.ts';
import { expectShown } from './columns/masked.ts';
import { RowTexts } from './row-values.ts';

export type RowQueues = Pick<Routes, 'queueByRow' | 'nowhere'>;

/** For rows of a table that the sink's templates do not fit: none has a route. */
export const lostRoutes = ({ code, message }: TailraceError): RouteByRow => {
  const fault = { id: 'no route', code, hint: message };
  return { groupTemplate: undefined, idOf: () => fault, open: () => fault };
};

/**
 * What an update is whose row goes elsewhere than before. `moves`: its old route had the row, and is told; whether there is a new one or
 * none. `enters`: it had no route, so nobody has the row yet.
 */
export type RouteMove = 'moves' | 'enters';

/** A row with such a fault has no route for certain. Of others nobody knows: their values were not sent. */
const SAY_NONE: ReadonlySet<string> = new Set(['ROUTE_VALUE_NULL', 'ROUTE_VALUE_UNFIT', 'ROUTE_NOT_ALLOWED']);

export class RowRoutes {
  readonly #input: RouteInput;
  readonly #by: RouteByRow;
  readonly #routes: RowQueues;
  readonly #texts: RowTexts;
  #refusal: DeliveryError | undefined;

  /** Throws TailraceError (fatal) where the table lacks a column that decides, or its values stay here. */
  constructor(
    relation: Relation,
    input: RouteInput,
    { by, routes, masks }: { by: RouteByRow; routes: RowQueues; masks: Masks },
  ) {
    this.#input = input;
    this.#by = by;
    this.#routes = routes;
    this.#texts = new RowTexts(relation, masks);
    expectShown(relation, by.columns ?? [], { masks, by: 'route' });
    const names = relation.columns.map(({ name }) => name);
    const missing = by.columns?.find((column) => !names.includes(column));
    if (missing === undefined) return;
    throw new TailraceError(
      `the route of ${input.action}s of table ${formatTableName(relation)} names the column "${missing}", which the table does not have`,
      {
        code: 'ROUTE_COLUMN_MISSING',
        kind: 'fatal',
        hint: `name one of ${names.join(', ')}${didYouMean(nearestName(missing, names))}; or add the column to the publication`,
      },
    );
  }

  /** `event` undefined: a TRUNCATE, or a row too large to be known. A row without a route is refused: `refusal` says why. */
  queueOf(event: RowEvent | undefined): RouteQueue<Pending> {
    this.#refusal = undefined;
    const id = this.#by.idOf(event === undefined ? undefined : this.#texts.of(event));
    const found = isFault(id) ? id : this.#routes.queueByRow(id, this.#by);
    if (!isFault(found)) return found;
    this.#refusal = this.#refused(found);
    return this.#routes.nowhere(found);
  }

  /** Why the last row has no route; undefined: it has one. */
  get refusal(): DeliveryError | undefined {
    return this.#refusal;
  }

  /** Whether an update takes its row from one route to another, as far as both are known. */
  moveOf(event: RowEvent): RouteMove | undefined {
    const before = this.#by.idOf(this.#texts.before(event));
    if (isFault(before) && !SAY_NONE.has(before.code)) return undefined;
    const now = this.#by.idOf(this.#texts.of(event));
    if (isFault(now) ? !SAY_NONE.has(now.code) : now === before) return undefined;
    // What is no route as a whole, or is not allowed, is known where it is opened.
    const wasRoute = this.#isRoute(before);
    if (this.#isRoute(now)) return wasRoute ? 'moves' : 'enters';
    return wasRoute ? 'moves' : undefined;
  }

  #isRoute(id: string | RouteFault): boolean {
    return !isFault(id) && !isFault(this.#routes.queueByRow(id, this.#by));
  }

  #refused({ code, hint }: RouteFault): DeliveryError {
    const { action, schema, table } = this.#input;
    const identity =
      code === 'ROUTE_VALUE_ABSENT'
        ? `; from ALTER TABLE ${quoteTable({ schema, table })} REPLICA IDENTITY FULL; on it is sent`
        : '';
    return {
      kind: 'rejected',
      scope: 'message',
      code,
      hint: `${action} of ${schema}.${table}: ${hint}${identity}`,
    };
  }
}

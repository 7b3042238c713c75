// Where the rows of one table and action go, when each row decides it (a template or function of the sink).
import type { RowEvent } from '../../core/change.ts';
import type { RouteByRow } from '../../sinks/sink.ts';
import type { Pending } from '../delivery/pending.ts';
import type { RouteQueue } from '../delivery/route-queue.ts';
import type { Routes } from '../delivery/routes.ts';
import type { RowTexts } from './row-values.ts';

export class RowRoutes {
  readonly #by: RouteByRow;
  readonly #routes: Pick<Routes, 'queueByRow'>;
  readonly #texts: RowTexts;

  constructor(by: RouteByRow, routes: Pick<Routes, 'queueByRow'>, texts: RowTexts) {
    this.#by = by;
    this.#routes = routes;
    this.#texts = texts;
  }

  /** `event` undefined: a TRUNCATE, or a row too large to be known. */
  queueOf(event: RowEvent | undefined): RouteQueue<Pending> {
    const id = this.#by.idOf(event === undefined ? undefined : this.#texts.of(event));
    return this.#routes.queueByRow(id, this.#by);
  }
}

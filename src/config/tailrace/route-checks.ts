// What a sink's templates over the row and its other keys cannot be together: changes without a row, and rows without an old one.
import type { Action } from '../../core/change.ts';
import { isTemplate, neededColumns, parseRowTemplate, writtenAs } from '../../core/template.ts';
import { sinkDefinition } from '../../sinks/registry.ts';

type Sink = {
  readonly actions: readonly Action[];
  readonly ddl: 'ignore' | 'events';
  readonly route_moves: 'ignore' | 'convert';
  readonly destination: unknown;
};

type RouteCheck = { readonly path: string[]; readonly message: string };

const templatesOf = (destination: unknown) =>
  (sinkDefinition((destination as { type: string }).type)?.routeTemplates?.(destination) ?? []).filter(
    ({ template }) => isTemplate(template),
  );

export const hasRoutesByRow = (destination: unknown): boolean => templatesOf(destination).length > 0;

export function* routeFaults({ actions, ddl, route_moves: moves, destination }: Sink): Generator<RouteCheck> {
  const templates = templatesOf(destination).map(({ key, action, template }) => ({
    key,
    takes: (other: Action): boolean => (action ?? other) === other,
    needed: neededColumns(parseRowTemplate(template)),
  }));
  const lacking = (
    rowless: string,
    path: string[],
    isTaken: (each: (typeof templates)[number]) => boolean,
  ) => {
    const found = templates.find((each) => isTaken(each));
    if (found === undefined) return [];
    const part = writtenAs(found.needed[0]!);
    const message = `${rowless}, and ${found.key} needs ${part}: give it a default, ${part.replace('}', ':-other}')}`;
    return [{ path, message }];
  };
  const needs = ({ needed }: (typeof templates)[number]): boolean => needed.length > 0;
  if (actions.includes('truncate')) yield* lacking('a truncate has no row', ['actions'], needs);
  if (ddl === 'events') yield* lacking('a changed schema has no row', ['ddl'], needs);
  if (actions.includes('insert')) {
    const asksOld = ({ needed, takes }: (typeof templates)[number]): boolean =>
      takes('insert') && needed[0]?.image === 'old';
    yield* lacking('an insert has no old row', ['destination'], asksOld);
  }
  if (moves !== 'convert') return;
  const path = ['route_moves'];
  if (templates.length === 0) {
    yield { path, message: 'this goes with a template in the destination: here no row goes elsewhere' };
  }
  for (const action of ['insert', 'update', 'delete'] as const) {
    if (actions.includes(action)) continue;
    yield {
      path,
      message: `convert sends inserts, updates and deletes; ${action} is not among the sink's actions`,
    };
  }
}

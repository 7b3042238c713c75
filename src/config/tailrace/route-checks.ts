// What a sink's templates over the row and its other keys cannot be together: changes without a row, and rows without an old one.
import type { Action } from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';
import {
  isTemplate,
  neededColumns,
  parseRowTemplate,
  writtenAs,
  type ColumnPart,
} from '../../core/template.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import type { AllowedNames } from '../../sinks/routing/allowed.ts';
import { unreachable } from '../../sinks/routing/reach.ts';

type Sink = {
  readonly actions: readonly Action[];
  readonly ddl: 'ignore' | 'events';
  readonly route_moves: 'ignore' | 'convert';
  readonly destination: unknown;
  /** Does it take rows that backfills have read, whatever its actions are? */
  readonly reads?: boolean | undefined;
};

type RouteCheck = { readonly path: string[]; readonly message: string };

const templatesOf = (destination: unknown) =>
  (sinkDefinition((destination as { type: string }).type)?.routeTemplates?.(destination) ?? []).filter(
    ({ template }) => isTemplate(template),
  );

/** Of one that cannot be read its field says so. */
function neededIn(template: string): readonly ColumnPart[] {
  try {
    return neededColumns(parseRowTemplate(template));
  } catch (error) {
    if (error instanceof TailraceError) return [];
    throw error;
  }
}

export const hasRoutesByRow = (destination: unknown): boolean => templatesOf(destination).length > 0;

/** What a row may name, by what the templates can give. */
function* allowedFaults(destination: unknown): Generator<RouteCheck> {
  const { type, allowed } = destination as { type: string; allowed?: AllowedNames };
  const definition = sinkDefinition(type);
  if (definition?.routing === undefined) return;
  const templates = definition.routeTemplates?.(destination) ?? [];
  for (const { path, message } of unreachable(allowed, templates, definition.routing))
    yield { path: ['destination', ...path], message };
}

export function* routeFaults({
  actions,
  ddl,
  route_moves: moves,
  destination,
  reads,
}: Sink): Generator<RouteCheck> {
  const templates = templatesOf(destination).map(({ key, action, template }) => ({
    key,
    takes: (other: Action): boolean => (action ?? other) === other,
    needed: neededIn(template),
  }));
  const lacking = (
    rowless: string,
    path: string[],
    isLacking: (part: ColumnPart) => boolean,
    action?: Action,
  ): readonly RouteCheck[] => {
    const found = templates.find(
      ({ needed, takes }) => needed.some(isLacking) && (action === undefined || takes(action)),
    );
    if (found === undefined) return [];
    const part = writtenAs(found.needed.find(isLacking)!);
    const message = `${rowless}, and ${found.key} needs ${part}: give it a default, ${part.replace('}', ':-other}')}`;
    return [{ path, message }];
  };
  if (actions.includes('truncate')) yield* lacking('a truncate has no row', ['actions'], () => true);
  if (ddl === 'events') yield* lacking('a changed schema has no row', ['ddl'], () => true);
  if (actions.includes('insert'))
    yield* lacking('an insert has no old row', ['destination'], ({ image }) => image === 'old', 'insert');
  else if (reads === true)
    yield* lacking(
      'a row that a backfill has read has no old row',
      ['destination'],
      ({ image }) => image === 'old',
    );
  yield* allowedFaults(destination);
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

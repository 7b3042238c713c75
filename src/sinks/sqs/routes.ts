// Which queue takes the changes of a table and action, and with which group id template. Pure.
import { ROW_ACTIONS, type Action, type RowAction } from '../../core/change.ts';
import type { GroupTemplate, RouteInput } from '../sink.ts';
import type { QueuePlace, SqsConfig, TablePlace } from './config.ts';

export type QueueRoute = {
  /** The queue as configured: name or URL. */
  readonly queue: string;
  readonly groupTemplate: string | undefined;
};

/**
 * Backfilled rows go where inserts go; a TRUNCATE has no place of its own, and what tells of a changed schema neither: where all queues
 * are those of actions, it goes where the first of them goes.
 */
const PLACE_OF: Readonly<Record<Action, RowAction | undefined>> = {
  insert: 'insert',
  read: 'insert',
  update: 'update',
  delete: 'delete',
  truncate: undefined,
  schema: undefined,
};

/** Undefined: nothing takes these changes. */
export function queueRoute(config: SqsConfig, input: RouteInput): QueueRoute | undefined {
  const places = placesInOrder(config, input);
  const queue = firstDefined(places, (place) => place.queue_name ?? place.queue_url);
  if (queue === undefined && input.action === 'schema') return firstRoute(config, input);
  if (queue === undefined) return undefined;
  return { queue, groupTemplate: firstDefined(places, (place) => place.group_id) };
}

function firstRoute(config: SqsConfig, input: RouteInput): QueueRoute | undefined {
  for (const action of ROW_ACTIONS) {
    const route = queueRoute(config, { ...input, action });
    if (route !== undefined) return route;
  }
  return undefined;
}

/** The row actions of a table that go to the queue of this one. `wanted`: the actions of the sink. */
export function actionsAtQueue(
  config: SqsConfig,
  input: RouteInput,
  wanted: readonly Action[] = ROW_ACTIONS,
): readonly RowAction[] {
  const queueOf = (action: Action): string | undefined => queueRoute(config, { ...input, action })?.queue;
  const queue = queueOf(input.action);
  if (queue === undefined) return [];
  return ROW_ACTIONS.filter((action) => wanted.includes(action) && queueOf(action) === queue);
}

/** As `placesInOrder` takes them. */
export function groupTemplates(config: SqsConfig): readonly GroupTemplate[] {
  const at = (holder: TablePlace, table?: string): GroupTemplate[] => {
    const base = table === undefined ? '' : `tables[${table}].`;
    const ofTable = table === undefined ? {} : { table };
    const own = holder.group_id;
    return [
      ...ROW_ACTIONS.flatMap((action) => {
        const template = holder[action]?.group_id;
        return template === undefined
          ? []
          : [{ key: `${base}${action}.group_id`, ...ofTable, action, template }];
      }),
      ...(own === undefined ? [] : [{ key: `${base}group_id`, ...ofTable, template: own }]),
    ];
  };
  return [...Object.entries(config.tables).flatMap(([table, place]) => at(place, table)), ...at(config)];
}

/** The most particular place first. */
function placesInOrder(config: SqsConfig, input: RouteInput): QueuePlace[] {
  const table = config.tables[`${input.schema}.${input.table}`] ?? {};
  const action = PLACE_OF[input.action];
  const particular = (holder: TablePlace): QueuePlace[] => {
    const place = action === undefined ? undefined : holder[action];
    return place === undefined ? [holder] : [place, holder];
  };
  return [...particular(table), ...particular(config)];
}

function firstDefined<T>(
  places: readonly QueuePlace[],
  read: (place: QueuePlace) => T | undefined,
): T | undefined {
  for (const place of places) {
    const value = read(place);
    if (value !== undefined) return value;
  }
  return undefined;
}

// Which queue takes the changes of a table and action, and with which group id template. Pure.
import { ROW_ACTIONS, type Action, type MessageAction, type RowAction } from '../../core/change.ts';
import type { GroupTemplate, RouteInput, RouteTemplate } from '../sink.ts';
import type { QueuePlace, SqsConfig, TablePlace } from './config.ts';

export type QueueRoute = {
  /** The queue as configured: name or URL, or a template of one. */
  readonly queue: string;
  /** The key that says it. */
  readonly key: 'queue_name' | 'queue_url';
  readonly groupTemplate: string | undefined;
};

/**
 * Backfilled rows go where inserts go; a TRUNCATE has no place of its own, and what is of no row at all neither: where all queues
 * are those of actions, it goes where the first of them goes.
 */
const PLACE_OF: Readonly<Record<MessageAction, RowAction | undefined>> = {
  insert: 'insert',
  read: 'insert',
  update: 'update',
  delete: 'delete',
  truncate: undefined,
  schema: undefined,
  begin: undefined,
  commit: undefined,
};
/** They come with any action. */
const OF_NO_ROW: readonly MessageAction[] = ['schema', 'begin', 'commit'];

/** Undefined: nothing takes these changes. */
export function queueRoute(config: SqsConfig, input: RouteInput): QueueRoute | undefined {
  const places = placesInOrder(config, input);
  const found = places.find((place) => place.queue_name !== undefined || place.queue_url !== undefined);
  if (found === undefined) return OF_NO_ROW.includes(input.action) ? firstRoute(config, input) : undefined;
  const key = found.queue_name === undefined ? 'queue_url' : 'queue_name';
  return { queue: found[key]!, key, groupTemplate: firstDefined(places, (place) => place.group_id) };
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
  const queueOf = (action: MessageAction): string | undefined =>
    queueRoute(config, { ...input, action })?.queue;
  const queue = queueOf(input.action);
  if (queue === undefined) return [];
  return ROW_ACTIONS.filter((action) => wanted.includes(action) && queueOf(action) === queue);
}

/** As `placesInOrder` takes them. */
export const groupTemplates = (config: SqsConfig): readonly GroupTemplate[] =>
  textsOf(config, (place) => (place.group_id === undefined ? undefined : ['group_id', place.group_id]));

/** The queues that rows decide, and those that they do not: a place of its own goes before a template around it. */
export const queueTemplates = (config: SqsConfig): readonly RouteTemplate[] =>
  textsOf(config, ({ queue_name: name, queue_url: url }) =>
    name === undefined ? url && ['queue_url', url] : ['queue_name', name],
  );

/** Of all places, in that order, what they say. */
function textsOf(
  config: SqsConfig,
  read: (place: QueuePlace) => [key: string, text: string] | '' | undefined,
): GroupTemplate[] {
  const at = (holder: TablePlace, table?: string): GroupTemplate[] => {
    const base = table === undefined ? '' : `tables[${table}].`;
    const ofTable = table === undefined ? {} : { table };
    const own = read(holder);
    return [
      ...ROW_ACTIONS.flatMap((action) => {
        const found = holder[action] && read(holder[action]);
        if (!found) return [];
        return [{ key: `${base}${action}.${found[0]}`, ...ofTable, action, template: found[1] }];
      }),
      ...(own ? [{ key: `${base}${own[0]}`, ...ofTable, template: own[1] }] : []),
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

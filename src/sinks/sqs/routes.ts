// Which queue takes the changes of a table and action, and with which group id template. Pure.
import type { Action, RowAction } from '../../core/change.ts';
import type { RouteInput } from '../sink.ts';
import type { QueuePlace, SqsConfig, TablePlace } from './config.ts';

export type QueueRoute = {
  /** The queue as configured: name or URL. */
  readonly queue: string;
  readonly groupTemplate: string | undefined;
  readonly severalActions: boolean;
};

const ROW_ACTIONS: readonly RowAction[] = ['insert', 'update', 'delete'];

/** Backfilled rows go where inserts go; a TRUNCATE has no place of its own. */
const PLACE_OF: Readonly<Record<Action, RowAction | undefined>> = {
  insert: 'insert',
  read: 'insert',
  update: 'update',
  delete: 'delete',
  truncate: undefined,
};

/** `wanted`: the actions of the sink. Undefined: nothing takes these changes. */
export function queueRoute(
  config: SqsConfig,
  input: RouteInput,
  wanted: readonly Action[] = ROW_ACTIONS,
): QueueRoute | undefined {
  const table = config.tables[`${input.schema}.${input.table}`] ?? {};
  const places = (action: Action): QueuePlace[] => placesInOrder(config, table, PLACE_OF[action]);
  const queueOf = (action: Action): string | undefined =>
    firstDefined(places(action), (place) => place.queue_name ?? place.queue_url);

  const queue = queueOf(input.action);
  if (queue === undefined) return undefined;
  const sharing = ROW_ACTIONS.filter((action) => wanted.includes(action) && queueOf(action) === queue);
  return {
    queue,
    groupTemplate: firstDefined(places(input.action), (place) => place.group_id),
    severalActions: sharing.length > 1,
  };
}

/** The most particular place first. */
function placesInOrder(top: TablePlace, table: TablePlace, action: RowAction | undefined): QueuePlace[] {
  const particular = (holder: TablePlace): QueuePlace[] => {
    const place = action === undefined ? undefined : holder[action];
    return place === undefined ? [holder] : [place, holder];
  };
  return [...particular(table), ...particular(top)];
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

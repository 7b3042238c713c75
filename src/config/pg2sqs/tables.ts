// pg2sqs' tables, each with its columns and queues, as the settings name them.
import { formatTableName, parseTableName, type TableName } from '../../core/selection.ts';
import type { Fault } from '../file/faults.ts';
import { numbersOf } from './merge.ts';
import type { Pg2sqsSettings, Setting } from './variables.ts';

export const ACTIONS = ['insert', 'update', 'delete'] as const;
type Action = (typeof ACTIONS)[number];

export type Queue = {
  /** As the sqs destination spells it. */
  readonly place: { readonly queue_name: string } | { readonly queue_url: string };
  /** Template of the group id. */
  readonly group: Setting | undefined;
};

export type Pg2sqsTable = TableName & {
  /** Undefined: all. */
  readonly columns: readonly string[] | undefined;
  /** Of all actions that have none of their own. */
  readonly queue: Queue | undefined;
  readonly actionQueues: { readonly [action in Action]?: Queue };
  /** The actions that have a queue. */
  readonly actions: readonly Action[];
  /** Names of all its queues. */
  readonly queues: readonly string[];
  readonly setting: Setting;
};

type Reader = { readonly settings: Pg2sqsSettings; readonly faults: Fault[] };

export function readTables(reader: Reader): Pg2sqsTable[] {
  const { settings, faults } = reader;
  const tables: Pg2sqsTable[] = [];
  const seen = new Set<string>();
  for (const number of numbersOf(settings)) {
    const table = readTable(number, reader);
    if (table === undefined) continue;
    const name = formatTableName(table);
    if (seen.has(name)) faults.push(table.setting.faultHere(`${name} is named twice`));
    seen.add(name);
    tables.push(table);
  }
  return tables;
}

function readTable(number: number, { settings, faults }: Reader): Pg2sqsTable | undefined {
  const at = (key: string): Setting | undefined => settings.get(`T_${number}_${key}`);
  const setting = at('NAME');
  if (setting === undefined) return undefined;
  const name = parseTableName(setting.text);
  if (name === undefined) {
    faults.push(setting.faultHere('a table is named schema.table, or table alone for the schema public'));
    return undefined;
  }
  const queueAt = (prefix: string, inherited?: Setting): Queue | undefined => {
    const url = at(`${prefix}URL`);
    const queueName = at(`${prefix}NAME`)?.text;
    if (url === undefined && queueName === undefined) return undefined;
    const place = url === undefined ? { queue_name: queueName! } : { queue_url: url.text };
    // Group ids are for FIFO queues only there; here a group id on a standard queue would change its fairness.
    const isFifo = nameOfQueue(place).endsWith('.fifo');
    return { place, group: isFifo ? (at(`${prefix}GROUPID`) ?? inherited) : undefined };
  };
  const queue = queueAt('Q_');
  const actionQueues: { [action in Action]?: Queue } = {};
  for (const action of ACTIONS) {
    const own = queueAt(`Q_${action.toUpperCase()}_`, at('Q_GROUPID'));
    if (own !== undefined) actionQueues[action] = own;
  }
  const actions = ACTIONS.filter((action) => queue !== undefined || actionQueues[action] !== undefined);
  if (actions.length === 0) {
    faults.push(setting.faultHere('this table has no queue: give queue.name (Q_NAME)'));
    return undefined;
  }
  const all = [queue, ...Object.values(actionQueues)].filter((one) => one !== undefined);
  return {
    ...name,
    columns: columnsOf(at('COLUMNS')),
    queue,
    actionQueues,
    actions,
    queues: all.map(({ place }) => nameOfQueue(place)),
    setting,
  };
}

function columnsOf(setting: Setting | undefined): readonly string[] | undefined {
  const names = (setting?.text ?? 'all').split(',').map((name) => name.trim());
  return names.includes('all') ? undefined : names.filter((name) => name !== '');
}

/** By URL or by name it is one queue. */
const nameOfQueue = (place: Queue['place']): string =>
  'queue_name' in place ? place.queue_name : place.queue_url.split('/').at(-1)!;

// pg2sqs' tables as sinks: tables that share a queue share a sink, so that the order across them holds.
import { formatTableName, parseTableName, type TableName } from '../../core/selection.ts';
import { parseTemplate, templateColumns } from '../../core/template.ts';
import { constantGroupNote } from '../tailrace/cross-checks.ts';
import type { Fault } from '../file/faults.ts';
import type { Pg2sqsSettings, Setting } from './variables.ts';

const ACTIONS = ['insert', 'update', 'delete'] as const;
type Action = (typeof ACTIONS)[number];

/** A queue as the sqs destination spells it. */
type QueuePlace = { queue_name?: string; queue_url?: string; group_id?: string };
type TablePlace = QueuePlace & { [action in Action]?: QueuePlace };

export type Pg2sqsTable = TableName & {
  /** Undefined: all. */
  readonly columns: readonly string[] | undefined;
  readonly place: TablePlace;
  /** The actions that have a queue. */
  readonly actions: readonly Action[];
  /** Names of all its queues. */
  readonly queues: readonly string[];
  readonly setting: Setting;
};

type Reader = { readonly settings: Pg2sqsSettings; readonly faults: Fault[]; readonly notes: string[] };

export function readTables(reader: Reader): Pg2sqsTable[] {
  const { settings, faults } = reader;
  const numbers = new Set<number>();
  for (const name of settings.keys()) {
    const match = /^T_(\d+)_/.exec(name);
    if (match !== null) numbers.add(Number(match[1]));
  }
  const sorted = [...numbers].sort((a, b) => a - b);
  const tables: Pg2sqsTable[] = [];
  const seen = new Set<string>();
  for (const [place, number] of sorted.entries()) {
    const table = readTable(number, reader);
    if (table === undefined) continue;
    if (number !== place) {
      // Counting stops at a hole: what follows would be passed over in silence.
      faults.push(
        table.setting.faultHere(`tables are numbered from 0 without holes: there is no table ${place}`),
      );
      break;
    }
    const name = formatTableName(table);
    if (seen.has(name)) faults.push(table.setting.faultHere(`the table ${name} is named twice`));
    seen.add(name);
    tables.push(table);
  }
  return tables;
}

function readTable(number: number, { settings, faults, notes }: Reader): Pg2sqsTable | undefined {
  const at = (key: string): Setting | undefined => settings.get(`T_${number}_${key}`);
  const setting = at('NAME');
  if (setting === undefined) {
    const path = `PG2SQS_T_${number}_NAME`;
    faults.push({
      file: 'environment',
      path,
      message: 'this is missing, but other settings of this table are there',
    });
    return undefined;
  }
  const name = parseTableName(setting.text);
  if (name === undefined) {
    faults.push(setting.faultHere('a table is named schema.table, or table alone for the schema public'));
    return undefined;
  }
  const queueAt = (prefix: string, inherited?: Setting): QueuePlace | undefined => {
    const url = at(`${prefix}URL`);
    const queueName = at(`${prefix}NAME`)?.text;
    if (url === undefined && queueName === undefined) return undefined;
    const group = at(`${prefix}GROUPID`) ?? inherited;
    const place = url === undefined ? { queue_name: queueName! } : { queue_url: url.text };
    // Group ids are for FIFO queues only there; here a group id on a standard queue would change its fairness.
    const isFifo = nameOfQueue(place).endsWith('.fifo');
    if (group === undefined || !isFifo) return place;
    checkTemplate(group, { faults, notes });
    return { ...place, group_id: group.text };
  };
  const top = queueAt('Q_');
  let place: TablePlace = { ...top };
  for (const action of ACTIONS) {
    const queue = queueAt(`Q_${action.toUpperCase()}_`, at('Q_GROUPID'));
    if (queue !== undefined) place[action] = queue;
  }
  if (place.group_id !== undefined && ACTIONS.some((action) => isWithoutGroup(place[action]))) {
    // The destination hands a table's group id down to its actions, so here each action says its own.
    const { group_id: _, ...bare } = place;
    place = { ...bare, ...Object.fromEntries(ACTIONS.map((action) => [action, place[action] ?? top])) };
  }
  const actions = ACTIONS.filter((action) => top !== undefined || place[action] !== undefined);
  if (actions.length === 0) {
    faults.push(setting.faultHere('this table has no queue: give queue.name (Q_NAME)'));
    return undefined;
  }
  const places = [top, ...ACTIONS.map((action) => place[action])].filter((queue) => queue !== undefined);
  return {
    ...name,
    columns: columnsOf(at('COLUMNS')),
    place,
    actions,
    queues: places.map(nameOfQueue),
    setting,
  };
}

const isWithoutGroup = (place: QueuePlace | undefined): boolean =>
  place !== undefined && place.group_id === undefined;

function checkTemplate(setting: Setting, { faults, notes }: Pick<Reader, 'faults' | 'notes'>): void {
  try {
    if (templateColumns(parseTemplate(setting.text)).length > 0) return;
    const note = constantGroupNote(setting.faultHere('').path, setting.text);
    if (!notes.includes(note)) notes.push(note);
  } catch (error) {
    faults.push(setting.faultHere(error instanceof Error ? error.message : String(error)));
  }
}

function columnsOf(setting: Setting | undefined): readonly string[] | undefined {
  const names = (setting?.text ?? 'all').split(',').map((name) => name.trim());
  return names.includes('all') ? undefined : names.filter((name) => name !== '');
}

/** By URL or by name it is one queue. */
const nameOfQueue = (place: QueuePlace): string =>
  place.queue_name ?? place.queue_url?.split('/').at(-1) ?? '';

/** Sets of tables that are joined by common queues, in the order of their first tables. */
export function groupByQueues(tables: readonly Pg2sqsTable[]): Pg2sqsTable[][] {
  let groups: Pg2sqsTable[][] = [];
  for (const table of tables) {
    const shares = (group: readonly Pg2sqsTable[]): boolean =>
      group.some((other) => other.queues.some((queue) => table.queues.includes(queue)));
    const [joined, apart] = [groups.filter(shares), groups.filter((group) => !shares(group))];
    groups = [...apart, [...joined.flat(), table]];
  }
  const firstOf = (group: readonly Pg2sqsTable[]): number =>
    Math.min(...group.map((table) => tables.indexOf(table)));
  return groups
    .map((group) => group.sort((a, b) => tables.indexOf(a) - tables.indexOf(b)))
    .sort((a, b) => firstOf(a) - firstOf(b));
}

// pg2sqs' tables as sinks: tables that share a queue share a sink, so that the order across them holds.
import { formatTableName } from '../../core/selection.ts';
import type { Path } from '../file/file-value.ts';
import type { Pg2sqsReader } from './reader.ts';
import { ACTIONS, type Pg2sqsTable, type Queue } from './tables.ts';
import { inMs, type Put, type Translation } from './translation.ts';

export function translateSinks(
  tables: readonly Pg2sqsTable[],
  options: { reader: Pg2sqsReader; translation: Translation; database: string | undefined },
): void {
  const { reader, translation, database } = options;
  const shared: Parameters<Put>[] = [];
  translateSettings(reader, (...what) => shared.push(what));
  const names = new Set<string>();
  for (const [index, group] of groupByQueues(tables).entries()) {
    const base = ['sinks', index];
    const first = group[0]!;
    const written = {
      name: uniqueName(resourceNameOf(formatTableName(first)), names),
      format: 'pg2sqs',
      same_group: 'ordered',
      actions: ACTIONS.filter((action) => group.some((table) => table.actions.includes(action))),
      destination: { type: 'sqs', create_if_not_exists: true },
    };
    translation.put(base, written, first.setting);
    const put = translation.putFrom(reader, base);
    put(['database'], database, 'POSTGRES_CONN_DATABASE');
    for (const what of shared) put(...what);
    translateTables(group, { translation, base });
  }
}

/** What pg2sqs says once, of all sinks. */
function translateSettings(reader: Pg2sqsReader, put: Put): void {
  const timeout = reader.duration('WRITETIMEOUT', { bareUnit: 's', least: 1 });
  const retries = reader.number('RETRYPOLICY_MAXRETRIES', { least: 1, whole: true });
  const workers = reader.number('FLUSHWORKERS', { least: 1, most: 1024, whole: true });
  const queueSize = reader.number('MAXWRITEQUEUESIZE', { least: 0, whole: true });
  const numeric = reader.word('POSTGRES_NUMERICMODE', ['float', 'string']);
  put(['commit_time_column'], reader.text('SQS_COMMITTIMECOLUMN'), 'SQS_COMMITTIMECOLUMN');
  put(['values', 'numeric'], numeric, 'POSTGRES_NUMERICMODE');
  put(['max_retry_count'], retries, 'RETRYPOLICY_MAXRETRIES');
  put(['max_buffered'], queueSize === 0 ? undefined : queueSize, 'MAXWRITEQUEUESIZE');
  put(['destination', 'timeout'], inMs(timeout), 'WRITETIMEOUT');
  put(['destination', 'lanes'], workers, 'FLUSHWORKERS');
  translateRetry(reader, put);
}

/** The one policy that pg2sqs has, as the `retry` of a sink or of a connection. */
export function translateRetry(reader: Pg2sqsReader, put: Put): void {
  const first = reader.duration('RETRYPOLICY_INITIALBACKOFF', { bareUnit: 's', least: 1 });
  const longest = reader.duration('RETRYPOLICY_MAXBACKOFF', { bareUnit: 's', least: 1 });
  const multiplier = reader.number('RETRYPOLICY_MULTIPLIER', { least: 1, whole: false });
  const jitter = reader.number('RETRYPOLICY_JITTER', { least: 0, most: 1, whole: false });
  // The longest wait cuts the first one too.
  put(
    ['retry', 'initial_backoff'],
    inMs(first && Math.min(first, longest ?? first)),
    'RETRYPOLICY_INITIALBACKOFF',
  );
  put(['retry', 'max_backoff'], inMs(longest), 'RETRYPOLICY_MAXBACKOFF');
  put(['retry', 'multiplier'], multiplier, 'RETRYPOLICY_MULTIPLIER');
  put(['retry', 'jitter'], jitter, 'RETRYPOLICY_JITTER');
}

function translateTables(
  group: readonly Pg2sqsTable[],
  { translation, base }: { translation: Translation; base: Path },
): void {
  const listed = group.filter((table) => table.columns !== undefined);
  for (const [index, table] of group.entries()) {
    const { setting } = table;
    const inDestination = [...base, 'destination', 'tables', formatTableName(table)];
    translation.put([...base, 'source', 'include_tables', index], setting.text, setting);
    translation.put(inDestination, {}, setting);
    for (const { path, queue } of placesOf(table)) {
      const at = [...inDestination, ...path];
      for (const [key, value] of Object.entries(queue.place)) translation.put([...at, key], value);
      translation.put([...at, 'group_id'], queue.group?.text, queue.group);
    }
  }
  for (const [index, { setting, columns }] of listed.entries()) {
    const path = [...base, 'tables', index];
    translation.put(path, { name: setting.text, columns }, setting);
  }
}

/** The queues of a table at their places in the destination. */
function placesOf({ queue, actionQueues }: Pg2sqsTable): { path: Path; queue: Queue }[] {
  const own = ACTIONS.flatMap((action) => {
    const of = actionQueues[action];
    return of === undefined ? [] : [{ path: [action], queue: of }];
  });
  if (queue === undefined) return own;
  // The destination hands a table's group id down to its actions: where one of them has none, each says its own.
  const handsDown = queue.group !== undefined && own.some((place) => place.queue.group === undefined);
  if (!handsDown) return [{ path: [], queue }, ...own];
  return [
    { path: [], queue: { ...queue, group: undefined } },
    ...ACTIONS.map((action) => ({ path: [action], queue: actionQueues[action] ?? queue })),
  ];
}

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

/** Names become file names and metric labels: other characters give way. */
export const resourceNameOf = (text: string): string =>
  text.replaceAll(/[^A-Za-z0-9_.-]/g, '_').replace(/^[.-]/, '_');

function uniqueName(name: string, taken: Set<string>): string {
  let unique = name;
  for (let count = 2; taken.has(unique); count++) unique = `${name}-${count}`;
  taken.add(unique);
  return unique;
}

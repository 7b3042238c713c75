// Backfills as tables for a person, with a bar for how far each is.
import type { BackfillTableDocument } from '../../pipeline/service/backfill-document.ts';
import { table, widthOf } from '../layout.ts';
import { painterFor, type CliPorts, type Painter } from '../ports.ts';
import { countText, formatBytes } from '../status-table.ts';
import { ageText } from '../times.ts';
import type { FoundBackfill } from './ports.ts';

type Screen = Pick<CliPorts, 'stdout' | 'env'>;

const STYLES: Readonly<Record<FoundBackfill['state'], Parameters<Painter>[0]>> = {
  waiting: 'dim',
  running: 'green',
  paused: 'yellow',
  completed: 'green',
  cancelled: 'dim',
  failed: 'red',
};

const BAR_CELLS = 20;

/** `45 %` of the estimate, with a bar on a terminal; `-` where nobody knows. What is over the estimate is not all yet. */
export function shareText(
  { state, rows, estimated_rows: estimate }: Pick<FoundBackfill, 'state' | 'rows' | 'estimated_rows'>,
  { stdout, env }: Screen,
): string {
  const isDone = state === 'completed';
  if (!isDone && (estimate === null || estimate === 0)) return '-';
  const share = isDone ? 1 : Math.min(rows / estimate!, 0.99);
  const percent = `${Math.floor(share * 100)} %`;
  if (stdout.isTTY !== true || env['TERM'] === 'dumb') return percent;
  const filled = Math.round(share * BAR_CELLS);
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)} ${percent}`;
}

const rateText = ({ rows_per_second: rate }: FoundBackfill): string =>
  rate === null ? '-' : `${countText(rate)}/s`;
const paceText = (pace: number | null): string | undefined =>
  pace === null ? undefined : `to live changes: ${countText(pace)} rows/s`;
const leftText = ({ seconds_left: seconds }: FoundBackfill): string =>
  seconds === null ? '-' : ageText(seconds);

const tablesText = ({ tables }: FoundBackfill): string => {
  if (tables === null) return 'all';
  const [first] = tables;
  return first === undefined ? 'none' : tables.length === 1 ? first.table : `${tables.length} tables`;
};

export function renderBackfills(backfills: readonly FoundBackfill[], screen: Screen): string[] {
  const paint = painterFor(screen.stdout, screen.env);
  const rows = [
    ['ID', 'DATABASE', 'SINKS', 'TABLES', 'STATE', 'ROWS', 'DONE', 'RATE', 'LEFT', 'ASKED FOR', 'REASON'],
    ...backfills.map((backfill) => [
      backfill.id,
      backfill.database,
      backfill.sinks.join(', '),
      tablesText(backfill),
      paint(STYLES[backfill.state], backfill.state),
      countText(backfill.rows),
      shareText(backfill, screen),
      rateText(backfill),
      leftText(backfill),
      backfill.created_at,
      backfill.reason ?? backfill.held_by ?? '-',
    ]),
  ];
  return table(paint, rows, widthOf(screen.stdout));
}

export function renderBackfill(backfill: FoundBackfill, screen: Screen): string[] {
  const paint = painterFor(screen.stdout, screen.env);
  const estimate = backfill.estimated_rows;
  const fields: readonly (readonly [name: string, text: string | undefined])[] = [
    ['state', paint(STYLES[backfill.state], backfill.state)],
    ['reason', backfill.reason ?? undefined],
    ['waits', backfill.held_by ?? undefined],
    ['gives way', paceText(backfill.pace_rows_per_second)],
    ['database', backfill.database],
    ['sinks', backfill.sinks.join(', ')],
    ['asked for', `${backfill.created_at}${backfill.initial ? ', because the sink was new' : ''}`],
    ['ended', backfill.ended_at ?? undefined],
    ['done', shareText(backfill, screen)],
    [
      'rows',
      `${countText(backfill.rows)} read${estimate === null ? '' : `, of about ${countText(estimate)}`}, ${countText(backfill.rows_appended)} into the log (${formatBytes(backfill.bytes)})`,
    ],
    ['left out', `${countText(backfill.rows_dropped)}, because the stream brought what is newer`],
    ['again', `${countText(backfill.rows_read_again)} read once more`],
    ['rate', rateText(backfill)],
    ['time left', leftText(backfill)],
  ];
  return [
    paint('bold', `backfill ${backfill.id}`),
    ...fields.flatMap(([name, text]) =>
      text === undefined ? [] : [`${paint('dim', `${name}:`.padEnd(11))} ${text}`],
    ),
    '',
    ...tableLines(backfill.tables, screen),
  ];
}

function tableLines(tables: readonly BackfillTableDocument[] | null, screen: Screen): string[] {
  if (tables === null) return ['all tables of its sinks: which these are is known when it begins'];
  const paint = painterFor(screen.stdout, screen.env);
  const rows = [
    ['TABLE', 'STATE', 'ROWS', 'OF ABOUT', 'INTO THE LOG', 'ONLY'],
    ...tables.map((one) => [
      one.table,
      stateOf(one),
      countText(one.rows),
      one.estimated_rows === null ? '-' : countText(one.estimated_rows),
      countText(one.rows_appended),
      onlyText(one),
    ]),
  ];
  const notes = tables.flatMap(({ notes }) => notes.map((note) => `${paint('yellow', '!')} ${note}`));
  return [...table(paint, rows, widthOf(screen.stdout)), ...notes];
}

const stateOf = ({ started_at: started, ended_at: ended, failure }: BackfillTableDocument): string =>
  failure ?? (ended === null ? (started === null ? 'waiting' : 'being read') : 'read');

function onlyText({ where, sort_column: column, start_position: from, keys }: BackfillTableDocument): string {
  const parts = [
    ...(where === null ? [] : [where]),
    ...(column === null || from === null ? [] : [`${column} >= ${from}`]),
    ...(keys === null ? [] : [`${keys} keys`]),
  ];
  return parts.length === 0 ? '-' : parts.join(' and ');
}

// The status of a service as tables for a person.
import type { BackfillProgress } from '../core/backfill-progress.ts';
import type { Health, SinkStatus, Trouble } from '../core/status.ts';
import type { HealthDocument } from '../pipeline/service/health.ts';
import { table, widthOf, wrap } from './layout.ts';
import { painterFor, type CliPorts, type Painter } from './ports.ts';
import { ageText, latencyText } from './times.ts';

const HEALTH_STYLES = { healthy: 'green', degraded: 'yellow', halted: 'red' } as const;

export const paintHealth = (paint: Painter, health: Health): string => paint(HEALTH_STYLES[health], health);

/** The lines of it. */
export function renderStatus(document: HealthDocument, ports: Pick<CliPorts, 'stdout' | 'env'>): string[] {
  const paint = painterFor(ports.stdout, ports.env);
  const width = widthOf(ports.stdout);
  const word = (health: Health): string => paintHealth(paint, health);
  const head = `tailrace ${document.version}  ${word(document.status)}  since ${document.startedAt}  ${document.dataDir}`;
  const databases = [
    ['DATABASE', 'STATUS', 'STATE', 'SLOT', 'ACK', 'LOGGED', 'FLUSHED', 'RETAINED', 'LOG', 'CHANGES', 'GAPS'],
    ...document.databases.map((database) => [
      database.name,
      word(database.status),
      database.state,
      database.slot,
      database.ack === 'auto' ? `auto (${database.acknowledging})` : database.ack,
      database.loggedEnd,
      database.flushed,
      formatBytes(database.retainedBytes),
      formatBytes(database.logBytes),
      String(database.changes),
      String(database.gaps.length),
    ]),
  ];
  const sinks = [
    ['SINK', 'STATUS', 'STATE', 'TYPE', 'DELIVERED', 'LAG', 'AGE', 'RETRIED', 'DEAD', 'PARKED', 'P50', 'P99'],
    ...document.sinks.map((sink) => [
      `${sink.database}/${sink.name}`,
      word(sink.status),
      sink.state,
      sink.type,
      String(sink.delivered),
      formatBytes(sink.lagBytes),
      ageText(sink.lagSeconds),
      String(sink.retried),
      String(sink.deadLetters),
      String(sink.parked),
      sink.latency === undefined ? '-' : latencyText(sink.latency.p50),
      sink.latency === undefined ? '-' : latencyText(sink.latency.p99),
    ]),
  ];
  const remarks = [
    ...backfillLines(document, paint, width),
    ...rewindLines(document, paint, width),
    ...troubles(document, paint, width),
    ...notes(document, paint, width),
    ...readyStandbys(document, paint, width),
  ];
  return [
    ...wrap(head, width, '  '),
    '',
    ...table(paint, databases, width),
    '',
    ...table(paint, sinks, width),
    ...(remarks.length === 0 ? [] : ['', ...remarks]),
  ];
}

/** Everything that is not well, each with its cure: what makes a row say so. */
export const troubles = (document: HealthDocument, paint: Painter, width = Infinity): string[] =>
  parts(document).flatMap(({ who, troubles }) =>
    troubles.flatMap(({ health, reason, cure, since }) => [
      ...wrap(
        `${paint(HEALTH_STYLES[health], '✗')} ${who}: ${reason}${since === undefined ? '' : ` (since ${since})`}`,
        width,
        '  ',
      ),
      ...(cure === undefined ? [] : wrap(`  cure: ${cure}`, width, '    ')),
    ]),
  );

export type Part = { readonly who: string; readonly troubles: readonly Trouble[] };

export const parts = ({ databases, sinks }: HealthDocument): readonly Part[] => [
  ...databases.map(({ name, troubles }) => ({ who: `database ${name}`, troubles })),
  ...sinks.map(({ database, name, troubles }) => ({ who: `sink ${database}/${name}`, troubles })),
];

/** What is worth knowing and degrades nothing. */
function notes({ databases, sinks }: HealthDocument, paint: Painter, width: number): string[] {
  const all = [
    ...databases.flatMap(({ name, notes }) => notes.map((note) => `database ${name}: ${note}`)),
    ...sinks.flatMap(({ database, name, gaps, routes, routeCounts }) => [
      ...gaps.map(
        ({ from, to, reason }) => `sink ${database}/${name}: on record: gap ${from}–${to}: ${reason}`,
      ),
      ...(routeCounts === undefined
        ? []
        : [
            `sink ${database}/${name}: ${countText(countOf(routeCounts))} routes are open, of which ${routes.length} are looked at here`,
          ]),
      ...routes.flatMap((route) => limitNote(route) ?? []).map((note) => `sink ${database}/${name}: ${note}`),
    ]),
  ];
  return all.flatMap((note) => wrap(`${paint('yellow', '!')} ${note}`, width, '  '));
}

const countOf = (counts: Readonly<Record<Health, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

/** Of a route that could have more, by a change of the configuration or of the destination. */
function limitNote({
  id,
  lanes,
  limitedBy,
  answerMs,
  pace,
}: SinkStatus['routes'][number]): string | undefined {
  const answer = answerMs === undefined ? '' : ` of ${latencyText(answerMs)}`;
  switch (limitedBy) {
    case 'throttled':
      return `${id} is throttled: it is given ${pace ?? 0} messages a second`;
    case 'order':
      return `${id} waits for the order of its groups: what follows in a group goes after an answer${answer}; a group of a column with more values lets more go at once`;
    case 'lanes':
      return `${id} uses all of its ${lanes} lanes, with answers${answer}; more \`lanes\` may bring more`;
    case 'source':
    case 'destination':
      return undefined;
    default:
      return limitedBy satisfies never;
  }
}

/** Those that go on by themselves: of any other the troubles tell. */
const backfillLines = ({ databases }: HealthDocument, paint: Painter, width: number): string[] =>
  databases.flatMap(({ name, backfills = [] }) =>
    backfills
      .filter(({ state }) => state === 'running' || state === 'waiting')
      .flatMap(({ id, state, sinks, heldBy, pace, progress }) =>
        wrap(
          `${paint('green', '→')} database ${name}: backfill ${id} for ${sinks.join(', ')} ${state === 'running' ? 'reads' : 'waits'}: ${progressText(progress)}${heldBy === undefined ? '' : `; it waits: ${heldBy}`}${pace === undefined ? '' : `; it gives way to live changes: ${countText(pace)} rows/s`}`,
          width,
          '  ',
        ),
      ),
  );

/** Rows that are sent again. */
const rewindLines = ({ sinks }: HealthDocument, paint: Painter, width: number): string[] =>
  sinks.flatMap(({ database, name, rowRewind }) =>
    rowRewind === undefined
      ? []
      : wrap(
          `${paint('green', '→')} sink ${database}/${name}: ${countText(rowRewind.rows)} rows of ${rowRewind.table} are sent again: ${countText(rowRewind.sent)} of ${countText(rowRewind.changes)} changes`,
          width,
          '  ',
        ),
  );

/** `1,200 rows of about 5,000, 300/s, 12.7 s left`, as far as it is known. */
function progressText({ scanned, estimatedRows, rowsPerSecond, secondsLeft }: BackfillProgress): string {
  return [
    `${countText(scanned)} rows${estimatedRows === undefined ? '' : ` of about ${countText(estimatedRows)}`}`,
    ...(rowsPerSecond === undefined ? [] : [`${countText(rowsPerSecond)}/s`]),
    ...(secondsLeft === undefined ? [] : [`${ageText(secondsLeft)} left`]),
  ].join(', ');
}

/** One that is not ready is a trouble. */
const readyStandbys = ({ databases }: HealthDocument, paint: Painter, width: number): string[] =>
  databases.flatMap(({ name, standbys = [] }) =>
    standbys
      .filter(({ ready }) => ready)
      .flatMap(({ host, detail }) =>
        wrap(`${paint('green', '✓')} database ${name}: standby ${host}: ${detail}`, width, '  '),
      ),
  );

/** `1,234,567`. */
export const countText = (value: number): string => Math.round(value).toLocaleString('en-US');

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** Powers of 1024, named as Postgres names them. https://www.postgresql.org/docs/current/config-setting.html */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

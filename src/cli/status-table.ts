// The status of a service as tables for a person.
import { stripVTControlCharacters } from 'node:util';
import type { HealthDocument } from '../pipeline/service/health.ts';
import type { Health } from '../core/status.ts';
import { painterFor, type CliPorts, type Painter } from './ports.ts';

const HEALTH_STYLES = { healthy: 'green', degraded: 'yellow', halted: 'red' } as const;

export function renderStatus(document: HealthDocument, ports: Pick<CliPorts, 'stdout' | 'env'>): string {
  const paint = painterFor(ports.stdout, ports.env);
  const word = (health: Health): string => paint(HEALTH_STYLES[health], health);
  const head = `tailrace ${document.version}  ${word(document.status)}  since ${document.startedAt}  ${document.dataDir}`;
  const databases = table(paint, [
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
  ]);
  const sinks = table(paint, [
    ['SINK', 'STATUS', 'STATE', 'TYPE', 'DELIVERED', 'LAG', 'AGE', 'RETRIED', 'DEAD', 'PARKED', 'P50', 'P99'],
    ...document.sinks.map((sink) => [
      `${sink.database}/${sink.name}`,
      word(sink.status),
      sink.state,
      sink.type,
      String(sink.delivered),
      formatBytes(sink.lagBytes),
      `${sink.lagSeconds.toFixed(1)} s`,
      String(sink.retried),
      String(sink.deadLetters),
      String(sink.parked),
      sink.latency === undefined ? '-' : `${sink.latency.p50.toFixed(1)} ms`,
      sink.latency === undefined ? '-' : `${sink.latency.p99.toFixed(1)} ms`,
    ]),
  ]);
  return `${[head, '', ...databases, '', ...sinks, ...troubles(document, paint)].join('\n')}\n`;
}

/** Everything that is not well, each with its cure. */
function troubles(document: HealthDocument, paint: Painter): string[] {
  const lines: string[] = [];
  const add = (who: string, health: Health, reason?: string, cure?: string, since?: string): void => {
    if (health === 'healthy') return;
    const when = since === undefined ? '' : ` (since ${since})`;
    lines.push(`${paint(HEALTH_STYLES[health], '✗')} ${who}: ${reason ?? health}${when}`);
    if (cure !== undefined) lines.push(`  cure: ${cure}`);
  };
  for (const database of document.databases) {
    const who = `database ${database.name}`;
    add(who, database.status, database.reason, database.cure, database.since);
    for (const warning of database.warnings) add(who, 'degraded', warning);
    for (const gap of database.gaps)
      add(who, 'degraded', `gap ${gap.id}, ${gap.from}–${gap.to ?? 'now'}: ${gap.reason}`);
  }
  for (const sink of document.sinks) {
    const who = `sink ${sink.database}/${sink.name}`;
    add(who, sink.status, sink.reason, sink.cure, sink.since);
    for (const route of sink.routes) add(`${who} → ${route.id}`, route.health, route.reason, route.cure);
    if (sink.blockedGroups.length > 0) {
      add(who, 'degraded', `groups held back: ${sink.blockedGroups.join(', ')}`);
    }
    for (const { from, to, reason } of sink.gaps) add(who, 'degraded', `gap ${from}–${to}: ${reason}`);
  }
  return lines.length === 0 ? [] : ['', ...lines];
}

/** Columns as wide as their widest cell; the first row is the heading. */
export function table(paint: Painter, rows: readonly (readonly string[])[]): string[] {
  const width = (text: string): number => stripVTControlCharacters(text).length;
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => width(row[column]!))));
  return rows.map((row, index) => {
    const cells = row.map((cell, column) => cell + ' '.repeat(widths[column]! - width(cell)));
    const line = cells.join('  ').trimEnd();
    return index === 0 ? paint('dim', line) : line;
  });
}

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

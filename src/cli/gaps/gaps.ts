// `tailrace gaps list | show | accept`: ranges of the WAL of which not every change is here, with the SQL to look at them.
import { inOneLine } from '../../core/json.ts';
import type { GapDocument } from '../../pipeline/service/gap-document.ts';
import { table, widthOf } from '../layout.ts';
import { EXIT, painterFor, writeJson, writeLine, type CliPorts } from '../ports.ts';
import type { ServiceOptions } from '../service-client.ts';
import { gapWith, withGaps, type FoundGap } from './ports.ts';

export type ListGapsOptions = ServiceOptions & { readonly all?: boolean };

/** Those that nobody has accepted, or all. */
export async function listGaps(options: ListGapsOptions, ports: CliPorts): Promise<number> {
  const gaps = await withGaps(options, ports, async (store) => {
    const found = await store.list();
    return options.all === true ? found : found.filter((gap) => gap.accepted_at === null);
  });
  if (options.json === true) writeJson(ports.stdout, { gaps }, 2);
  else if (gaps.length === 0) {
    writeLine(ports.stdout, options.all === true ? 'no gaps' : 'no gaps that wait to be accepted');
  } else for (const line of rendered(gaps, ports)) writeLine(ports.stdout, line);
  return EXIT.ok;
}

export async function showGap(id: number, options: ServiceOptions, ports: CliPorts): Promise<number> {
  const gap = await withGaps(options, ports, async (store) => gapWith(id, await store.list()));
  if (options.json === true) {
    writeJson(ports.stdout, gap, 2);
    return EXIT.ok;
  }
  const paint = painterFor(ports.stdout, ports.env);
  const { look, ...fields } = gap;
  for (const [name, value] of Object.entries(fields)) {
    writeLine(ports.stdout, `${paint('dim', `${name}:`.padEnd(13))} ${textOf(name, value)}`);
  }
  writeLine(ports.stdout, paint('dim', 'look:'));
  for (const sql of look) writeLine(ports.stdout, sql);
  return EXIT.ok;
}

/** All or none: what is not there is found out before the first is accepted. */
export async function acceptGaps(
  ids: readonly number[],
  options: ServiceOptions,
  ports: CliPorts,
): Promise<number> {
  const { gaps, stopped } = await withGaps(options, ports, async (store) => {
    const all = await store.list();
    const found = ids.map((id) => gapWith(id, all));
    const accepted: FoundGap[] = [];
    for (const gap of found) accepted.push(await store.accept(gap));
    return { gaps: accepted, stopped: store.stopped };
  });
  if (options.json === true) {
    writeJson(ports.stdout, { gaps }, 2);
    return EXIT.ok;
  }
  const then = stopped
    ? 'the sinks that it concerns go on at the next start'
    : 'the sinks that it concerns go on';
  for (const { id, database, name } of gaps) {
    writeLine(ports.stdout, `gap ${id} of ${database} (${name}) is accepted: ${then}`);
  }
  return EXIT.ok;
}

const textOf = (name: string, value: unknown): string => {
  if (name === 'to' && value === null) return 'now (its cause goes on)';
  if (name === 'tables' && value === null) return 'any';
  if (name === 'sink' && value === null) return 'every one that reads these tables';
  if (name === 'accepted_at' && value === null) return 'by nobody yet';
  if (name === 'repair') return repairText(value as GapDocument['repair']);
  return inOneLine(Array.isArray(value) ? value.join(', ') : String(value));
};

const repairText = (repair: GapDocument['repair']): string => {
  if (repair === null) return 'none';
  const { backfill, state, rows, ended_at: endedAt } = repair;
  return `backfill ${backfill} ${state}${endedAt === null ? '' : ` at ${endedAt}`}, ${rows} rows sent again`;
};

function rendered(gaps: readonly FoundGap[], ports: CliPorts): string[] {
  const rows = [
    ['ID', 'DATABASE', 'FROM', 'TO', 'CAUSE', 'TABLES', 'SINCE', 'STATE', 'REASON'],
    ...gaps.map((gap) => [
      String(gap.id),
      gap.database,
      gap.from,
      gap.to ?? 'now',
      gap.cause,
      gap.tables?.join(', ') ?? 'any',
      gap.since,
      `${gap.accepted_at === null ? 'open' : 'accepted'}${gap.repair?.state === 'completed' ? ', repaired' : ''}`,
      gap.reason,
    ]),
  ];
  return table(painterFor(ports.stdout, ports.env), rows, widthOf(ports.stdout));
}

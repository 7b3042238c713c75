// `tailrace repair`: the rows that a gap can concern are read again.
import type { StartedRepair } from '../../pipeline/service/repairs.ts';
import { readKeysFile } from '../backfill/keys-file.ts';
import { table as aligned, widthOf } from '../layout.ts';
import { EXIT, painterFor, usageError, writeJson, writeLine, type CliPorts } from '../ports.ts';
import {
  askAll,
  connectToService,
  databasePath,
  type ServiceClient,
  type ServiceOptions,
} from '../service-client.ts';
import type { GapDocument } from '../../pipeline/service/gap-document.ts';

export type RepairOptions = ServiceOptions & {
  readonly gap?: number;
  readonly dryRun?: boolean;
  readonly whole?: boolean;
  readonly orphans?: boolean;
  readonly keys?: string;
  readonly table?: string;
};

/** Its tables are looked at on the server first, one after the other. */
const LOOK_TIMEOUT_MS = 5 * 60_000;

export async function repair(database: string, options: RepairOptions, ports: CliPorts): Promise<number> {
  const { keys: file, table } = options;
  if ((file === undefined) !== (table === undefined))
    throw usageError('--keys and --table go together', 'give the file, and the table whose keys are in it');
  if (options.orphans === true && [options.gap, options.whole, file].some((one) => one !== undefined))
    throw usageError('--orphans is of no gap', 'leave --gap, --whole and --keys out');
  const keys = file === undefined ? undefined : { table, keys: await readKeysFile(file, ports.cwd) };
  const service = await connectToService(options, ports);
  if (options.orphans === true) return repairOrphans(database, service, options, ports);
  const path = `${databasePath(database)}/gaps`;
  const gap = options.gap ?? onlyGap(await askAll<GapDocument>(service, path, 'gaps'));
  const { dryRun = false, whole = false } = options;
  const answer = await service.ask(`${path}/${gap}/repair`, {
    method: 'POST',
    body: { dry_run: dryRun, whole, ...(keys && { keys }) },
    timeoutMs: LOOK_TIMEOUT_MS,
  });
  const started = answer as unknown as StartedRepair;
  if (options.json === true) writeJson(ports.stdout, started, 2);
  else show(started, ports);
  return EXIT.ok;
}

async function repairOrphans(
  database: string,
  service: ServiceClient,
  options: RepairOptions,
  ports: CliPorts,
): Promise<number> {
  const answer = await service.ask(`${databasePath(database)}/orphans/repair`, {
    method: 'POST',
    body: { dry_run: options.dryRun ?? false },
    timeoutMs: LOOK_TIMEOUT_MS,
  });
  if (options.json === true) writeJson(ports.stdout, answer, 2);
  else show(answer as unknown as StartedRepair, ports);
  return EXIT.ok;
}

function onlyGap(gaps: readonly GapDocument[]): number {
  const left = gaps.filter(({ to, repair }) => to !== null && repair?.state !== 'completed');
  const [gap] = left;
  if (gap !== undefined && left.length === 1) return gap.id;
  throw usageError(
    gap === undefined ? 'there is no gap to repair' : 'there are several gaps',
    gap === undefined
      ? 'tailrace gaps list --all shows every gap, and which goes on'
      : `name one with --gap: ${left.map(({ id, name }) => `${id} (${name})`).join(', ')}`,
  );
}

function show({ gap, backfill, sinks, tables, notes }: StartedRepair, ports: CliPorts): void {
  const paint = painterFor(ports.stdout, ports.env);
  const what = gap === null ? 'what lost histories have left' : `gap ${gap}`;
  const rows = [
    ['TABLE', 'ROWS TO READ', 'OF WHICH ARE SENT', 'KEYS TO LOOK FOR'],
    ...tables.map((each) => [
      each.table,
      each.estimated_rows === null ? '-' : `about ${Math.round(each.estimated_rows).toLocaleString('en-US')}`,
      each.where ?? 'all',
      each.looked_for === 0 ? '-' : each.looked_for.toLocaleString('en-US'),
    ]),
  ];
  for (const line of aligned(paint, rows, widthOf(ports.stdout))) writeLine(ports.stdout, line);
  for (const note of notes) writeLine(ports.stderr, `note: ${note}`);
  if (backfill === null) {
    writeLine(ports.stdout, `${what} would be repaired for ${sinks.join(', ')}; nothing was begun`);
    return;
  }
  writeLine(ports.stdout, `backfill ${backfill} repairs ${what} for ${sinks.join(', ')}`);
  writeLine(ports.stdout, `tailrace backfill show ${backfill} --watch says how far it is`);
}

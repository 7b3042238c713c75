// `tailrace rewind`: a sink is sent again what the log has, all of it from a place on, or what it has of some rows.
import { countText } from './status-table.ts';
import type { StartedRowRewind } from '../pipeline/service/row-rewinds.ts';
import { parseKey } from './backfill/keys-file.ts';
import { EXIT, usageError, writeJson, writeLine, type CliPorts } from './ports.ts';
import { connectToService, type ServiceClient, type ServiceOptions } from './service-client.ts';
import { nameOf, sinkPath } from './sink-commands.ts';

export type RewindOptions = ServiceOptions & {
  readonly to?: string;
  readonly toRow?: readonly string[];
  readonly where?: string;
  readonly table?: string;
  readonly dryRun?: boolean;
  readonly cancel?: boolean;
};

/** The log is read through, and the server asked. */
const LOOK_TIMEOUT_MS = 10 * 60_000;

export async function rewind(sink: string, options: RewindOptions, ports: CliPorts): Promise<number> {
  const { to, toRow, where, table, dryRun = false, cancel } = options;
  const ways = [to, toRow, where, cancel].filter((way) => way !== undefined);
  if (ways.length !== 1)
    throw usageError('say where to: --to, --to-row, --where, or --cancel', 'give one of them');
  if ((where === undefined) !== (table === undefined))
    throw usageError('--where and --table go together', 'give the condition, and the table that it is of');
  if (dryRun && (to !== undefined || cancel === true))
    throw usageError('--dry-run goes with --to-row and --where', 'leave it out');
  const rows = toRow === undefined ? undefined : rowOf(toRow);
  const service = await connectToService(options, ports);
  if (to !== undefined) return rewindTo(to, { sink, service, options, ports });
  if (cancel === true) return cancelRows({ sink, service, options, ports });
  const wish = rows ?? { table, where };
  return rewindRows({ ...wish, dry_run: dryRun }, { sink, service, options, ports });
}

type Asked = {
  readonly sink: string;
  readonly service: ServiceClient;
  readonly options: RewindOptions;
  readonly ports: CliPorts;
};

/** The table, then a value for each column of the key, or one JSON array of them. Throws USAGE. */
function rowOf([table, ...values]: readonly string[]): {
  readonly table: string;
  readonly key: readonly string[];
} {
  const [first] = values;
  if (table === undefined || first === undefined)
    throw usageError('--to-row needs a table and a key', 'as in --to-row public.users 17');
  return { table, key: values.length === 1 ? parseKey(first, '--to-row') : values };
}

async function rewindTo(to: string, { sink, service, options, ports }: Asked): Promise<number> {
  const answer = await service.ask(`${sinkPath(sink)}/rewind`, { method: 'POST', body: { to } });
  if (options.json === true) {
    writeLine(ports.stdout, JSON.stringify(answer));
    return EXIT.ok;
  }
  const { from, rewinds, withdrawn_dead_letters: withdrawn } = answer;
  writeLine(ports.stdout, `${nameOf(answer)} is rewound: it delivers again from LSN ${String(from)} on`);
  writeLine(
    ports.stdout,
    `rewind ${String(rewinds)} of this sink; ${String(withdrawn)} dead letters from there on are withdrawn`,
  );
  return EXIT.ok;
}

async function cancelRows({ sink, service, options, ports }: Asked): Promise<number> {
  const path = `${sinkPath(sink)}/rewind_rows/cancel`;
  const answer = await service.ask(path, { method: 'POST', body: {} });
  if (options.json === true) {
    writeJson(ports.stdout, answer, 2);
    return EXIT.ok;
  }
  const count = Number(answer['cancelled']);
  writeLine(ports.stdout, `${nameOf(answer)}: ${count} rewinds of rows are cancelled`);
  if (count > 0)
    writeLine(
      ports.stderr,
      'note: rows of which only older changes came again stand as these say: rewind them again, or read them with tailrace backfill start',
    );
  return EXIT.ok;
}

async function rewindRows(body: object, { sink, service, options, ports }: Asked): Promise<number> {
  const answer = await service.ask(`${sinkPath(sink)}/rewind_rows`, {
    method: 'POST',
    body,
    timeoutMs: LOOK_TIMEOUT_MS,
  });
  if (options.json === true) {
    writeJson(ports.stdout, answer, 2);
    return EXIT.ok;
  }
  const { id, rows, changes, since, table, read, backfills, notes } = answer as unknown as StartedRowRewind;
  const verb = options.dryRun === true ? 'would be sent' : 'are sent';
  const say = (text: string): void => void writeLine(ports.stdout, text);
  say(
    changes === 0
      ? `the log has no change of these rows of ${table} that ${nameOf(answer)} takes`
      : `${countText(changes)} changes of ${countText(rows)} rows of ${table}, since ${since}, ${verb} again to ${nameOf(answer)}`,
  );
  const reads = [
    ...(read === null || read.keys === 0
      ? []
      : [`${countText(read.keys)} rows that the log does not have from their beginning on`]),
    ...(read?.where == null ? [] : ['the rows that the condition is true of now']),
  ];
  if (reads.length > 0)
    say(
      `${reads.join(', and ')} ${options.dryRun === true ? 'would come' : 'come'} as they are in the table`,
    );
  for (const note of notes) writeLine(ports.stderr, `note: ${note}`);
  if (id !== null) say('tailrace status says how far it is');
  for (const backfill of backfills) say(`tailrace backfill show ${backfill} --watch says how far reading is`);
  return EXIT.ok;
}

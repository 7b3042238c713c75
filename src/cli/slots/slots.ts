// `tailrace slots list` and `tailrace slots drop`: what the servers keep for Tailrace, and how it is ended.
import { lockDirectory } from '../../data-directory/lock.ts';
import { dropSlots, findSlots, type PlacedSlot } from '../../pipeline/service/slots.ts';
import { openStore } from '../../store/sqlite.ts';
import { loadConfiguration } from '../configuration.ts';
import { table, widthOf } from '../layout.ts';
import { databaseNamed } from '../named.ts';
import { EXIT, painterFor, writeJson, writeLine, type CliPorts } from '../ports.ts';
import { formatBytes } from '../status-table.ts';

export type ListSlotsOptions = { readonly config?: string; readonly json?: boolean };

/** Ends with 1 where a host could not be asked. */
export async function listSlots(options: ListSlotsOptions, ports: CliPorts): Promise<number> {
  const { settings } = await loadConfiguration(options, ports);
  const slots = (await Promise.all(settings.databases.map((database) => findSlots(database)))).flat();
  print(slots, options, ports);
  return slots.some(({ fault }) => fault !== undefined) ? EXIT.no : EXIT.ok;
}

export type DropSlotsOptions = ListSlotsOptions & {
  readonly dataDir?: string;
  readonly everywhere?: boolean;
  readonly yes?: boolean;
};

/** While the service does not run: it would make them anew. Ends with 1 where one is left, and without `--yes`. */
export async function dropDatabaseSlots(
  name: string,
  options: DropSlotsOptions,
  ports: CliPorts,
): Promise<number> {
  const { settings } = await loadConfiguration(options, ports);
  const database = databaseNamed(name, settings);
  const everywhere = options.everywhere === true;
  const lock = lockDirectory(settings.dataDir);
  const store = openStore(settings.state.file);
  try {
    if (options.yes !== true) {
      const slots = await findSlots(database, store.standbySlots.list(name));
      const meant = slots.filter(
        ({ found, role }) => found !== undefined && (everywhere || role === 'standby'),
      );
      print(slots, options, ports);
      if (options.json !== true)
        writeLine(
          ports.stdout,
          `nothing is changed yet: the same with --yes drops ${meant.length === 0 ? 'none' : meant.map(({ slot, host }) => `"${slot}" on ${host}`).join(', ')}`,
        );
      return EXIT.no;
    }
    const slots = await dropSlots(database, { store: store.standbySlots, everywhere });
    print(slots, options, ports);
    return slots.some(({ fault }) => fault !== undefined) ? EXIT.no : EXIT.ok;
  } finally {
    store.close();
    lock.release();
  }
}

function print(slots: readonly PlacedSlot[], { json }: ListSlotsOptions, { stdout, env }: CliPorts): void {
  if (json === true) {
    writeJson(stdout, { slots: slots.map(toJson) }, 2);
    return;
  }
  const rows = slots.map((placed) => [
    placed.database,
    placed.host,
    placed.role ?? '-',
    placed.slot,
    stateOf(placed),
    placed.found?.confirmed ?? '-',
    placed.found === undefined ? '-' : formatBytes(placed.found.retainedBytes),
  ]);
  const heading = ['DATABASE', 'HOST', 'ROLE', 'SLOT', 'STATE', 'CONFIRMED', 'KEEPS'];
  for (const line of table(painterFor(stdout, env), [heading, ...rows], widthOf(stdout)))
    writeLine(stdout, line);
  for (const { host, fault } of slots) if (fault !== undefined) writeLine(stdout, `${host}: ${fault}`);
}

function stateOf({ found, dropped, role, fault }: PlacedSlot): string {
  if (dropped) return 'dropped';
  if (role === undefined) return 'not asked';
  if (found === undefined) return fault === undefined ? 'none' : 'unknown';
  return found.active ? 'in use' : 'free';
}

const toJson = ({ database, host, role, slot, found, fault, dropped }: PlacedSlot) => ({
  database,
  host,
  role: role ?? null,
  slot,
  there: found !== undefined && !dropped,
  confirmed: found?.confirmed ?? null,
  active: found?.active ?? false,
  retained_bytes: found?.retainedBytes ?? 0,
  dropped,
  fault: fault ?? null,
});

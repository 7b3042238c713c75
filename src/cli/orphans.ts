// `tailrace status --orphans`: changes that sinks delivered, and that the server's history does not have after a failover or a restore.
import { EXIT, painterFor, writeJson, writeLine, type CliPorts } from './ports.ts';
import { askAll, databasePath, type ServiceClient } from './service-client.ts';
import { isWhole, moreWithToken, readHealth } from './status-document.ts';
import { table, widthOf } from './layout.ts';

type Document = Readonly<Record<string, unknown>>;
type OrphanDocument = {
  readonly sink: string;
  readonly table: string;
  readonly action: string;
  readonly key: string | null;
  readonly position: string;
};
type SinkOfParting = { readonly sink: string; readonly discarded: number; readonly orphaned: number };
type Parting = {
  readonly epoch: number;
  readonly lsn: string;
  readonly reason: string;
  readonly at: string;
  readonly sinks: readonly SinkOfParting[];
};
type Parted = {
  readonly database: string;
  readonly partings: readonly Parting[];
  readonly orphans: readonly OrphanDocument[];
  /** Some are counted only. */
  readonly isWhole: boolean;
};

export async function showOrphans(
  service: ServiceClient,
  { json }: { readonly json?: boolean },
  ports: CliPorts,
): Promise<number> {
  const document = await readHealth(service);
  if (!isWhole(document)) {
    writeLine(ports.stderr, moreWithToken(service));
    return EXIT.no;
  }
  const parted: Parted[] = [];
  for (const { name } of document.databases) parted.push(await partedOf(service, name));
  if (json === true) writeJson(ports.stdout, { databases: parted.map(toJson) }, 2);
  else for (const line of parted.flatMap((it) => rendered(it, ports))) writeLine(ports.stdout, line);
  return EXIT.ok;
}

async function partedOf(service: ServiceClient, database: string): Promise<Parted> {
  const path = databasePath(database);
  const { partings } = (await service.ask(`${path}/partings`)) as { partings: readonly Parting[] };
  const orphans = await askAll<OrphanDocument>(service, `${path}/orphans`, 'orphans');
  // The store lists a bounded number of them.
  const counted = partings.flatMap(({ sinks }) => sinks).reduce((sum, { orphaned }) => sum + orphaned, 0);
  return { database, partings, orphans, isWhole: counted === orphans.length };
}

const toJson = ({ database, partings, orphans, isWhole: complete }: Parted): Document => ({
  database,
  partings,
  orphans,
  all_listed: complete,
});

function rendered({ database, partings, orphans, isWhole: isComplete }: Parted, ports: CliPorts): string[] {
  const paint = painterFor(ports.stdout, ports.env);
  if (partings.length === 0)
    return [`database "${database}": no history has parted, so there are no orphans`];
  const lines = partings.flatMap(({ epoch, lsn, reason, at, sinks }) => [
    `database "${database}": the histories parted at ${lsn} (epoch ${epoch}, found ${at}): ${reason}`,
    ...sinks.map(
      ({ sink, orphaned, discarded }) =>
        `    ${sink}: ${orphaned} orphans delivered, ${discarded} changes not sent`,
    ),
  ]);
  if (orphans.length > 0) {
    const rows = orphans.map(({ sink, table: name, action, key, position }) => [
      sink,
      name,
      action,
      key ?? '',
      position,
    ]);
    lines.push(
      ...table(paint, [['SINK', 'TABLE', 'ACTION', 'KEY', 'POSITION'], ...rows], widthOf(ports.stdout)),
    );
  }
  if (!isComplete) lines.push('the first of each sink and parting are listed; all are counted');
  return lines;
}

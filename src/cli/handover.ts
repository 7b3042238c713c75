// `tailrace drain` and `tailrace databases adopt`: a database moves to another server.
import { setTimeout as sleep } from 'node:timers/promises';
import { lockDirectory } from '../data-directory/lock.ts';
import { TailraceError } from '../core/errors.ts';
import { formatLsn } from '../core/lsn.ts';
import { adopt, planAdoption, type AdoptionPlan } from '../pipeline/service/adopt.ts';
import type { HealthDocument } from '../pipeline/service/health.ts';
import { openStore } from '../store/sqlite.ts';
import { loadConfiguration } from './configuration.ts';
import { databaseNamed } from './named.ts';
import { EXIT, usageError, writeJson, writeLine, type CliPorts } from './ports.ts';
import { connectToService, databasePath, type ServiceClient, type ServiceOptions } from './service-client.ts';
import { isWhole, moreWithToken, readHealth } from './status-document.ts';

export type DrainOptions = ServiceOptions & { readonly database?: string; readonly undo?: boolean };

const LOOK_INTERVAL_MS = 500;

/** Resolves once everything is delivered; interrupted, the service goes on draining. */
export async function drain(options: DrainOptions, ports: CliPorts): Promise<number> {
  const service = await connectToService(options, ports);
  const names = options.database === undefined ? await databaseNames(service) : [options.database];
  const body = { undo: options.undo === true };
  for (const name of names) {
    await service.ask(`${databasePath(name)}/drain`, { method: 'POST', body });
  }
  const tell = (line: string): void => void writeLine(ports.stderr, line);
  const drained = options.undo === true ? [] : await untilDrained(service, names, tell);
  if (options.json === true)
    writeJson(ports.stdout, { databases: drained, undone: options.undo === true }, 2);
  else if (options.undo === true)
    for (const name of names) writeLine(ports.stdout, `database "${name}" is read again`);
  else
    for (const { name, reason } of drained)
      writeLine(ports.stdout, reason ?? `database "${name}" is drained`);
  return EXIT.ok;
}

async function wholeHealth(service: ServiceClient): Promise<HealthDocument> {
  const document = await readHealth(service);
  if (isWhole(document)) return document;
  throw usageError(moreWithToken(service), 'the token of the configuration under api.tokens');
}

async function databaseNames(service: ServiceClient): Promise<string[]> {
  return (await wholeHealth(service)).databases.map(({ name }) => name);
}

async function untilDrained(
  service: ServiceClient,
  names: readonly string[],
  tell: (line: string) => void,
): Promise<{ readonly name: string; readonly reason: string | undefined }[]> {
  const told = new Set<string>();
  for (;;) {
    const { databases, sinks } = await wholeHealth(service);
    for (const line of sinks.flatMap((sink) => (names.includes(sink.database) ? standing(sink) : []))) {
      if (!told.has(line)) tell(line);
      told.add(line);
    }
    const wanted = databases.filter(({ name }) => names.includes(name));
    if (wanted.every(({ state }) => state === 'drained'))
      return wanted.map(({ name, reason }) => ({ name, reason }));
    await sleep(LOOK_INTERVAL_MS);
  }
}

/** A sink that will not have delivered everything, however long somebody waits. */
export function standing({
  database,
  name,
  state,
  status,
  reason,
}: Pick<HealthDocument['sinks'][number], 'database' | 'name' | 'state' | 'status' | 'reason'>): string[] {
  const path = `${database}/${name}`;
  if (state === 'paused') return [`waits for sink "${path}", which is paused: tailrace resume ${path}`];
  if (state === 'disabled')
    return [
      `does not wait for sink "${path}", which is disabled: what it has not had by now it will not have`,
    ];
  if (status !== 'halted') return [];
  return [`waits for sink "${path}", which is halted: ${reason ?? 'tailrace status says why'}`];
}

export type AdoptCommandOptions = {
  readonly config?: string;
  readonly dataDir?: string;
  readonly yes?: boolean;
  readonly nothingMissing?: boolean;
  readonly json?: boolean;
};

/** While the service does not run. Without `--yes` it says what it would do. */
export async function adoptDatabase(
  name: string,
  options: AdoptCommandOptions,
  ports: CliPorts,
): Promise<number> {
  const { settings } = await loadConfiguration(options, ports);
  const database = databaseNamed(name, settings);
  const lock = lockDirectory(settings.dataDir);
  const store = openStore(settings.state.file);
  try {
    const adopting = { settings, database, store, version: ports.version };
    const plan = await planAdoption(adopting);
    if (options.nothingMissing === true && plan.drained === undefined) throw notDrained(name);
    const isDone = options.yes === true;
    const done = isDone
      ? adopt(adopting, plan, { nothingMissing: options.nothingMissing === true })
      : undefined;
    if (options.json === true)
      writeJson(ports.stdout, { ...toJson(plan), adopted: isDone, put_aside: done?.putAside ?? null }, 2);
    else for (const line of describe(plan, options, done?.putAside)) writeLine(ports.stdout, line);
    return isDone ? EXIT.ok : EXIT.no;
  } finally {
    store.close();
    lock.release();
  }
}

const toJson = ({ drained, behind, ...plan }: AdoptionPlan): Readonly<Record<string, unknown>> => ({
  database: plan.database,
  host: plan.host,
  system_identifier: plan.systemIdentifier,
  slot_at: plan.slotAt ?? null,
  log: plan.logDirectory,
  drained: drained === undefined ? null : { ...drained, lsn: formatLsn(drained.lsn) },
  sinks_behind: behind,
});

function describe(
  { database, host, systemIdentifier, slotAt, drained, behind, logDirectory }: AdoptionPlan,
  { nothingMissing }: AdoptCommandOptions,
  putAside: string | undefined,
): string[] {
  const was =
    drained === undefined ? 'not drained' : `drained up to ${formatLsn(drained.lsn)}, at ${drained.at}`;
  const isWhole = nothingMissing === true && behind.length === 0;
  return [
    `database "${database}": the server at ${host} (system identifier ${systemIdentifier}) takes the place of the one before, which was ${was}`,
    slotAt === undefined
      ? 'its slot is not there: Tailrace makes it at its next start, and what is written before that is not delivered'
      : `its slot stands at ${slotAt}: what is committed from there on is delivered`,
    ...(behind.length === 0
      ? []
      : [
          `not all was delivered by ${behind.join(', ')}: what they have not settled by now is not delivered any more`,
        ]),
    isWhole
      ? 'nothing is missing in between, by your word: no gap is declared'
      : 'what lies between the two servers is a gap of each sink, which halts until it is accepted (--nothing-missing: the server before was drained and shut down, and the slot is from before the first write here)',
    putAside === undefined
      ? `nothing is changed yet: the same with --yes puts ${logDirectory} aside and begins a new log, in a new epoch`
      : `the log of the server before is put aside in ${putAside}; start Tailrace now`,
  ];
}

const notDrained = (name: string): TailraceError =>
  new TailraceError(`database "${name}" was not drained: nobody knows what its old server had`, {
    code: 'NOT_DRAINED',
    kind: 'fatal',
    hint: 'run "tailrace drain" on the old server first; or adopt without --nothing-missing, and accept the gap',
  });

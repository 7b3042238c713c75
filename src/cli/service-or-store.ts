// For commands that work with and without a running service: what is asked for is found at the service over HTTP, or, while none runs, in
// the store, under the directory's lock.
import { existsSync } from 'node:fs';
import { TailraceError } from '../core/errors.ts';
import { lockDirectory } from '../data-directory/lock.ts';
import type { ServiceSettings } from '../pipeline/settings.ts';
import { openStore, type Store } from '../store/sqlite.ts';
import { loadConfiguration } from './configuration.ts';
import type { CliPorts } from './ports.ts';
import { connectToService, UNREACHABLE, type ServiceClient, type ServiceOptions } from './service-client.ts';
import { isWhole, readHealth } from './status-document.ts';

export type Places<T> = {
  /** `databases`: their names. */
  readonly atService: (service: ServiceClient, databases: readonly string[]) => Promise<T>;
  /** Nobody else writes there while it runs: a service that starts meanwhile is told that the directory is in use. */
  readonly inStore: (store: Store, settings: ServiceSettings) => Promise<T>;
  /** What is shown, for who may not see it: `gaps`. */
  readonly what: string;
};

/** Nobody answers, or no address is configured where somebody could. */
const OFF: ReadonlySet<string> = new Set([UNREACHABLE, 'STATUS_ADDRESS_UNKNOWN']);

/** Rejects with what the work does, or where neither a service answers nor a store can be opened. */
export async function withServiceOrStore<T>(
  options: ServiceOptions,
  ports: CliPorts,
  { atService, inStore, what }: Places<T>,
): Promise<T> {
  try {
    const service = await connectToService(options, ports);
    return await atService(service, await databasesOf(service, what));
  } catch (error) {
    const isOff = error instanceof TailraceError && OFF.has(error.code);
    // An address that somebody writes is asked, and nothing else.
    if (!isOff || options.url !== undefined) throw error;
    const settings = await loadConfiguration(options, ports).then(
      (loaded) => loaded.settings,
      () => undefined,
    );
    if (settings === undefined) throw error;
    return withStore(settings, (store) => inStore(store, settings));
  }
}

async function databasesOf(service: ServiceClient, what: string): Promise<readonly string[]> {
  const document = await readHealth(service);
  if (isWhole(document)) return document.databases.map(({ name }) => name);
  throw new TailraceError(`${service.url.origin}: ${what} are shown to a token only`, {
    code: 'TOKEN_REFUSED',
    kind: 'fatal',
    hint: 'set TAILRACE_TOKEN',
  });
}

async function withStore<T>(
  { dataDir, state }: ServiceSettings,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  if (!existsSync(state.file)) throw nothingThere(state.file);
  const lock = lockDirectory(dataDir);
  try {
    const store = openStore(state.file, { check: true });
    try {
      return await work(store);
    } finally {
      store.close();
    }
  } finally {
    lock.release();
  }
}

const nothingThere = (file: string): TailraceError =>
  new TailraceError(`no service answers, and there is no store ${file}`, {
    code: 'STORE_MISSING',
    kind: 'fatal',
    hint: 'is the configuration the one that the service runs with (-c, TAILRACE_DATA_DIR), or does it run elsewhere (--url)?',
  });

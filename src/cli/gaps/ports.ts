// Where `tailrace gaps` finds the gaps: at the running service over HTTP, or, while none runs, in the store, under the directory's lock.
import { existsSync } from 'node:fs';
import { wallTime } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import type { Gap } from '../../core/gaps.ts';
import { lockDirectory } from '../../data-directory/lock.ts';
import { gapDocument, type GapDatabase, type GapDocument } from '../../pipeline/service/gap-document.ts';
import type { ServiceSettings } from '../../pipeline/settings.ts';
import { openStore } from '../../store/sqlite.ts';
import { loadConfiguration } from '../configuration.ts';
import type { CliPorts } from '../ports.ts';
import {
  askAll,
  connectToService,
  databasePath,
  UNREACHABLE,
  type ServiceClient,
  type ServiceOptions,
} from '../service-client.ts';
import { isWhole, readHealth } from '../status-document.ts';

export type FoundGap = GapDocument & { readonly database: string };

export type GapStore = {
  /** Does no service run? */
  readonly stopped: boolean;
  /** All that were ever declared, database by database, oldest first. */
  list(): Promise<readonly FoundGap[]>;
  /** Rejects with GAP_UNKNOWN. */
  accept(gap: FoundGap): Promise<FoundGap>;
};

/** Of the store at once. */
const PAGE = 1000;

/** Rejects with what `work` does, or where neither a service answers nor a store can be opened. */
export async function withGaps<T>(
  options: ServiceOptions,
  ports: CliPorts,
  work: (gaps: GapStore) => Promise<T>,
): Promise<T> {
  try {
    const service = await connectToService(options, ports);
    return await work(overHttp(service, await databasesOf(service)));
  } catch (error) {
    const isOff = error instanceof TailraceError && OFF.has(error.code);
    // An address that somebody writes is asked, and nothing else.
    if (!isOff || options.url !== undefined) throw error;
    const settings = await loadConfiguration(options, ports).then(
      (loaded) => loaded.settings,
      () => undefined,
    );
    if (settings === undefined) throw error;
    return inStore(settings, work);
  }
}

/** Nobody answers, or no address is configured where somebody could. */
const OFF: ReadonlySet<string> = new Set([UNREACHABLE, 'STATUS_ADDRESS_UNKNOWN']);

async function databasesOf(service: ServiceClient): Promise<readonly string[]> {
  const document = await readHealth(service);
  if (isWhole(document)) return document.databases.map(({ name }) => name);
  throw new TailraceError(`${service.url.origin}: gaps are shown to a token only`, {
    code: 'TOKEN_REFUSED',
    kind: 'fatal',
    hint: 'set TAILRACE_TOKEN',
  });
}

const pathOf = (database: string): string => `${databasePath(database)}/gaps`;

function overHttp(service: ServiceClient, databases: readonly string[]): GapStore {
  return {
    stopped: false,
    list: async () => {
      const found: FoundGap[] = [];
      for (const database of databases) {
        const gaps = await askAll<GapDocument>(service, pathOf(database), 'gaps');
        found.push(...gaps.map((gap) => ({ database, ...gap })));
      }
      return found;
    },
    accept: async ({ database, id }) => ({
      database,
      ...((await service.ask(`${pathOf(database)}/${id}/accept`, {
        method: 'POST',
        body: {},
      })) as GapDocument),
    }),
  };
}

/** Nobody else writes there while `work` runs: a service that starts meanwhile is told that the directory is in use. */
async function inStore<T>(
  { dataDir, state, databases }: ServiceSettings,
  work: (gaps: GapStore) => Promise<T>,
): Promise<T> {
  if (!existsSync(state.file)) throw nothingThere(state.file);
  const lock = lockDirectory(dataDir);
  try {
    const store = openStore(state.file, { check: true });
    try {
      const known = databases.map(({ name, publication }) => ({ name, publication: publication.name }));
      const documentOf = (database: GapDatabase, gap: Gap): FoundGap => ({
        database: database.name,
        ...gapDocument(gap, database, store),
      });
      const list = async (): Promise<FoundGap[]> =>
        known.flatMap((database) => {
          const all: Gap[] = [];
          for (let page: Gap[] | undefined; page === undefined || page.length === PAGE; all.push(...page)) {
            page = store.gaps.list(database.name, { after: all.at(-1)?.id ?? 0, limit: PAGE });
          }
          return all.map((gap) => documentOf(database, gap));
        });
      return await work({
        stopped: true,
        list,
        accept: async ({ database: name, id }) => {
          const database = known.find((known) => known.name === name)!;
          const accepted = store.gaps.accept(name, id, wallTime());
          if (accepted === undefined) throw unknownGap(id);
          return documentOf(database, accepted);
        },
      });
    } finally {
      store.close();
    }
  } finally {
    lock.release();
  }
}

/** Throws GAP_UNKNOWN. An id is of one gap, whatever the database. */
export function gapWith(id: number, gaps: readonly FoundGap[]): FoundGap {
  const gap = gaps.find((gap) => gap.id === id);
  if (gap === undefined) throw unknownGap(id);
  return gap;
}

const unknownGap = (id: number): TailraceError =>
  new TailraceError(`there is no gap ${id}`, {
    code: 'GAP_UNKNOWN',
    kind: 'fatal',
    hint: 'tailrace gaps list --all shows every gap that was ever declared',
  });

const nothingThere = (file: string): TailraceError =>
  new TailraceError(`no service answers, and there is no store ${file}`, {
    code: 'STORE_MISSING',
    kind: 'fatal',
    hint: 'is the configuration the one that the service runs with (-c, TAILRACE_DATA_DIR), or does it run elsewhere (--url)?',
  });

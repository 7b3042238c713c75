// Where `tailrace gaps` finds the gaps: at the running service, or, while none runs, in the store.
import { wallTime } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import type { Gap } from '../../core/gaps.ts';
import { gapDocument, type GapDatabase, type GapDocument } from '../../pipeline/service/gap-document.ts';
import type { ServiceSettings } from '../../pipeline/settings.ts';
import type { Store } from '../../store/sqlite.ts';
import type { CliPorts } from '../ports.ts';
import { askAll, databasePath, type ServiceClient, type ServiceOptions } from '../service-client.ts';
import { withServiceOrStore } from '../service-or-store.ts';

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
export const withGaps = <T>(
  options: ServiceOptions,
  ports: CliPorts,
  work: (gaps: GapStore) => Promise<T>,
): Promise<T> =>
  withServiceOrStore(options, ports, {
    what: 'gaps',
    atService: (service, databases) => work(overHttp(service, databases)),
    inStore: (store, settings) => work(inStore(store, settings)),
  });

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

function inStore(store: Store, { databases }: ServiceSettings): GapStore {
  const known = databases.map(({ name, publication }) => ({ name, publication: publication.name }));
  const documentOf = (database: GapDatabase, gap: Gap): FoundGap => ({
    database: database.name,
    ...gapDocument(gap, database, store),
  });
  return {
    stopped: true,
    list: async () =>
      known.flatMap((database) => {
        const all: Gap[] = [];
        for (let page: Gap[] | undefined; page === undefined || page.length === PAGE; all.push(...page)) {
          page = store.gaps.list(database.name, { after: all.at(-1)?.id ?? 0, limit: PAGE });
        }
        return all.map((gap) => documentOf(database, gap));
      }),
    accept: async ({ database: name, id }) => {
      const database = known.find((known) => known.name === name)!;
      const accepted = store.gaps.accept(name, id, wallTime());
      if (accepted === undefined) throw unknownGap(id);
      return documentOf(database, accepted);
    },
  };
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

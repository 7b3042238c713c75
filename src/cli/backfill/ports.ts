// Where `tailrace backfill` finds the backfills: at the running service, or, while none runs, in the store.
import { TailraceError } from '../../core/errors.ts';
import { didYouMean, nearestName } from '../../core/nearest-name.ts';
import { backfillDocument, type BackfillDocument } from '../../pipeline/service/backfill-document.ts';
import { moveBackfill, type BackfillMove } from '../../pipeline/service/backfills.ts';
import type { ServiceSettings } from '../../pipeline/settings.ts';
import type { Store } from '../../store/sqlite.ts';
import type { CliPorts } from '../ports.ts';
import { databasePath, type ServiceClient, type ServiceOptions } from '../service-client.ts';
import { withServiceOrStore } from '../service-or-store.ts';

export type FoundBackfill = BackfillDocument & { readonly database: string };

export type BackfillStore = {
  /** Does no service run? */
  readonly stopped: boolean;
  /** Database by database, newest first. */
  list(): Promise<readonly FoundBackfill[]>;
  move(backfill: FoundBackfill, verb: BackfillVerb): Promise<FoundBackfill>;
};

export type BackfillVerb = 'pause' | 'resume' | 'cancel';

const STATES: Readonly<Record<BackfillVerb, BackfillMove>> = {
  pause: 'paused',
  resume: 'waiting',
  cancel: 'cancelled',
};

/** Rejects with what `work` does, or where neither a service answers nor a store can be opened. */
export const withBackfills = <T>(
  options: ServiceOptions,
  ports: CliPorts,
  work: (backfills: BackfillStore) => Promise<T>,
): Promise<T> =>
  withServiceOrStore(options, ports, {
    what: 'backfills',
    atService: (service, databases) => work(atService(service, databases)),
    inStore: (store, settings) => work(inStore(store, settings)),
  });

export const backfillsPath = (database: string): string => `${databasePath(database)}/backfills`;

const atService = (service: ServiceClient, databases: readonly string[]): BackfillStore => ({
  stopped: false,
  list: async () => {
    const found: FoundBackfill[] = [];
    for (const database of databases) {
      const { backfills } = await service.ask(backfillsPath(database));
      found.push(...(backfills as BackfillDocument[]).map((backfill) => ({ database, ...backfill })));
    }
    return found;
  },
  move: async ({ database, id }, verb) => {
    const path = `${backfillsPath(database)}/${encodeURIComponent(id)}/${verb}`;
    return {
      database,
      ...((await service.ask(path, { method: 'POST', body: {} })) as unknown as BackfillDocument),
    };
  },
});

const inStore = ({ backfills }: Store, { databases }: ServiceSettings): BackfillStore => ({
  stopped: true,
  list: async () =>
    databases.flatMap(({ name: database }) =>
      backfills.list(database).map((backfill) => ({ database, ...backfillDocument(backfill) })),
    ),
  move: async ({ database, id }, verb) => ({
    database,
    ...backfillDocument(moveBackfill(backfills, { database, id }, STATES[verb])),
  }),
});

/** Throws BACKFILL_UNKNOWN. An id is of one backfill, whatever the database. */
export function backfillWith(id: string, backfills: readonly FoundBackfill[]): FoundBackfill {
  const found = backfills.find((backfill) => backfill.id === id);
  if (found !== undefined) return found;
  const nearest = nearestName(
    id,
    backfills.map((backfill) => backfill.id),
  );
  throw new TailraceError(`there is no backfill ${id}${didYouMean(nearest)}`, {
    code: 'BACKFILL_UNKNOWN',
    kind: 'fatal',
    hint: 'tailrace backfill list shows those that there are',
  });
}

// `tailrace check --database`: what the configuration names, looked for in the databases.
import type { LoadedSettings } from '../config/load.ts';
import { inspectMessages } from '../pipeline/intake/columns/inspection.ts';
import { inspectFilters } from '../pipeline/intake/where-server/inspection.ts';
import { inspectRoutes } from '../pipeline/intake/route-identity.ts';
import { sinkNamesOf } from '../pipeline/source/wanted-names.ts';
import type { Finding } from '../postgres/preflight/finding.ts';
import { inspectDatabase } from '../postgres/preflight/wanted.ts';

export type Said = Pick<Finding, 'code' | 'title' | 'detail' | 'cure'> & { readonly database: string };

/** What the configuration names and the databases do not have is a fault; what is unfit there is not the configuration's. */
export type Asked = { readonly names: readonly Said[]; readonly unfit: readonly Said[] };

/** Rejects where a database cannot be asked. */
export async function askDatabases({ settings }: LoadedSettings): Promise<Asked> {
  const names: Said[] = [];
  const unfit: Said[] = [];
  for (const database of settings.databases) {
    const said = ({ code, title, detail, cure }: Finding): Said => ({
      database: database.name,
      code,
      title,
      detail,
      ...(cure !== undefined && { cure }),
    });
    const found = await inspectDatabase(database, sinkNamesOf(settings, database));
    const inspected = [
      ...(await inspectFilters(database, settings.sinks)),
      ...(await inspectMessages(database, settings.sinks)),
      ...(await inspectRoutes(database, settings.sinks)),
    ];
    const ofSeverity = (wanted: Finding['severity']): readonly Finding[] =>
      inspected.filter(({ ok, severity }) => !ok && severity === wanted);
    names.push(...[...found.names, ...ofSeverity('error')].map(said));
    unfit.push(...[...found.unfit, ...ofSeverity('warning')].map(said));
  }
  return { names, unfit };
}

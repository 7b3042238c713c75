// What the sinks want of a database, looked up in its catalog.
import type { Client } from 'pg';
import { isOpen, selects } from '../../core/selection.ts';
import { namesMore, type SinkNames } from '../../core/wanted-names.ts';
import { closeConnection } from '../connection/connection.ts';
import { findServer } from '../connection/standbys.ts';
import { connectionFault } from '../connection/fault.ts';
import type { DatabaseSettings } from '../settings.ts';
import type { Finding } from './finding.ts';
import {
  columnFaults,
  inspectColumns,
  inspectUnmatched,
  readColumns,
  tablesWithColumns,
  unmatchedNames,
} from './names.ts';
import { carried, isOurs, readPublication, type Publication } from './publication.ts';
import { inspectTables, wantedNames, type WantedTables } from './table-findings.ts';
import { isFit, listTables, readOthers, readTables, tableKey } from './tables.ts';

export type Carrying = {
  readonly settings: DatabaseSettings;
  readonly publication: Publication | undefined;
};

/** The tables that the sinks want, as they are now, and what they name that is not there. */
export async function readWanted(
  client: Client,
  sinks: readonly SinkNames[],
  { settings, publication }: Carrying,
): Promise<WantedTables> {
  const asksForAll = sinks.some(isOpen) || namesMore(sinks);
  const listed = asksForAll ? await listTables(client) : [];
  const { named, all, open } = wantedNames(sinks, listed);
  const states = (await readTables(client, all)).map((state) => ({
    ...state,
    assured: sinks.some((it) => it.partitionsHaveIdentity === true && selects(it, state)),
  }));
  const known = new Set(states.map(tableKey));
  const missing = named.filter((name) => !known.has(tableKey(name)));
  const existing = asksForAll || missing.length === 0 ? listed : await listTables(client);
  const others = await readOthers(client, missing);
  const unmatched = asksForAll ? unmatchedNames(sinks, existing) : [];
  // Of a table whose rows do not come, nobody misses a column.
  const isOwn = isOurs(publication, settings);
  const coming = states.filter(
    (state) =>
      ((publication === undefined || isOwn) && isFit(state)) ||
      (publication !== undefined && carried(publication, state) !== 'none'),
  );
  const columns = await readColumns(client, tablesWithColumns(sinks, coming), publication);
  return { named, states, open, existing, others, unmatched, columnFaults: columnFaults(sinks, columns) };
}

/** Of the findings of tables, those of a name in the configuration. */
const NOT_THERE: readonly string[] = ['TABLE_MISSING', 'TABLE_WITHOUT_CHANGES'];

/** A table that Postgres refuses UPDATE and DELETE on, or would if it were published. */
const UNFIT = 'TABLE_WITHOUT_IDENTITY';

export type Inspected = {
  /** What the configuration names and the database does not have. */
  readonly names: readonly Finding[];
  /** Tables on which writes of the application fail, or that are left out so that they do not. */
  readonly unfit: readonly Finding[];
};

/** For `tailrace check`: does the configuration fit the database? Rejects where it cannot be asked. */
export async function inspectDatabase(
  settings: DatabaseSettings,
  sinks: readonly SinkNames[],
): Promise<Inspected> {
  const { client, target } = await findServer(settings);
  try {
    const publication = await readPublication(client, settings.publication.name);
    const wanted = await readWanted(client, sinks, { settings, publication });
    const missing = inspectTables(wanted, undefined, settings).filter(({ code }) => NOT_THERE.includes(code));
    return {
      names: [...missing, ...inspectUnmatched(wanted.unmatched), ...inspectColumns(wanted.columnFaults)],
      unfit: inspectTables(wanted, publication, settings).filter(({ code }) => code === UNFIT),
    };
  } catch (error) {
    throw connectionFault(error, settings, target);
  } finally {
    await closeConnection(client);
  }
}

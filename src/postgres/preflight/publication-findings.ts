// What is said of the publication as such: there, to be made, or to be made by somebody who may. Whoever owns the tables makes it: a role
// that only reads the WAL needs no right in the database but CONNECT.
// https://www.postgresql.org/docs/current/logical-replication-security.html
import { escapeIdentifier } from 'pg';
import type { TableName } from '../../core/selection.ts';
import { failed, passed, warned, type Finding } from './finding.ts';
import { createPublicationSql, SEND_STORED } from './publication-changes.ts';
import type { Publication } from './publication.ts';
import type { DatabaseSettings } from '../settings.ts';
import { isFit, needsStored, type WantedTable } from './tables.ts';

/** Of more tables than these no statement is printed whole. */
const MAX_LISTED = 20;

/** Making a publication by hand, in words: who does it, and by which statement. */
export type Making = {
  readonly cure: string;
  /** Does our role own all that it would carry? */
  readonly ownTables: boolean;
};

/** A publication that does not exist, of the tables that the sinks want. */
export function makingOf(
  { publication: { name } }: DatabaseSettings,
  { named, states }: { readonly named: readonly TableName[]; readonly states: readonly WantedTable[] },
): Making {
  const fit = states.filter(isFit);
  const options = needsStored(fit) ? [SEND_STORED] : [];
  const owners = new Set(fit.map(({ owner }) => owner));
  const [owner] = owners;
  const byOwner = owner !== undefined && owners.size === 1 && fit.every((state) => state.ownerMayPublish);
  const who = byOwner ? `the owner of the tables ("${owner}")` : 'a superuser';
  // Names that nobody has show what to write once they are there.
  const tables = fit.length > 0 ? fit : named;
  const sql = createPublicationSql(name, tables.slice(0, MAX_LISTED), options);
  const rest = tables.length === 0 ? ' FOR TABLE …' : tables.length > MAX_LISTED ? ' (and the others)' : '';
  return { cure: `as ${who}: ${sql}${rest};`, ownTables: fit.every((state) => state.owned) };
}

type Subject = {
  readonly settings: DatabaseSettings;
  readonly making: Making;
  /** Has our role CREATE on the database? */
  readonly mayCreate: boolean;
};

/** The publication as such. */
export function inspectPublication(publication: Publication | undefined, subject: Subject): Finding {
  const title = `publication "${subject.settings.publication.name}"`;
  if (publication === undefined) return inspectMissing(title, subject);
  const missing = ['insert', 'update', 'delete'].filter((action) => !publication.publishes.includes(action));
  if (missing.length > 0) {
    return warned({
      code: 'PUBLICATION_PARTIAL',
      title,
      detail: `it does not publish ${missing.join(', ')}`,
      cure: `ALTER PUBLICATION ${escapeIdentifier(publication.name)} SET (publish = 'insert, update, delete, truncate');`,
    });
  }
  const count = publication.tables.length;
  return passed(title, count === 1 ? '1 table' : `${count} tables`);
}

function inspectMissing(title: string, { settings, making, mayCreate }: Subject): Finding {
  const { createIfNotExists, initSql } = settings.publication;
  if (!createIfNotExists && initSql === undefined) {
    return failed({
      code: 'PUBLICATION_MISSING',
      title,
      detail: `it does not exist in database "${settings.database}"`,
      cure: `${making.cure} or publication.create_if_not_exists: true`,
    });
  }
  if (mayCreate) {
    const how = initSql === undefined ? ' and will be made' : '; publication.init_sql will be run';
    return passed(title, `does not exist yet${how}`);
  }
  const grant = `as the owner of the database: GRANT CREATE ON DATABASE ${escapeIdentifier(settings.database)} TO ${escapeIdentifier(settings.username)};`;
  const fault = {
    code: 'PUBLICATION_NOT_ALLOWED',
    title,
    detail: `it does not exist, and role "${settings.username}" may not make it: it has no CREATE on database "${settings.database}"`,
    cure: making.ownTables ? `${grant} or ${making.cure}` : `${making.cure} or ${grant}`,
  };
  // SQL of the user's may go another way: a function of the owner's, or SET ROLE.
  return initSql === undefined ? failed(fault) : warned(fault);
}

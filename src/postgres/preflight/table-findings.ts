// What is said of the publication and of each table that a sink wants: fit, left out, or missing, with the cure.
import { escapeIdentifier } from 'pg';
import {
  formatTableName,
  isOpen,
  namedTables,
  selects,
  type Selection,
  type TableName,
} from '../../core/selection.ts';
import { failed, passed, warned, type Finding } from './finding.ts';
import { addTableSql, isOurs, type Publication } from './publication.ts';
import type { DatabaseSettings } from '../settings.ts';
import { quoteTable, tableKey, type TableState } from './tables.ts';

/** Of tables that only a pattern takes, those with a fault are told one by one up to this number. */
const MAX_PATTERN_FAULTS = 20;

/** The tables that the sinks of a database want. */
export type WantedTables = {
  /** By name, whether they exist or not. */
  readonly named: readonly TableName[];
  /** Those that exist, by name or by a pattern. */
  readonly states: readonly TableState[];
  /** Does a sink take tables without naming them? */
  readonly open: boolean;
};

/** The names that `selections` take: those in the lists, and of `existing` those that a pattern matches. */
export function wantedNames(
  selections: readonly Selection[],
  existing: readonly TableName[],
): { readonly named: readonly TableName[]; readonly all: readonly TableName[]; readonly open: boolean } {
  const distinct = (names: readonly TableName[]): TableName[] => [
    ...new Map(names.map((name) => [tableKey(name), name])).values(),
  ];
  const named = distinct(selections.flatMap(namedTables));
  const matching = existing.filter((name) => selections.some((selection) => selects(selection, name)));
  return { named, all: distinct([...named, ...matching]), open: selections.some(isOpen) };
}

type Subject = {
  readonly settings: DatabaseSettings;
  readonly publication: Publication | undefined;
  readonly published: ReadonlySet<string>;
};

/** Each wanted table: there, in the publication (or to be added), fit for UPDATE and DELETE. */
export function inspectTables(
  wanted: WantedTables,
  publication: Publication | undefined,
  settings: DatabaseSettings,
): readonly Finding[] {
  const subject: Subject = {
    settings,
    publication,
    published: new Set((publication?.tables ?? []).map(tableKey)),
  };
  const states = new Map(wanted.states.map((state) => [tableKey(state), state]));
  const named = new Set(wanted.named.map(tableKey));
  const findings = wanted.named.map((name) => {
    const state = states.get(tableKey(name));
    return state === undefined ? missingTable(name, subject) : inspectTable(state, true, subject);
  });
  if (publication?.tables.length === 0) findings.push(emptyPublication(publication, settings));
  // Patterns select among the tables of a publication that somebody else keeps: what it lacks is nobody's fault.
  const isCandidate = (key: string): boolean => publication?.kept !== false || subject.published.has(key);
  const matched = wanted.states
    .map((state) => [tableKey(state), state] as const)
    .filter(([key]) => !named.has(key) && isCandidate(key))
    .map(([, state]) => state);
  if (!wanted.open && matched.length === 0) return findings;
  const others = matched.map((state) => inspectTable(state, false, subject));
  const faults = others.filter((finding) => !finding.ok);
  const more = faults.length - MAX_PATTERN_FAULTS;
  const fit = `${others.length - faults.length} tables fit the sinks' patterns`;
  return [
    ...findings,
    passed('tables', more > 0 ? `${fit}; ${more} more than those below do not` : fit),
    ...faults.slice(0, MAX_PATTERN_FAULTS),
  ];
}

const emptyPublication = (publication: Publication, settings: DatabaseSettings): Finding =>
  warned({
    code: 'PUBLICATION_EMPTY',
    title: `publication "${publication.name}"`,
    detail: 'it carries no table, so no change will come',
    cure: isOurs(publication, settings)
      ? 'create the tables that the sinks want, each with a primary key: they join it by themselves'
      : `ALTER PUBLICATION ${escapeIdentifier(publication.name)} ADD TABLE …;`,
  });

function inspectTable(state: TableState, named: boolean, subject: Subject): Finding {
  const { settings, publication, published } = subject;
  const title = `table "${formatTableName(state)}"`;
  const isPublished = published.has(tableKey(state));
  const ours = publication === undefined || isOurs(publication, settings);
  // A publication of ours leaves tables without an identity out, so that UPDATE goes on working there.
  if (!state.hasIdentity && (isPublished || ours)) return withoutIdentity(state, isPublished);
  if (isPublished) return passed(title, 'published');
  if (publication !== undefined && !ours) {
    return warned({
      code: 'TABLE_NOT_PUBLISHED',
      title,
      detail: `publication "${publication.name}" does not carry it${partitionHint(state, publication)}, so no change of it will come`,
      cure: addTableSql(publication.name, state),
    });
  }
  if (!state.owned) return notOwned(state, named, subject);
  return passed(title, 'will be published');
}

const partitionHint = (state: TableState, publication: Publication): string =>
  state.partitioned && !publication.viaRoot ? ' as a whole (publish_via_partition_root is off)' : '';

/**
 * Of a publication that is there already, one table that is gone (dropped, renamed) must not keep all others from
 * being followed: a warning. When it is about to be made, a name that nobody has is an error in the configuration.
 */
function missingTable(name: TableName, { settings, publication }: Subject): Finding {
  const title = `table "${formatTableName(name)}"`;
  const detail = `there is no such table in database "${settings.database}"`;
  const cure = 'correct the name in the sink (schema.table, capital letters count), or create the table';
  if (publication === undefined) return failed({ code: 'TABLE_MISSING', title, detail, cure });
  const later = isOurs(publication, settings) ? '; once it is made, it is taken in' : '';
  return warned({ code: 'TABLE_MISSING', title, detail: `${detail}${later}`, cure });
}

function notOwned(state: TableState, named: boolean, { settings, publication }: Subject): Finding {
  const role = escapeIdentifier(settings.username);
  const { name } = settings.publication;
  const fault = {
    code: 'TABLE_NOT_OWNED',
    title: `table "${formatTableName(state)}"`,
    detail: `role "${settings.username}" does not own it, and only an owner may publish a table`,
  };
  const grant = `GRANT ${escapeIdentifier(state.owner)} TO ${role};`;
  if (publication !== undefined) {
    return warned({ ...fault, cure: `${grant} or as a superuser: ${addTableSql(name, state)}` });
  }
  const make = `CREATE PUBLICATION ${escapeIdentifier(name)} FOR TABLE ${quoteTable(state)} WITH (publish_via_partition_root = true);`;
  const cure = `${grant} or as its owner: ${make}`;
  return named ? failed({ ...fault, cure }) : warned({ ...fault, cure });
}

const withoutIdentity = (state: TableState, published: boolean): Finding =>
  warned({
    code: 'TABLE_WITHOUT_IDENTITY',
    title: `table "${formatTableName(state)}"`,
    detail:
      (state.identityNothing
        ? 'its replica identity is NOTHING'
        : 'it has no primary key and no replica identity') +
      (published
        ? ', so Postgres refuses UPDATE and DELETE on it while it is published'
        : ', so it is left out of the publication'),
    cure:
      (state.identityNothing
        ? `ALTER TABLE ${quoteTable(state)} REPLICA IDENTITY DEFAULT; (with a primary key)`
        : `ALTER TABLE ${quoteTable(state)} ADD PRIMARY KEY (…);`) +
      ` or ALTER TABLE ${quoteTable(state)} REPLICA IDENTITY FULL;`,
  });

/** The publication as such. */
export function inspectPublication(
  publication: Publication | undefined,
  settings: DatabaseSettings,
  named: readonly TableName[],
): Finding {
  const { name, createIfNotExists, initSql } = settings.publication;
  const title = `publication "${name}"`;
  if (publication === undefined) {
    if (createIfNotExists) return passed(title, 'does not exist yet and will be made');
    if (initSql !== undefined) return passed(title, 'does not exist yet; publication.init_sql will be run');
    const list = named.length === 0 ? '…' : named.map(quoteTable).join(', ');
    return failed({
      code: 'PUBLICATION_MISSING',
      title,
      detail: `it does not exist in database "${settings.database}"`,
      cure: `CREATE PUBLICATION ${escapeIdentifier(name)} FOR TABLE ${list} WITH (publish_via_partition_root = true); or publication.create_if_not_exists: true`,
    });
  }
  const missing = ['insert', 'update', 'delete'].filter((action) => !publication.publishes.includes(action));
  if (missing.length > 0) {
    return warned({
      code: 'PUBLICATION_PARTIAL',
      title,
      detail: `it does not publish ${missing.join(', ')}`,
      cure: `ALTER PUBLICATION ${escapeIdentifier(name)} SET (publish = 'insert, update, delete, truncate');`,
    });
  }
  return passed(title, `${publication.tables.length} tables`);
}

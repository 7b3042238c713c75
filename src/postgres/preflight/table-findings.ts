// What is said of each table that a sink wants: fit, left out, or missing, with the cure.
import { escapeIdentifier } from 'pg';
import {
  formatTableName,
  isOpen,
  namedTables,
  type Selection,
  type TableName,
} from '../../core/selection.ts';
import { nameFor } from '../../core/partitions.ts';
import { failed, passed, warned, type Finding } from './finding.ts';
import { cureOf, describeFaults } from './identity-cures.ts';
import { addTableSql, SEND_STORED, setOptionSql, UNDER_OWN_NAMES } from './publication-changes.ts';
import { carried, isOurs, type Carried, type Publication } from './publication.ts';
import { didYouMean } from '../../core/nearest-name.ts';
import { nearestTable, type ColumnFault, type UnmatchedName } from './names.ts';
import { makingOf, type Making } from './publication-findings.ts';
import type { DatabaseSettings } from '../settings.ts';
import {
  faultsIn,
  isFit,
  mayPublish,
  tableKey,
  type IdentityFault,
  type ListedTable,
  type OtherRelation,
  type WantedTable,
} from './tables.ts';
import { quoteTable } from '../quoting.ts';

/** Of tables that only a pattern takes, those with a fault are told one by one up to this number. */
const MAX_PATTERN_FAULTS = 20;

/** The tables that the sinks of a database want. */
export type WantedTables = {
  /** By name, whether they exist or not. */
  readonly named: readonly TableName[];
  /** Those that exist, by name or by a pattern. */
  readonly states: readonly WantedTable[];
  /** Does a sink take tables without naming them? */
  readonly open: boolean;
  /** Every table of the database, where something that is named is not there. */
  readonly existing: readonly TableName[];
  /** What else has the name of a table that is named and not there. */
  readonly others: readonly OtherRelation[];
  readonly unmatched: readonly UnmatchedName[];
  readonly columnFaults: readonly ColumnFault[];
};

/**
 * The names that `selections` take: those in the lists, and of `existing` those that a pattern matches. A partition whose rows are read
 * under the name of a table above it is not one of them.
 */
export function wantedNames(
  selections: readonly Selection[],
  existing: readonly ListedTable[],
): { readonly named: readonly TableName[]; readonly all: readonly TableName[]; readonly open: boolean } {
  const distinct = (names: readonly TableName[]): TableName[] => [
    ...new Map(names.map((name) => [tableKey(name), name])).values(),
  ];
  const named = distinct(selections.flatMap(namedTables));
  const matching = existing
    .filter((table) => selections.some((selection) => nameFor(selection, table) === table))
    .map(({ schema, table }) => ({ schema, table }));
  return { named, all: distinct([...named, ...matching]), open: selections.some(isOpen) };
}

type Subject = {
  readonly settings: DatabaseSettings;
  readonly publication: Publication | undefined;
  /** Where there is no publication: how it is made by hand. */
  readonly making: Making;
};

/** Each wanted table: there, in the publication (or to be added), fit for UPDATE and DELETE. */
export function inspectTables(
  wanted: WantedTables,
  publication: Publication | undefined,
  settings: DatabaseSettings,
): readonly Finding[] {
  const subject: Subject = { settings, publication, making: makingOf(settings, wanted) };
  const states = new Map(wanted.states.map((state) => [tableKey(state), state]));
  const named = new Set(wanted.named.map(tableKey));
  const findings = wanted.named.map((name) => {
    const state = states.get(tableKey(name));
    return state === undefined ? missingTable(name, subject, wanted) : inspectTable(state, true, subject);
  });
  if (publication?.tables.length === 0) findings.push(emptyPublication(publication, settings));
  // Patterns select among the tables of a publication that somebody else keeps: what it lacks is nobody's fault.
  const isCandidate = (state: WantedTable): boolean =>
    publication?.kept !== false || carried(publication, state) !== 'none';
  const matched = wanted.states.filter((state) => !named.has(tableKey(state)) && isCandidate(state));
  if (!wanted.open && matched.length === 0) return findings;
  const others = matched.map((state) => inspectTable(state, false, subject));
  const faults = others.filter((finding) => !finding.ok);
  const more = faults.length - MAX_PATTERN_FAULTS;
  const count = others.length - faults.length;
  const fit = `${count === 1 ? '1 table fits' : `${count} tables fit`} the sinks' patterns`;
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

function inspectTable(state: WantedTable, named: boolean, subject: Subject): Finding {
  const { settings, publication } = subject;
  const title = `table "${formatTableName(state)}"`;
  const ours = publication === undefined || isOurs(publication, settings);
  const how = publication === undefined ? 'none' : carried(publication, state);
  // A publication of ours leaves tables that are not fit out, so that UPDATE goes on working there.
  if (ours && how === 'none') {
    if (!isFit(state)) return unfit(state, faultsIn(state, true), false);
    if (mayPublish(state)) return passed(title, 'will be published');
    // Whoever makes it by hand may do so.
    return publication === undefined && !settings.publication.createIfNotExists
      ? passed(title, 'can be published')
      : notPublishable(state, named, subject);
  }
  if (publication === undefined) return passed(title, '');
  switch (how) {
    case 'none':
    case 'part':
      return ours ? passed(title, 'will be published') : notPublished(state, how, publication);
    case 'root':
      return ours ? passed(title, 'will come under its own name') : underItsRoot(state, named, publication);
    case 'whole':
      return inspectPublished(state, publication, ours);
    default:
      return how satisfies never;
  }
}

function inspectPublished(state: WantedTable, publication: Publication, ours: boolean): Finding {
  const title = `table "${formatTableName(state)}"`;
  const hasColumns = publication.columnLists.some((table) => tableKey(table) === tableKey(state));
  // What a list of columns leaves out is for whoever wrote it.
  const faults = faultsIn(state, publication.sendsStored || hasColumns || ours);
  if (faults.length > 0) {
    return faults.every(({ kind }) => kind === 'stored')
      ? unfit(state, faults, true, setOptionSql(publication.name, SEND_STORED))
      : unfit(state, faults, true);
  }
  const [unsent] = state.unsentKeys;
  if (unsent === undefined) return passed(title, state.partitioned ? untold(publication) : 'published');
  return warned({
    code: 'KEY_NOT_SENT',
    title,
    detail: `the key of ${formatTableName(unsent)} has a generated column, which Postgres sends from version 18 on only: a delete comes without it`,
    cure: `ALTER TABLE ${quoteTable(unsent)} REPLICA IDENTITY FULL; and the row comes with its other columns`,
  });
}

/** What no stream shows of partitions. */
const untold = ({ viaRoot }: Publication): string =>
  'published; a partition that is detached or dropped takes its rows along, and no change tells of that' +
  (viaRoot ? ', nor of a TRUNCATE of one partition (publish_via_partition_root)' : '');

function notPublished(state: WantedTable, how: Carried, publication: Publication): Finding {
  const { name } = publication;
  const some = how === 'part' ? ' all of its partitions' : ' it';
  return warned({
    code: 'TABLE_NOT_PUBLISHED',
    title: `table "${formatTableName(state)}"`,
    detail: `publication "${name}" does not carry${some}, so no change of ${how === 'part' ? 'the others' : 'it'} will come`,
    cure: addTableSql(name, state),
  });
}

/** Its rows come under the name of an ancestor, and nothing in them says that they are its own. */
function underItsRoot(state: WantedTable, named: boolean, { name }: Publication): Finding {
  const fault = {
    code: 'PARTITION_UNDER_ROOT',
    title: `table "${formatTableName(state)}"`,
    detail: `publication "${name}" sends the rows of partitions under the name of their root (publish_via_partition_root), so none of this partition will come`,
    cure: `${setOptionSql(name, UNDER_OWN_NAMES)} (a sink on the root gets the same rows as before), or let the sink read "${formatTableName(state.ancestors[0]!)}"`,
  };
  return named ? failed(fault) : warned(fault);
}

/** Postgres sends no change of it, whatever is done. */
const noChanges = (other: OtherRelation): Finding =>
  warned({
    code: 'TABLE_WITHOUT_CHANGES',
    title: `table "${formatTableName(other)}"`,
    detail: `it is ${other.what}, of which Postgres sends no changes`,
    cure:
      other.what === 'an unlogged table'
        ? `ALTER TABLE ${quoteTable(other)} SET LOGGED;`
        : 'take it out of the sink, or name the tables behind it',
  });

/**
 * Of a publication that is there already, one table that is gone (dropped, renamed) must not keep all others from
 * being followed: a warning. When it is about to be made, a name that nobody has is an error in the configuration.
 */
function missingTable(
  name: TableName,
  { settings, publication }: Subject,
  { existing, others }: WantedTables,
): Finding {
  const other = others.find((it) => tableKey(it) === tableKey(name));
  if (other !== undefined) return noChanges(other);
  const nearest = nearestTable(name, existing);
  const title = `table "${formatTableName(name)}"`;
  const detail = `there is no such table in database "${settings.database}"${didYouMean(nearest)}`;
  const cure = `${nearest === undefined ? 'correct the name' : `write ${nearest}`} in the sink (schema.table, capital letters count), or create the table`;
  if (publication === undefined) return failed({ code: 'TABLE_MISSING', title, detail, cure });
  const later = isOurs(publication, settings) ? '; once it is made, it is taken in' : '';
  return warned({ code: 'TABLE_MISSING', title, detail: `${detail}${later}`, cure });
}

/** Our role makes the publication, or has made it, and may not name the table there. */
function notPublishable(
  state: WantedTable,
  named: boolean,
  { settings, publication, making }: Subject,
): Finding {
  const role = escapeIdentifier(settings.username);
  const { name } = settings.publication;
  // SQL of the user's may go another way: a function of the owner's, or SET ROLE.
  const isFatal = named && publication === undefined && settings.publication.initSql === undefined;
  const told = isFatal ? failed : warned;
  const title = `table "${formatTableName(state)}"`;
  if (state.owned) {
    return told({
      code: 'SCHEMA_NOT_USABLE',
      title,
      detail: `role "${settings.username}" owns it, and may not use its schema`,
      cure: `as the owner of the schema: GRANT USAGE ON SCHEMA ${escapeIdentifier(state.schema)} TO ${role};`,
    });
  }
  // A table joins a publication by a role that owns both: of ours, and of somebody else's table, that is a superuser.
  const byHand = publication === undefined ? making.cure : `as a superuser: ${addTableSql(name, state)}`;
  return told({
    code: 'TABLE_NOT_OWNED',
    title,
    detail: `role "${settings.username}" does not own it, and only an owner may publish a table`,
    cure:
      state.grantOwnerSql === null ? byHand : `${byHand} or, to leave it to Tailrace: ${state.grantOwnerSql}`,
  });
}

const unfit = (
  state: WantedTable,
  faults: readonly IdentityFault[],
  published: boolean,
  cure = cureOf(state, faults),
): Finding =>
  warned({
    code: 'TABLE_WITHOUT_IDENTITY',
    title: `table "${formatTableName(state)}"`,
    detail:
      describeFaults(state, faults) +
      (published
        ? ', so Postgres refuses UPDATE and DELETE on it while it is published'
        : ', so it is left out of the publication'),
    cure,
  });

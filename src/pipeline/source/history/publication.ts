// What two looks say of the publication between them: which tables' changes may not have been streamed, and since when. Pure.
import type { GapDeclaration, GapEnd } from '../../../core/gaps.ts';
import { ALL_OF_IT, type CatalogVersions, type Look, type TableVersions } from '../../../core/look.ts';
import { formatLsn, type Lsn } from '../../../core/lsn.ts';
import type { TableName } from '../../../core/selection.ts';
import { lacking, namesOf, untilPublished, type Range } from './gap-parts.ts';

/**
 * The gaps between two looks at one publication, `previous` being the last with the old versions and `next` the first with the new ones. What
 * changed them began after `from`, an earlier look's WAL end (`Looks.endBefore` of `previous.xmin`): a commit may stand in the
 * WAL long before snapshots show it. Row versions are compared, not values: narrowed and restored leaves the values equal.
 * `exists`: of the tables that went (`goneTables`), those that are still there. `bearers`: who has the names now that others had
 * (`renamedTables`). `missed`: there was a look in between that saw no publication.
 */
export function gapsBetween(
  previous: Look,
  next: Look,
  {
    from,
    exists,
    bearers,
    missed,
  }: {
    readonly from: Lsn;
    readonly exists: ReadonlySet<number>;
    readonly bearers: readonly NamedTable[];
    readonly missed: boolean;
  },
): readonly GapDeclaration[] {
  if (previous.fold === next.fold) return [];
  const range = { from: formatLsn(from), to: formatLsn(next.walAfter) };
  const before = previous.catalog;
  const after = next.catalog;
  if (before.publication === undefined) return [];
  if (after.publication === undefined) return [missing(before, range.from)];
  const dropped = goneTables(previous, next).filter(({ oid }) => !exists.has(oid));
  const isDropped = new Set(dropped.map(({ oid }) => oid));
  const lost = goneTables(previous, next).filter(({ oid }) => !isDropped.has(oid));
  return [
    ...(after.publication.version === before.publication.version
      ? changedTables(before, after, range)
      : [changed(before, after, { range, missed })]),
    ...lostTables(lost, range),
    ...bearers.flatMap((table) => replacedTable(table, { before, after, range })),
    // None waits for a table that does not come back.
    ...dropped.map((table) => droppedTable(table, range)),
  ];
}

/** The tables that the publication carried and does not carry any more. */
export function goneTables(previous: Look, next: Look): readonly TableVersions[] {
  if (next.catalog.publication === undefined) return [];
  const now = new Set(next.catalog.tables.map(({ oid }) => oid));
  return previous.catalog.tables.filter(({ oid }) => !now.has(oid));
}

export type NamedTable = TableName & { readonly oid: number };

/** Tables that are carried before and after, and are called otherwise now: under the names that they had. */
export function renamedTables(previous: Look, next: Look): readonly TableVersions[] {
  const now = new Map(next.catalog.tables.map((table) => [table.oid, table]));
  return previous.catalog.tables.filter(({ oid, schema, table }) => {
    const found = now.get(oid);
    return found !== undefined && (found.schema !== schema || found.table !== table);
  });
}

/** Have all ends of a gap come? `exists`: of the tables that they name, those that are still there. */
export const hasEnded = (ends: readonly GapEnd[], { catalog }: Look, exists: ReadonlySet<number>): boolean =>
  ends.every((end) => hasCome(end, catalog) || ('oid' in end && !exists.has(end.oid)));

function hasCome(end: GapEnd, { publication, tables }: CatalogVersions): boolean {
  switch (end.when) {
    case 'publication_present':
      return publication !== undefined;
    case 'actions_published':
      return end.actions.every((action) => publication?.publishes.includes(action));
    case 'table_published':
      return tables.some(({ oid }) => oid === end.oid);
    case 'entry_is':
      return tables.some(({ oid, entry }) => oid === end.oid && (entry === end.entry || entry === ALL_OF_IT));
    default:
      return end satisfies never;
  }
}

const missing = (before: CatalogVersions, from: string): GapDeclaration => ({
  cause: 'publication_missing',
  from,
  reason: 'the publication was dropped or renamed: what is written meanwhile is not decoded',
  tables: namesOf(before.tables),
  halts: true,
  skips: false,
  ends: [{ when: 'publication_present' }],
});

function changed(
  before: CatalogVersions,
  after: CatalogVersions,
  { range, missed }: { readonly range: Range; readonly missed: boolean },
): GapDeclaration {
  const remade = before.publication!.oid !== after.publication!.oid;
  const lacks = lacking(before, after);
  const what = remade ? 'was dropped and made anew' : missed ? 'was renamed for a while' : 'was altered';
  const now = lacks.length === 0 ? '' : `, and does not publish ${lacks.join(', ')}`;
  return {
    // Nothing can be decoded of what was written in between, up to Postgres 17.
    cause: remade || missed ? 'publication_missing' : 'publication_changed',
    from: range.from,
    ...untilPublished(lacks, range),
    reason: `the publication ${what}: it may have published less for a while${now}`,
    tables: namesOf([...before.tables, ...after.tables]),
    halts: true,
    skips: false,
  };
}

/** The publication's own row stands: its tables, one by one. A table that was only added misses nothing that it had. */
function changedTables(before: CatalogVersions, after: CatalogVersions, range: Range): GapDeclaration[] {
  const now = new Map(after.tables.map((table) => [table.oid, table]));
  const gaps: GapDeclaration[] = [];
  for (const table of before.tables) {
    const found = now.get(table.oid);
    if (found === undefined) continue;
    if (found.member !== table.member || found.schemaMember !== table.schemaMember) {
      gaps.push(changedTable(table, found, range));
    }
  }
  return gaps;
}

/** Its entry went with it. Nothing of it is left to miss but what was written between the two, so nobody has to decide. */
const droppedTable = (table: TableVersions, range: Range): GapDeclaration => ({
  cause: 'table_dropped',
  ...range,
  reason: `table ${table.schema}.${table.table} was dropped; if it was taken out of the publication before, what was written to it then is missing`,
  tables: namesOf([table]),
  halts: false,
  skips: false,
  ends: [],
});

/** Above this many tables that went at once they are one gap: on record in one go, with one alarm. */
const MAX_SINGLE_GAPS = 100;

/** Each for itself: it goes on for as long as the table is not back, and concerns those who read that one. */
const lostTables = (lost: readonly TableVersions[], range: Range): GapDeclaration[] =>
  lost.length > MAX_SINGLE_GAPS
    ? [lostGap(lost, range, `${lost.length} tables are`)]
    : lost.map((table) => lostGap([table], range, `table ${table.schema}.${table.table} is`));

const lostGap = (lost: readonly TableVersions[], { from }: Range, what: string): GapDeclaration => ({
  cause: 'member_lost',
  from,
  reason: `${what} not in the publication any more`,
  tables: namesOf(lost),
  halts: true,
  skips: false,
  ends: lost.map(({ oid }) => ({ when: 'table_published', oid })),
});

/**
 * A table has the name under which another one was read, as after a swap by renaming. What was written to it before it joined
 * is missing to those who read that name. Where none joins by itself: a publication of all tables, or of its schema, carries it.
 */
function replacedTable(
  { oid, schema, table }: NamedTable,
  facts: { readonly before: CatalogVersions; readonly after: CatalogVersions; readonly range: Range },
): GapDeclaration[] {
  const { before, after, range } = facts;
  const joined = after.tables.find((found) => found.oid === oid);
  const wasCarried = before.tables.some((known) => known.oid === oid);
  if (wasCarried || (joined !== undefined && joined.member === undefined)) return [];
  const gap = {
    cause: 'member_lost',
    from: range.from,
    reason: `another table than before is called ${schema}.${table}: what was written to it before it joined the publication is missing`,
    tables: [{ schema, table }],
    halts: true,
    skips: false,
  } as const;
  return [
    joined === undefined
      ? { ...gap, ends: [{ when: 'table_published', oid }] }
      : { ...gap, to: range.to, ends: [] },
  ];
}

function changedTable(table: TableVersions, found: TableVersions, range: Range): GapDeclaration {
  const shows = table.entry !== undefined && found.entry !== table.entry && found.entry !== ALL_OF_IT;
  const gap = {
    cause: 'member_changed',
    from: range.from,
    reason: shows
      ? `the publication's entry of table ${table.schema}.${table.table} has other columns or another row filter`
      : `table ${table.schema}.${table.table} was taken out of the publication for a while, or its entry made anew`,
    tables: namesOf([table, found]),
    halts: true,
    skips: false,
  } as const;
  return shows
    ? { ...gap, ends: [{ when: 'entry_is', oid: table.oid, entry: table.entry }] }
    : { ...gap, to: range.to, ends: [] };
}

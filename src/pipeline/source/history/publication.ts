// What two looks say of the publication between them: which tables' changes may not have been streamed, and since when. Pure.
import type { GapDeclaration, GapEnd } from '../../../core/gaps.ts';
import {
  ALL_OF_IT,
  PUBLISHED_ACTIONS,
  type CatalogVersions,
  type Look,
  type TableVersions,
} from '../../../core/look.ts';
import { formatLsn, minLsn, parseLsn, ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import type { TableName } from '../../../core/selection.ts';
import { widenXid } from './identity.ts';

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

/**
 * A publication that was never looked at is followed from now on, by the user's word, and decodes what was written after `from`
 * as it was then: so it has to have been there, as it is. Its row says which transaction wrote it. `ended`: transactions with
 * lower ids had ended at `from` (undefined: nobody knows). `before`: of the publication that was followed before. One that
 * publishes less than that, and was altered since, may have published as much when it was chosen.
 */
export function gapsOfAnother(
  next: Look,
  facts: {
    readonly from: Lsn;
    readonly ended: bigint | undefined;
    readonly before: CatalogVersions | undefined;
  },
): readonly GapDeclaration[] {
  const { from, ended, before } = facts;
  const { publication, tables } = next.catalog;
  if (publication === undefined) return [];
  const writer = widenXid(Number(publication.version.split(':')[1]), next.begun);
  if (writer !== undefined && ended !== undefined && writer < ended) return lessPublished(next, facts);
  const lacks = lacking(before, next.catalog);
  const range = { from: formatLsn(from), to: formatLsn(next.walAfter) };
  return [
    {
      cause: lacks.length === 0 ? 'publication_missing' : 'publication_changed',
      from: range.from,
      ...untilPublished(lacks, range),
      reason: `publication "${next.publication}" was made or altered after changes were written that are read with it${lacks.length === 0 ? '' : `, and does not publish ${lacks.join(', ')}`}`,
      tables: namesOf(tables),
      halts: true,
      skips: false,
    },
  ];
}

/** One that publishes less than the one that was followed before, by whoever chose it: on record, and nobody waits. */
export function lessPublished(
  next: Look,
  { from, before }: { readonly from: Lsn; readonly before: CatalogVersions | undefined },
): readonly GapDeclaration[] {
  const lacks = lacking(before, next.catalog);
  if (next.catalog.publication === undefined || lacks.length === 0) return [];
  return [
    {
      cause: 'publication_changed',
      from: formatLsn(from),
      reason: `publication "${next.publication}" does not publish ${lacks.join(', ')}, as the one that was followed before did`,
      tables: namesOf(next.catalog.tables),
      halts: false,
      skips: false,
      ends: [{ when: 'actions_published', actions: lacks }],
    },
  ];
}

/**
 * Changes were read, and whatever was known of the publication by then is lost: it may have published less. What it does not publish now
 * it may have published before, so the gap goes on until it does.
 */
export function unprovedUntil({ walAfter, catalog }: Look): GapDeclaration {
  const lacks = PUBLISHED_ACTIONS.filter(
    (action) => catalog.publication?.publishes.includes(action) === false,
  );
  const now = lacks.length === 0 ? '' : `; it does not publish ${lacks.join(', ')} now, and may have done so`;
  return {
    cause: 'publication_changed',
    from: formatLsn(ZERO_LSN),
    ...untilPublished(lacks, { to: formatLsn(walAfter) }),
    reason: `the store was lost, and with it what was known of the publication: that it always published as much cannot be proved${now}`,
    halts: true,
    skips: false,
  };
}

/** A log that was made anew reads with this publication what was read with another one: each was looked at for its own part. */
export const readAgain = ({ publication, walAfter }: Look, from: Lsn): GapDeclaration => ({
  cause: 'publication_changed',
  from: formatLsn(from),
  to: formatLsn(walAfter),
  reason: `the change log was made anew, and reads with publication "${publication}" what was read with another one before: that it was published all the time cannot be proved`,
  halts: true,
  skips: false,
  ends: [],
});

/** What gaps of a publication come to that is followed no further than `end`: what was read with it by then. */
export const endedAt = (gaps: readonly GapDeclaration[], end: Lsn): readonly GapDeclaration[] =>
  gaps
    .filter(({ from }) => readLsn(from) < end)
    .map((gap) => ({
      ...gap,
      to: formatLsn(gap.to === undefined ? end : minLsn(readLsn(gap.to), end)),
      reason: `before another publication was followed: ${gap.reason}`,
      ends: [],
    }));

const readLsn = (text: string): Lsn => parseLsn(text) ?? ZERO_LSN;

type Range = { readonly from: string; readonly to: string };

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

/** What is published no more. */
const lacking = (before: CatalogVersions | undefined, after: CatalogVersions): readonly string[] =>
  before?.publication?.publishes.filter((action) => !after.publication?.publishes.includes(action)) ?? [];

/** A gap goes on for as long as something is not published. */
const untilPublished = (
  lacks: readonly string[],
  { to }: Pick<Range, 'to'>,
): Pick<GapDeclaration, 'to' | 'ends'> =>
  lacks.length === 0 ? { to, ends: [] } : { ends: [{ when: 'actions_published', actions: lacks }] };

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

/** Under every name that their rows may have come. */
const namesOf = (tables: readonly TableVersions[]): TableName[] =>
  tables.flatMap(({ schema, table, partitions = [], above = [] }) => [
    { schema, table },
    ...partitions.map((partition) => ({ schema: partition.schema, table: partition.table })),
    ...above,
  ]);

// What two looks say of the publication between them: which tables' changes may not have been streamed, and since when. Pure.
import type { GapDeclaration, GapEnd } from '../../../core/gaps.ts';
import { ALL_OF_IT, type CatalogVersions, type Look, type TableVersions } from '../../../core/look.ts';
import { formatLsn, minLsn, parseLsn, ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import type { TableName } from '../../../core/selection.ts';
import { widenXid } from './identity.ts';

/**
 * The gaps between two looks at one publication, `previous` being the last with the old versions and `next` the first with the new ones. What
 * changed them began after `from`, an earlier look's WAL end (`Looks.endBefore` of `previous.xmin`): a commit may stand in the
 * WAL long before snapshots show it. Row versions are compared, not values: narrowed and restored leaves the values equal.
 * `exists`: of the tables that went (`goneTables`), those that are still there. `missed`: there was a look in between that saw
 * no publication.
 */
export function gapsBetween(
  previous: Look,
  next: Look,
  {
    from,
    exists,
    missed,
  }: { readonly from: Lsn; readonly exists: ReadonlySet<number>; readonly missed: boolean },
): readonly GapDeclaration[] {
  if (previous.fold === next.fold) return [];
  const range = { from: formatLsn(from), to: formatLsn(next.walAfter) };
  const before = previous.catalog;
  const after = next.catalog;
  if (before.publication === undefined) return [];
  if (after.publication === undefined) return [missing(before, range.from)];
  const dropped = goneTables(previous, next).filter(({ oid }) => !exists.has(oid));
  const gaps =
    after.publication.version === before.publication.version
      ? tableGaps(before, after, range)
      : [changed(before, after, { range, missed })];
  const isDropped = new Set(dropped.map(({ oid }) => oid));
  return [
    ...gaps.flatMap((gap) => withoutDropped(gap, isDropped, range)),
    ...dropped.map((table) => droppedTable(table, range)),
  ];
}

/** The tables that the publication carried and does not carry any more. */
export function goneTables(previous: Look, next: Look): readonly TableVersions[] {
  if (next.catalog.publication === undefined) return [];
  const now = new Set(next.catalog.tables.map(({ oid }) => oid));
  return previous.catalog.tables.filter(({ oid }) => !now.has(oid));
}

/** No gap waits for a table that does not come back. */
function withoutDropped(
  gap: GapDeclaration,
  isDropped: ReadonlySet<number>,
  { to }: Range,
): GapDeclaration[] {
  const ends = gap.ends.filter((end) => end.when !== 'table_published' || !isDropped.has(end.oid));
  if (ends.length === gap.ends.length) return [gap];
  if (gap.cause === 'member_lost') return [];
  return [{ ...gap, ends, ...(ends.length === 0 ? { to } : {}) }];
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
 * lower ids had ended at `from` (undefined: nobody knows).
 */
export function gapsOfAnother(
  next: Look,
  { from, ended }: { readonly from: Lsn; readonly ended: bigint | undefined },
): readonly GapDeclaration[] {
  const { publication, tables } = next.catalog;
  if (publication === undefined) return [];
  const writer = widenXid(Number(publication.version.split(':')[1]), next.begun);
  if (writer !== undefined && ended !== undefined && writer < ended) return [];
  return [
    {
      cause: 'publication_missing',
      from: formatLsn(from),
      to: formatLsn(next.walAfter),
      reason: `publication "${next.publication}" was made or altered after changes were written that are read with it`,
      tables: namesOf(tables),
      halts: true,
      skips: false,
      ends: [],
    },
  ];
}

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
  const lacks = before.publication!.publishes.filter(
    (action) => !after.publication!.publishes.includes(action),
  );
  const lost = before.tables.filter(({ oid }) => !after.tables.some((table) => table.oid === oid));
  const ends: GapEnd[] = [
    ...(lacks.length === 0 ? [] : [{ when: 'actions_published', actions: lacks } as const]),
    ...lost.map(({ oid }) => ({ when: 'table_published', oid }) as const),
  ];
  const what = remade ? 'was dropped and made anew' : missed ? 'was renamed for a while' : 'was altered';
  const now = lacks.length === 0 ? '' : `, and does not publish ${lacks.join(', ')} any more`;
  return {
    // Nothing can be decoded of what was written in between, up to Postgres 17.
    cause: remade || missed ? 'publication_missing' : 'publication_changed',
    from: range.from,
    ...(ends.length === 0 ? { to: range.to } : {}),
    reason: `the publication ${what}: it may have published less for a while${now}`,
    tables: namesOf([...before.tables, ...after.tables]),
    halts: true,
    skips: false,
    ends,
  };
}

/** The publication's own row stands: its tables, one by one. A table that was only added misses nothing that it had. */
function tableGaps(before: CatalogVersions, after: CatalogVersions, range: Range): GapDeclaration[] {
  const now = new Map(after.tables.map((table) => [table.oid, table]));
  const gaps: GapDeclaration[] = [];
  for (const table of before.tables) {
    const found = now.get(table.oid);
    if (found === undefined) gaps.push(lostTable(table, range));
    else if (found.member !== table.member || found.schemaMember !== table.schemaMember) {
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

const lostTable = (table: TableVersions, range: Range): GapDeclaration => ({
  cause: 'member_lost',
  from: range.from,
  reason: `table ${table.schema}.${table.table} is not in the publication any more`,
  tables: namesOf([table]),
  halts: true,
  skips: false,
  ends: [{ when: 'table_published', oid: table.oid }],
});

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
  tables.flatMap(({ schema, table, partitions = [] }) => [{ schema, table }, ...partitions]);

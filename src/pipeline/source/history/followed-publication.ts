// What a look says where it cannot be compared with one before it: another publication is followed, or a log or a store was lost. Pure.
import type { GapDeclaration } from '../../../core/gaps.ts';
import { PUBLISHED_ACTIONS, type CatalogVersions, type Look } from '../../../core/look.ts';
import { formatLsn, minLsn, readLsn, ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import { lacking, namesOf, untilPublished } from './gap-parts.ts';
import { widenXid } from './identity.ts';

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

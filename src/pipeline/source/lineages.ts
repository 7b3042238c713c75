// Whose partition a relation was when its rows were written: proved by the catalog, the stream or earlier looks, else a gap of the
// sinks on the tables that it may have belonged to.
import type { Client } from 'pg';
import type { Ancestor, Lineage } from '../../core/change.ts';
import { formatLsn, type Lsn } from '../../core/lsn.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { isLaterXid } from '../../pgoutput/enrichment.ts';
import type { RawRelation } from '../../pgoutput/messages.ts';
import { lineageIn, type EnrichmentContext } from '../../postgres/catalog.ts';
import { readLineages, type CatalogLineage } from '../../postgres/lineage.ts';
import { possibleRoots } from '../../postgres/possible-roots.ts';
import { isOurs, readPublication } from '../../postgres/preflight/publication.ts';
import { walPosition } from '../../postgres/preflight/publication-changes.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { GapKeeper } from './gaps.ts';
import { TELLS_PARTITIONS } from '../../postgres/versions.ts';

/** What earlier looks saw of a table: partitioned tables that it was under, and whether it was published by itself. */
export type SeenOf = { readonly roots: readonly Ancestor[]; readonly alone: boolean };

export type LineagePorts = {
  readonly client: Client;
  readonly context: EnrichmentContext;
  readonly settings: DatabaseSettings;
  readonly gaps: Pick<GapKeeper, 'declare'>;
  readonly seen: (oid: number) => SeenOf;
  /** Where the WAL ended after the connection's first look: what committed before did so while nobody looked. */
  readonly lookedFrom: Lsn;
  /** Where what is logged ends, and the transaction in progress. */
  readonly at: () => { readonly loggedTo: Lsn; readonly xid: number; readonly commitLsn: Lsn };
};

type Judged = { readonly lineage: Lineage; readonly possible: readonly TableName[] };

/** One for a connection. */
export class Lineages {
  readonly #ports: LineagePorts;
  /** The partitioned relation that came right before: what comes next are its partition's columns. */
  #before: RawRelation | undefined;
  /** What this connection has brought already. */
  readonly #came = new Set<number>();

  constructor(ports: LineagePorts) {
    this.#ports = ports;
  }

  /** Of the relation that has come; a gap is on record when it is not known. */
  async of(relation: RawRelation): Promise<Lineage> {
    const { client, context } = this.#ports;
    const under = this.#before;
    this.#before = undefined;
    const [found] = await readLineages(client, [relation.id], context);
    if (found?.partitioned === true && found.links.length === 0) {
      this.#before = relation;
      return { partitioned: true };
    }
    const { lineage, possible } = await this.#judge(relation, found, under);
    this.#came.add(relation.id);
    if (possible.length > 0) await this.#declare(relation, possible);
    return lineage;
  }

  async #judge(
    relation: RawRelation,
    found: CatalogLineage | undefined,
    under: RawRelation | undefined,
  ): Promise<Judged> {
    const lineage = lineageIn(found);
    if (under !== undefined && lineage.ancestors?.some(({ oid }) => oid === under.id) !== true) {
      // A publication with publish_via_partition_root: the stream says under which table the rows come.
      return proved({
        ancestors: [{ oid: under.id, schema: under.schema, table: under.table, published: true }],
      });
    }
    if (found === undefined || found.links.length === 0) return this.#judgeAlone(relation, found);
    if (isAttachedFor(found, this.#ports.at().xid)) return proved(lineage);
    // It is streamed because it was published, by itself or by what it was under.
    const others = found.published ? [] : await this.#others(relation, found);
    if (!found.published && others.length === 0) return proved(lineage);
    return { lineage, possible: [...found.links, ...others] };
  }

  async #others(relation: RawRelation, { links }: CatalogLineage): Promise<readonly TableName[]> {
    const roots = await this.#possible(relation);
    return roots.filter(({ oid }) => !links.some((link) => link.oid === oid));
  }

  #possible({ columns }: RawRelation): ReturnType<typeof possibleRoots> {
    const { client, context, at } = this.#ports;
    return possibleRoots(client, { columns, xid: at().xid }, context);
  }

  /** It is nobody's partition now. */
  async #judgeAlone(relation: RawRelation, found: CatalogLineage | undefined): Promise<Judged> {
    const { client, context, seen, at, settings, lookedFrom } = this.#ports;
    const lineage = lineageIn(found);
    // Later versions stream nothing of a table that is not published, earlier ones go on with what they had before it was detached.
    const mayBeStreamed = found?.published === true || context.serverVersion < TELLS_PARTITIONS;
    if (found !== undefined && mayBeStreamed && isAlteredBefore(found, at().xid)) return proved(lineage);
    const { roots, alone } = seen(relation.id);
    if (found?.published === true || alone) return { lineage, possible: roots };
    // An old server that has looked at it goes on: it may have been detached since.
    if (context.serverVersion < TELLS_PARTITIONS && this.#came.has(relation.id))
      return { lineage, possible: roots };
    // Streamed, and not by itself: so by what it was under. While nobody looked, that may have been another one.
    if (roots.length > 1) return { lineage, possible: roots };
    if (roots.length === 1 && at().commitLsn > lookedFrom) return proved({ ancestors: roots });
    const like = await this.#possible(relation);
    if (roots.length === 1) {
      const others = like.filter(({ oid }) => oid !== roots[0]!.oid);
      return others.length === 0
        ? proved({ ancestors: roots })
        : { lineage, possible: [...roots, ...others] };
    }
    if (like.length === 0) return proved(lineage);
    const publication = await readPublication(client, context.publication);
    const [only] = like;
    // What a publication of ours lists by name has been seen.
    return like.length === 1 && publication !== undefined && isOurs(publication, settings)
      ? proved({ ancestors: [{ ...only!, published: true }] })
      : { lineage, possible: like };
  }

  async #declare(relation: RawRelation, possible: readonly TableName[]): Promise<void> {
    const { client, gaps, at } = this.#ports;
    gaps.declare({
      cause: 'root_unknown',
      from: formatLsn(at().loggedTo),
      to: await walPosition(client),
      reason: `rows of ${formatTableName(relation)} came that may have been those of a partition of ${possible.map(formatTableName).join(' or ')}: it was attached, detached or dropped meanwhile`,
      tables: possible.map(({ schema, table }) => ({ schema, table })),
      halts: true,
      skips: false,
      ends: [],
    });
  }
}

const proved = (lineage: Lineage): Judged => ({ lineage, possible: [] });

/** Was it attached as it is now when the transaction wrote to it? Whoever attaches a table has it for himself. */
const isAttachedFor = ({ links }: CatalogLineage, xid: number): boolean =>
  links.every(({ since, sinceMade }) => sinceMade || since === 0 || isLaterXid(xid, since));

/** Was it last altered, and so last attached or detached, before the transaction? */
const isAlteredBefore = ({ altered }: CatalogLineage, xid: number): boolean =>
  altered === 0 || isLaterXid(xid, altered);

// What looks show of partitions while a stream runs: names above them that changed, and, up to Postgres 14, partitions that came and
// went without the server's stream taking note.
import type { Client } from 'pg';
import type { Ancestor } from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';
import type { Look } from '../../core/look.ts';
import { formatLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import type { Enrichment } from '../../pgoutput/enrichment.ts';
import { lineageIn, type EnrichmentContext } from '../../postgres/catalog.ts';
import { readLineages } from '../../postgres/lineage.ts';
import { walPosition } from '../../postgres/preflight/publication-changes.ts';
import type { GapKeeper } from './gaps.ts';
import { partitionsMoved, type MovedPartition } from './history/partitions.ts';
import { TELLS_PARTITIONS } from '../../postgres/versions.ts';

export type PartitionWatchPorts = {
  readonly client: Client;
  readonly context: EnrichmentContext;
  readonly database: string;
  readonly gaps: Pick<GapKeeper, 'declare'>;
  /** Where the WAL ended at the newest look after which every transaction from this id on began. */
  readonly endBefore: (look: Look, xid: bigint) => Lsn;
};

/** One for a connection. */
export class PartitionWatch {
  readonly #ports: PartitionWatchPorts;
  /** What was logged of each relation last. */
  readonly #logged = new Map<number, Enrichment>();
  readonly #renewed = new Map<number, { readonly old: Enrichment; readonly enrichment: Enrichment }>();
  /** Everything before has been taken from the stream. */
  reached: Lsn = ZERO_LSN;
  #last: Look | undefined;
  /** Attached, and nobody knows yet whether the server streams them. */
  #awaited: { readonly moved: MovedPartition; readonly from: Lsn; readonly seenAt: Lsn }[] = [];
  #unseen: { readonly tables: readonly TableName[]; readonly from: Lsn } | undefined;

  constructor(ports: PartitionWatchPorts) {
    this.#ports = ports;
  }

  /** A relation is logged. */
  logged(enrichment: Enrichment): void {
    this.#logged.set(enrichment.relationId, enrichment);
  }

  /** What must be logged again before the next rows, because the names above a partition have changed. */
  takeRenewed(): readonly Enrichment[] {
    if (this.#renewed.size === 0) return NOTHING;
    const enrichments = [...this.#renewed.values()]
      .filter(({ old }) => this.#logged.get(old.relationId) === old)
      .map(({ enrichment }) => enrichment);
    this.#renewed.clear();
    return enrichments;
  }

  /** A look was taken. Throws PARTITIONS_CHANGED where the stream must begin anew. */
  async looked(look: Look): Promise<void> {
    const last = this.#last;
    this.#last = look;
    if (last === undefined) return;
    if (last.fold !== look.fold) await this.#renew();
    if (this.#ports.context.serverVersion < TELLS_PARTITIONS) await this.#checkMoved(last, look);
  }

  async #renew(): Promise<void> {
    const partitions = [...this.#logged.values()].filter(({ ancestors = [] }) => ancestors.length > 0);
    if (partitions.length === 0) return;
    const { client, context } = this.#ports;
    const found = await readLineages(
      client,
      partitions.map(({ relationId }) => relationId),
      context,
    );
    const now = new Map(found.map((lineage) => [lineage.oid, lineageIn(lineage).ancestors ?? []]));
    for (const old of partitions) {
      const ancestors = now.get(old.relationId) ?? [];
      // That it is another's now is for the stream to say, in its place among the rows.
      if (!areRenamed(old.ancestors ?? [], ancestors)) continue;
      this.#renewed.set(old.relationId, { old, enrichment: { ...old, ancestors } });
    }
  }

  /**
   * Up to 14 the server goes on with what it knew of a table: it streams a partition that was detached, and does not stream one that had
   * rows before it was attached (measured).
   */
  async #checkMoved(last: Look, look: Look): Promise<void> {
    const { client, endBefore } = this.#ports;
    const { attached, detached } = partitionsMoved(last.catalog, look.catalog);
    const from = endBefore(look, last.xmin);
    for (const moved of attached) this.#awaited.push({ moved, from, seenAt: look.walAfter });
    const sizes = await readSizes(client, [
      ...this.#awaited.map(({ moved }) => moved.oid),
      ...detached.map(({ oid }) => oid),
    ]);
    const unseen = this.#awaited.filter(({ moved, seenAt }) => {
      // Never written to, so nothing was known of it.
      if (sizes.get(moved.oid) !== 'written') return false;
      const isStreamed = (this.#logged.get(moved.oid)?.ancestors ?? []).length > 0;
      return !isStreamed && seenAt <= this.reached;
    });
    this.#awaited = this.#awaited.filter(
      ({ moved, seenAt }) => sizes.get(moved.oid) === 'written' && seenAt > this.reached,
    );
    if (unseen.length > 0) {
      const tables = unseen.flatMap(({ moved }) => [moved, ...moved.roots]);
      this.#unseen = {
        tables: tables.map(({ schema, table }) => ({ schema, table })),
        from: unseen[0]!.from,
      };
      await this.declareUnseen();
    }
    // One that was dropped has no rows any more.
    const gone = detached.filter(({ oid }) => sizes.has(oid));
    if (unseen.length + gone.length > 0) {
      throw partitionsChanged(this.#ports.database, [...unseen.map(({ moved }) => moved), ...gone]);
    }
  }

  /** Also when the stream has ended: up to there nothing of them came. */
  async declareUnseen(): Promise<void> {
    if (this.#unseen === undefined) return;
    const { tables, from } = this.#unseen;
    this.#ports.gaps.declare({
      cause: 'partition_unseen',
      from: formatLsn(from),
      to: await walPosition(this.#ports.client),
      reason: `${formatTableName(tables[0]!)} had rows before it was attached: up to Postgres 14 the server may not have streamed what was written to it since`,
      tables,
      halts: true,
      skips: false,
      ends: [],
    });
  }
}

const NOTHING: readonly Enrichment[] = [];

/** Are they the same tables, of which something else is to be said? */
function areRenamed(before: readonly Ancestor[], now: readonly Ancestor[]): boolean {
  if (before.length !== now.length || before.some(({ oid }, i) => now[i]!.oid !== oid)) return false;
  return JSON.stringify(before) !== JSON.stringify(now);
}

/** Of the tables that there are: has something ever been written to them? */
async function readSizes(
  client: Client,
  oids: readonly number[],
): Promise<ReadonlyMap<number, 'untouched' | 'written'>> {
  if (oids.length === 0) return new Map();
  const { rows } = await client.query<{ oid: number; untouched: boolean }>(
    `select oid::int8::float8 as oid, relkind = 'p' or relfilenode = oid and pg_relation_size(oid) = 0 as untouched
     from pg_class where oid = any ($1::oid[])`,
    [oids],
  );
  return new Map(rows.map(({ oid, untouched }) => [oid, untouched ? 'untouched' : 'written']));
}

const partitionsChanged = (database: string, tables: readonly TableName[]): TailraceError =>
  new TailraceError(
    `database "${database}": ${tables.map(formatTableName).join(', ')} was attached or detached, which Postgres takes note of in a new stream only (before 15)`,
    {
      code: 'PARTITIONS_CHANGED',
      kind: 'retryable',
      hint: 'Tailrace connects again by itself',
    },
  );

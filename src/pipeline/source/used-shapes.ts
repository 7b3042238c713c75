// Tells when the rows of a table begin to have another shape: what the Relation says that a row is the first to use, against what rows
// before it used. The log says so with the Relation, so that every sink is told the same at the same row, however often it is read.
import type { Client } from 'pg';
import type { Logger } from 'pino';
import { isLost, type Partings } from '../../core/partings.ts';
import type { Position } from '../../core/position.ts';
import { isElsewhere, isSameShape, type ShapeDifference, type TableShape } from '../../core/schema-change.ts';
import { buildRelation, type Enrichment } from '../../pgoutput/enrichment.ts';
import type { RawRelation } from '../../pgoutput/messages.ts';
import { readsLsn } from '../../pgoutput/reads.ts';
import type { ShapeOwner, UsedShape, UsedShapes } from '../../store/used-shapes.ts';
import type { LooksBefore } from './first-uses.ts';
import { merged, shapeOf, tellsMore, type Known } from './shape-of.ts';
import { placesOf, seenFromAbove } from './shapes-above.ts';

export type ShapePorts = {
  readonly client: Pick<Client, 'query'>;
  readonly owner: ShapeOwner;
  readonly store: Pick<UsedShapes, 'of' | 'add'>;
  /** How tables look now; columns that may have changed since the transaction `xid` have no number. */
  readonly tables: (oids: readonly number[], xid: number | undefined) => Promise<readonly TableShape[]>;
  /** Of the log: rows of a lost history are none. */
  readonly partings: () => Partings;
  readonly logger: Pick<Logger, 'warn'>;
};

/** One a connection: what it notes is in the store before the rows that it is about are logged. */
export class ShapesInUse {
  readonly #ports: ShapePorts;
  /** By relation, as its last Relation message has it. */
  readonly #shapes = new Map<number, TableShape>();
  /** By partition, until a row of it comes: the tables above it as they are now, the root first. */
  readonly #above = new Map<number, readonly TableShape[]>();
  #unwritten: UsedShape[] = [];
  /** Relations of which something is noted, as far as that was asked. */
  readonly #seen = new Set<number>();

  constructor(ports: ShapePorts) {
    this.#ports = ports;
  }

  /** A Relation message. */
  async came(raw: RawRelation, known: Known): Promise<void> {
    const shape = await this.#withTypes(shapeOf(buildRelation(raw, known.enrichment), known));
    this.#shapes.set(raw.id, shape);
    await this.lookAbove(known.enrichment, known.xid);
  }

  /** The names above a partition are others than when its relation came: its next row is the first that uses it so. */
  async placed(enrichment: Enrichment, xid: number): Promise<void> {
    const shape = this.#shapes.get(enrichment.relationId);
    if (shape === undefined) return;
    this.#shapes.set(enrichment.relationId, { ...shape, above: placesOf(enrichment) });
    await this.lookAbove(enrichment, xid);
  }

  /** Before the first row of a partition, or the first that a backfill reads: what is known of the tables above it is known of it, too. */
  async lookAbove(
    { relationId, ancestors = [] }: Pick<Enrichment, 'relationId' | 'ancestors'>,
    xid: number | undefined,
  ): Promise<void> {
    this.#above.delete(relationId);
    if (ancestors.length === 0) return;
    const oids = ancestors.map(({ oid }) => oid);
    const found = new Map((await this.#ports.tables(oids, xid)).map((table) => [table.relationId, table]));
    const above = ancestors.flatMap(({ oid, schema, table }, i) => {
      const shape = found.get(oid);
      const ancestorsOfIt = placesOf({ ancestors: ancestors.slice(0, i) });
      return shape === undefined ? [] : { ...shape, schema, table, above: ancestorsOfIt };
    });
    this.#above.set(relationId, above);
  }

  /**
   * The row event at `at` is the first that uses the relation as it came last. Answers how rows before that one looked, if otherwise.
   * Of what is logged already the same is answered again.
   */
  firstUse(relationId: number, at: Position): LooksBefore | undefined {
    const seen = this.#shapes.get(relationId);
    if (seen === undefined) return undefined;
    const { here, before, reads } = this.#noted(seen, at);
    // What is read again is described by a later catalog, which may know less of it.
    const same = [here, before].find((noted) => noted !== undefined && isSameShape(noted, seen));
    const after = same === undefined ? seen : merged(seen, same);
    if (same === undefined || tellsMore(after, same)) this.#unwritten.push({ shape: after, at });
    const fromAbove = this.#fromAbove(after, at, before);
    const untold = untoldOf([
      ...differences(
        reads.map(({ shape }) => shape),
        after,
      ),
      ...fromAbove,
    ]);
    if (before === undefined || isSameShape(before, after)) return untold && { untold };
    const { commitLsn, index } = at;
    return { schemaChange: { before, after, at: { commitLsn, index } }, ...(untold && { untold }) };
  }

  /**
   * Rows of the table as it is now are logged, by a backfill, behind all that is: notes how they look, durably unless that is said. Answers
   * how rows looked otherwise that came before.
   */
  read(
    raw: RawRelation,
    known: Omit<Known, 'xid'>,
    last: Pick<Position, 'epoch' | 'commitLsn'>,
  ): Pick<Enrichment, 'untold'> {
    const now = shapeOf(buildRelation(raw, known.enrichment), { ...known, xid: undefined });
    const { earlier, streamed } = this.#read(now, last);
    const behind = { ...last, commitLsn: readsLsn(last.commitLsn), index: Infinity };
    const untold = untoldOf([...differences(earlier, now), ...this.#fromAbove(now, behind, streamed)]);
    this.write();
    return untold ? { untold } : {};
  }

  /** Has no row of the table come, by whatever way? */
  isUnseen(table: Pick<TableShape, 'relationId' | 'schema' | 'table'>): boolean {
    if (this.#seen.has(table.relationId)) return false;
    const isNoted = this.#notedOf(table).some(({ shape }) => shape.relationId === table.relationId);
    if (isNoted) this.#seen.add(table.relationId);
    return !isNoted;
  }

  /** Tables are looked at before their first rows come: those will be compared with that, as if it had been read. Answers whether that is durable. */
  looked(tables: readonly TableShape[], last: Pick<Position, 'epoch' | 'commitLsn'>): boolean {
    for (const table of tables) if (this.isUnseen(table)) this.#read(table, last);
    return this.write();
  }

  /** Notes a shape of now, behind the transaction that is the last. Answers those that count before it. */
  #read(
    now: TableShape,
    last: Pick<Position, 'epoch' | 'commitLsn'>,
  ): { readonly earlier: readonly TableShape[]; readonly streamed: TableShape | undefined } {
    const behind = { ...last, commitLsn: readsLsn(last.commitLsn) };
    const { before, reads } = this.#noted(now, { ...behind, index: Infinity });
    const earlier = [...reads.map(({ shape }) => shape), ...(before ? [before] : [])];
    if (earlier.some((shape) => isSameShape(shape, now))) return { earlier, streamed: before };
    this.#note(now, { ...behind, index: Infinity });
    return { earlier, streamed: before };
  }

  /** What rows show that are no rows of its stream. `at`: without an index, behind the others that are behind the same transaction. */
  #note(shape: TableShape, at: Position): void {
    const isBeside = (used: UsedShape): boolean =>
      used.shape.relationId === shape.relationId && used.at.commitLsn === at.commitLsn;
    // Several may be behind one transaction, and each has a place of its own.
    const index = at.index === Infinity ? this.#notedOf(shape).filter(isBeside).length : at.index;
    this.#unwritten.push({ shape, at: { ...at, index }, isRead: true });
  }

  /**
   * How the tables above a partition looked otherwise, as far as the columns and the place of its row tell: they have changed with it, or
   * it came to them. Of one whose rows are known at this place its own say all.
   */
  #fromAbove(now: TableShape, at: Position, before: TableShape | undefined): readonly ShapeDifference[] {
    // What versions noted that did not ask for what is above a table does not tell.
    const isKnown =
      before?.relationId === now.relationId && before.above !== undefined && !isElsewhere(before, now);
    const found: ShapeDifference[] = [];
    for (const table of this.#above.get(now.relationId) ?? []) {
      const after = seenFromAbove(table, now);
      const earlier = this.#notedOf(table).filter(
        (used) => used.shape.relationId === table.relationId && isBefore(used.at, at),
      );
      const last = lastOf(earlier)?.shape;
      if (last !== undefined && isSameShape(last, after)) continue;
      // Those that are made from now on are compared with this.
      this.#note(after, at);
      if (last !== undefined && !isKnown) found.push({ before: last, after });
    }
    this.#above.delete(now.relationId);
    return found;
  }

  /** Before what was taken is appended: whoever starts again knows at least as much as the log. Answers whether it is. */
  write(): boolean {
    if (this.#unwritten.length === 0) return true;
    const { store, owner, logger } = this.#ports;
    try {
      store.add(owner, this.#unwritten);
      this.#unwritten = [];
      return true;
    } catch (error) {
      // It is tried again with the next; until then it is known here.
      logger.warn({ database: owner.database, err: error }, 'the shapes of tables could not be noted');
      return false;
    }
  }

  /**
   * The last shape that rows of the stream used before `at` (of this table, or of another that had its name), those of rows that
   * backfills have read since, the newest first, and this table's from `at` on.
   */
  #noted(
    table: TableShape,
    at: Position,
  ): {
    readonly here: TableShape | undefined;
    readonly before: TableShape | undefined;
    readonly reads: readonly UsedShape[];
  } {
    const noted = this.#notedOf(table);
    const isOwn = ({ shape }: UsedShape): boolean => shape.relationId === table.relationId;
    const earlier = noted.filter((used) => isBefore(used.at, at));
    const streamed = earlier.filter(({ isRead }) => !isRead);
    const own = streamed.filter(isOwn);
    const here = noted.filter((used) => isOwn(used) && !isBefore(used.at, at) && !isBefore(at, used.at));
    const before = lastOf(own.length > 0 ? own : streamed);
    const reads = earlier
      .filter((used) => used.isRead && isOwn(used) && (before === undefined || isBefore(before.at, used.at)))
      .toSorted((a, b) => Number(isBefore(a.at, b.at)) - Number(isBefore(b.at, a.at)));
    return { here: lastOf(here)?.shape, before: before?.shape, reads };
  }

  /** Of the present history, of the table and of others that had its name. */
  #notedOf(table: Pick<TableShape, 'relationId' | 'schema' | 'table'>): readonly UsedShape[] {
    const { store, owner, partings } = this.#ports;
    const parted = partings();
    const unwritten = this.#unwritten.filter(({ shape }) => isOf(shape, table));
    return [...store.of(owner, table), ...unwritten].filter((used) => !isLost(parted, used.at));
  }

  /** A type that the catalog's column does not have any more has its name all the same. */
  async #withTypes(shape: TableShape): Promise<TableShape> {
    const unnamed = shape.columns.filter(({ typeName }) => typeName === undefined);
    if (unnamed.length === 0) return shape;
    const { rows } = await this.#ports.client.query<{ readonly name: string | null }>(
      `select case when exists (select from pg_type where oid = wanted.type) then format_type(wanted.type, wanted.modifier) end as name
       from unnest($1::oid[], $2::int4[]) with ordinality wanted (type, modifier, place) order by wanted.place`,
      [unnamed.map(({ type }) => type), unnamed.map(({ typeModifier }) => typeModifier)],
    );
    const names = new Map(unnamed.map((column, i) => [column, rows[i]?.name ?? undefined]));
    return {
      ...shape,
      columns: shape.columns.map((column) =>
        names.get(column) === undefined ? column : { ...column, typeName: names.get(column) },
      ),
    };
  }
}

const differences = (earlier: readonly TableShape[], after: TableShape): readonly ShapeDifference[] =>
  earlier.filter((before) => !isSameShape(before, after)).map((before) => ({ before, after }));

const untoldOf = (found: readonly ShapeDifference[]): Enrichment['untold'] =>
  found.length === 0 ? undefined : found;

/** LSNs order what is of one history, whatever epochs it was logged in. */
const isBefore = (a: Position, b: Position): boolean =>
  a.commitLsn === b.commitLsn ? a.index < b.index : a.commitLsn < b.commitLsn;

const lastOf = (used: readonly UsedShape[]): UsedShape | undefined =>
  used.reduce<UsedShape | undefined>(
    (last, next) => (last === undefined || !isBefore(next.at, last.at) ? next : last),
    undefined,
  );

const isOf = (shape: TableShape, table: Pick<TableShape, 'relationId' | 'schema' | 'table'>): boolean =>
  shape.relationId === table.relationId || (shape.schema === table.schema && shape.table === table.table);

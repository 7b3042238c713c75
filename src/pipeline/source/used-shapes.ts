// Tells when the rows of a table begin to have another shape: what the Relation says that a row is the first to use, against what rows
// before it used. The log says so with the Relation, so that every sink is told the same at the same row, however often it is read.
import type { Client } from 'pg';
import type { Logger } from 'pino';
import type { Relation } from '../../core/change.ts';
import { isLost, type Partings } from '../../core/partings.ts';
import type { Position } from '../../core/position.ts';
import { isSameShape, type TableShape } from '../../core/schema-change.ts';
import { buildRelation, isKeyProven, isLaterXid, type Enrichment } from '../../pgoutput/enrichment.ts';
import type { RawRelation } from '../../pgoutput/messages.ts';
import { readsLsn } from '../../pgoutput/reads.ts';
import type { CatalogColumn } from '../../postgres/catalog.ts';
import type { ShapeOwner, UsedShape, UsedShapes } from '../../store/used-shapes.ts';
import type { LooksBefore } from './first-uses.ts';

export type ShapePorts = {
  readonly client: Pick<Client, 'query'>;
  readonly owner: ShapeOwner;
  readonly store: Pick<UsedShapes, 'of' | 'add'>;
  /** Of the log: rows of a lost history are none. */
  readonly partings: () => Partings;
  readonly logger: Pick<Logger, 'warn'>;
};

/** What the catalog says of a relation. `xid`: of the transaction whose rows it describes; undefined: rows as they are now. */
type Known = {
  readonly enrichment: Enrichment;
  readonly columns: readonly CatalogColumn[];
  readonly xid: number | undefined;
};

/** Of very many tables that are looked at. */
const MAX_UNWRITTEN = 256;

/** One a connection: what it notes is in the store before the rows that it is about are logged. */
export class ShapesInUse {
  readonly #ports: ShapePorts;
  /** By relation, as its last Relation message has it. */
  readonly #shapes = new Map<number, TableShape>();
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
    const untold = differences(
      reads.map(({ shape }) => shape),
      after,
    );
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
    const untold = differences(this.#read(now, last), now);
    this.write();
    return untold ? { untold } : {};
  }

  /** Has no row of the table come, by whatever way? */
  isUnseen(table: Pick<TableShape, 'relationId' | 'schema' | 'table'>): boolean {
    if (this.#seen.has(table.relationId)) return false;
    const { store, owner } = this.#ports;
    const isOwn = ({ shape }: UsedShape): boolean => shape.relationId === table.relationId;
    const isNoted = this.#unwritten.some(isOwn) || store.of(owner, table).some(isOwn);
    if (isNoted) this.#seen.add(table.relationId);
    return !isNoted;
  }

  /** Tables are looked at before their first rows come: those will be compared with that, as if it had been read. */
  looked(tables: readonly TableShape[], last: Pick<Position, 'epoch' | 'commitLsn'>): void {
    for (const table of tables) {
      if (this.isUnseen(table)) this.#read(table, last);
      // Each is compared with what is not written yet.
      if (this.#unwritten.length >= MAX_UNWRITTEN) this.write();
    }
    this.write();
  }

  /** Notes a shape of now, behind the transaction that is the last. Answers those that count before it. */
  #read(now: TableShape, last: Pick<Position, 'epoch' | 'commitLsn'>): readonly TableShape[] {
    const behind = { ...last, commitLsn: readsLsn(last.commitLsn) };
    const { before, reads } = this.#noted(now, { ...behind, index: Infinity });
    const earlier = [...reads.map(({ shape }) => shape), ...(before ? [before] : [])];
    if (earlier.some((shape) => isSameShape(shape, now))) return earlier;
    // Several may be behind one transaction, and each has a place of its own.
    const index = reads.filter(({ at }) => at.commitLsn === behind.commitLsn).length;
    this.#unwritten.push({ shape: now, at: { ...behind, index }, isRead: true });
    return earlier;
  }

  /** Before what was taken is appended: whoever starts again knows at least as much as the log. */
  write(): void {
    if (this.#unwritten.length === 0) return;
    const { store, owner, logger } = this.#ports;
    try {
      store.add(owner, this.#unwritten);
      this.#unwritten = [];
    } catch (error) {
      // It is tried again with the next; until then it is known here.
      logger.warn({ database: owner.database, err: error }, 'the shapes of tables could not be noted');
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
    const { store, owner, partings } = this.#ports;
    const parted = partings();
    const noted = [
      ...store.of(owner, table),
      ...this.#unwritten.filter(({ shape }) => isOf(shape, table)),
    ].filter((used) => !isLost(parted, used.at));
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

/** Undefined: there is none. */
function differences(earlier: readonly TableShape[], after: TableShape): Enrichment['untold'] {
  const others = earlier.filter((before) => !isSameShape(before, after));
  return others.length === 0 ? undefined : others.map((before) => ({ before, after }));
}

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

/** What the catalog says counts as far as it has not changed since before the transaction: whoever alters a table has it for himself. */
function shapeOf(relation: Relation, { columns, xid }: Pick<Known, 'columns' | 'xid'>): TableShape {
  const catalog = new Map(columns.map((column) => [column.name, column]));
  return {
    relationId: relation.id,
    schema: relation.schema,
    table: relation.table,
    columns: relation.columns.map(({ name, type, typeModifier, generated }) => {
      const found = catalog.get(name);
      const isSame = found?.type === type && found.typeModifier === typeModifier;
      const isProved =
        isSame && (xid === undefined || found.columnXid === 0 || isLaterXid(xid, found.columnXid));
      return {
        name,
        type,
        typeModifier,
        ...(isSame && { typeName: found.typeName }),
        ...(isProved && { nullable: found.nullable, number: found.number }),
        ...(generated && { generated }),
      };
    }),
    ...(isKeyKnown(relation, xid) && { key: relation.key }),
  };
}

/** Under FULL and NOTHING a key that is not there may be one that the catalog does not have any more. */
const isKeyKnown = (relation: Relation, xid: number | undefined): boolean =>
  relation.key.length > 0 && (xid === undefined || isKeyProven(relation, xid));

/** Is more known of the same shape than was known of it before? */
const tellsMore = (now: TableShape, before: TableShape): boolean =>
  (now.key !== undefined && before.key === undefined) ||
  now.columns.some(
    ({ number, nullable }, i) =>
      (number !== undefined && number !== before.columns[i]!.number) ||
      (nullable !== undefined && nullable !== before.columns[i]!.nullable),
  );

/** Of one shape: what was known of it, with what is known now. */
const merged = (now: TableShape, before: TableShape): TableShape => ({
  ...before,
  ...now,
  columns: now.columns.map((column, i) => ({ ...before.columns[i]!, ...column })),
});

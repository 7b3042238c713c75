// What the catalog adds to a Relation message: its key and its types, logged right after it as an `e` frame.
import type { Collations, Lineage, Relation, TypeCatalog, TypeInfo } from '../core/change.ts';
import { formatLsn, readLsn } from '../core/lsn.ts';
import type { SchemaChange, ShapeDifference } from '../core/schema-change.ts';
import type { RawRelation } from './messages.ts';

export type Enrichment = Lineage & {
  readonly relationId: number;
  /** The primary key's columns, in key order; undefined: the catalog did not know (any more). */
  readonly key: readonly string[] | undefined;
  /** The xid that made the key what it is; 0: older than everything. Undefined: not known. */
  readonly keySince?: number | undefined;
  /** Only types that are not built in, with everything that they are made of. */
  readonly types: TypeCatalog;
  /** The types of the Relation's columns as SQL writes them, where the catalog still has these columns. Undefined: nobody asked. */
  readonly typeNames?: readonly (string | null)[] | undefined;
  /** Undefined: not known, as in logs of versions that did not ask. */
  readonly collations?: Collations | undefined;
  /** Names of generated columns that the table's own key does not ask for. */
  readonly generated?: readonly string[] | undefined;
  /** How rows looked before, where this is the first Relation message of another shape that rows use. */
  readonly schemaChange?: SchemaChange | undefined;
  /** As in `Relation`. */
  readonly untold?: readonly ShapeDifference[] | undefined;
};

/** As it is written. */
type StoredChange = ShapeDifference & {
  readonly at: { readonly commitLsn: string; readonly index: number };
};

/** The frame's content: `e` and UTF-8 JSON. */
export function encodeEnrichment(enrichment: Enrichment): Buffer {
  const { relationId, types, schemaChange, ...rest } = enrichment;
  const stored = schemaChange && { schemaChange: storedChange(schemaChange) };
  return Buffer.from(
    `e${JSON.stringify({ id: relationId, ...rest, ...stored, types: Object.fromEntries(types) })}`,
  );
}

/**
 * Reads what `encodeEnrichment` wrote; `start` is the place of the `e`. The log's checksums vouch for the content. Up to log format 2
 * nothing is said of partitions: they stand for themselves there.
 */
export function decodeEnrichment(bytes: Buffer, start: number, end: number = bytes.length): Enrichment {
  const { id, types, schemaChange, ...rest } = JSON.parse(bytes.toString('utf8', start + 1, end)) as Omit<
    Enrichment,
    'relationId' | 'types' | 'key' | 'schemaChange'
  > & {
    readonly id: number;
    readonly key?: string[];
    readonly types: Record<string, TypeInfo>;
    readonly schemaChange?: StoredChange;
  };
  return {
    key: undefined,
    ...rest,
    ...(schemaChange && { schemaChange: knownChange(schemaChange) }),
    relationId: id,
    types: new Map(Object.entries(types).map(([oid, info]) => [Number(oid), info])),
  };
}

const storedChange = ({ before, after, at }: SchemaChange): StoredChange => ({
  before,
  after,
  at: { commitLsn: formatLsn(at.commitLsn), index: at.index },
});

const knownChange = ({ before, after, at }: StoredChange): SchemaChange => ({
  before,
  after,
  at: { commitLsn: readLsn(at.commitLsn), index: at.index },
});

const NO_TYPES: TypeCatalog = new Map();

export function buildRelation(raw: RawRelation, enrichment: Enrichment | undefined): Relation {
  const key = keyOf(raw, enrichment?.key);
  const types = enrichment?.types ?? NO_TYPES;
  const relation: Relation = {
    ...withGenerated(raw, enrichment?.generated),
    ...lineageOf(enrichment),
    ...(enrichment?.schemaChange && { schemaChange: enrichment.schemaChange }),
    ...(enrichment?.untold && { untold: enrichment.untold }),
    key,
    types,
    ...(enrichment?.typeNames && { typeNames: enrichment.typeNames }),
    ...(enrichment?.collations && { collations: enrichment.collations }),
  };
  if (key.length === 0 || isFlagged(raw)) return relation;
  return { ...relation, keySince: enrichment?.keySince ?? 'unknown' };
}

const lineageOf = ({ partitioned, ancestors, gone }: Lineage = {}): Lineage => ({
  ...(partitioned && { partitioned }),
  ...(ancestors && { ancestors }),
  ...(gone && { gone }),
});

function withGenerated(raw: RawRelation, generated: readonly string[] = []): RawRelation {
  if (generated.length === 0) return raw;
  const columns = raw.columns.map((column) =>
    generated.includes(column.name) ? { ...column, generated: true as const } : column,
  );
  return { ...raw, columns };
}

/** Does the stream flag the identity's columns one by one? Under FULL every column is flagged, under NOTHING none. */
const isFlagged = ({ replicaIdentity, columns }: RawRelation): boolean =>
  replicaIdentity !== 'full' && columns.some(({ identity }) => identity);

/** Does a transaction come after another, as xids count (they wrap)? https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND */
export const isLaterXid = (xid: number, other: number): boolean => ((xid - other) | 0) > 0;

/** Of two xids, where 0 is older than everything. */
export const latestXid = (a: number, b: number): number => (a === 0 || (b !== 0 && isLaterXid(b, a)) ? b : a);

/**
 * Did a table have its key when the transaction `xid` wrote to it? Who changes a key has the table for himself: so whoever
 * wrote to it, and came later, found it changed.
 */
export function isKeyProven({ keySince }: Relation, xid: number): boolean {
  if (keySince === undefined || keySince === 0) return true;
  return keySince !== 'unknown' && isLaterXid(xid, keySince);
}

/**
 * The stream wins over the catalog, which may be newer. Where columns are flagged one by one (default, index) they are
 * the key, and the catalog adds the key's own order. Under FULL every column is flagged and under NOTHING none, so there
 * the catalog's key stands alone. Under an index identity the primary key is no key for us: a DELETE carries the
 * index' columns only, and only a key that every event carries can order them.
 */
function keyOf(raw: RawRelation, catalogKey: readonly string[] = []): readonly string[] {
  const flagged = new Set(raw.columns.filter((column) => column.identity).map((column) => column.name));
  if (isFlagged(raw)) {
    const isSameKey = catalogKey.length === flagged.size && catalogKey.every((name) => flagged.has(name));
    return isSameKey ? catalogKey : [...flagged];
  }
  const names = new Set(raw.columns.map((column) => column.name));
  return catalogKey.every((name) => names.has(name)) ? catalogKey : [];
}

// What the catalog adds to a Relation message: its key and its types, logged right after it as an `e` frame.
import type { Relation, TypeCatalog, TypeInfo } from '../core/change.ts';
import type { RawRelation } from './messages.ts';

export type Enrichment = {
  readonly relationId: number;
  /** The primary key's columns, in key order; undefined: the catalog did not know (any more). */
  readonly key: readonly string[] | undefined;
  /** Only types that are not built in, with everything that they are made of. */
  readonly types: TypeCatalog;
};

/** The frame's content: `e` and UTF-8 JSON. */
export function encodeEnrichment(enrichment: Enrichment): Buffer {
  const { relationId, key, types } = enrichment;
  return Buffer.from(`e${JSON.stringify({ id: relationId, key, types: Object.fromEntries(types) })}`);
}

/** Reads what `encodeEnrichment` wrote; `start` is the place of the `e`. The log's checksums vouch for the content. */
export function decodeEnrichment(bytes: Buffer, start: number, end: number = bytes.length): Enrichment {
  const content = JSON.parse(bytes.toString('utf8', start + 1, end)) as {
    id: number;
    key?: string[];
    types: Record<string, TypeInfo>;
  };
  return {
    relationId: content.id,
    key: content.key,
    types: new Map(Object.entries(content.types).map(([oid, info]) => [Number(oid), info])),
  };
}

const NO_TYPES: TypeCatalog = new Map();

export function buildRelation(raw: RawRelation, enrichment: Enrichment | undefined): Relation {
  return { ...raw, key: keyOf(raw, enrichment?.key), types: enrichment?.types ?? NO_TYPES };
}

/**
 * The stream wins over the catalog, which may be newer. Where columns are flagged one by one (default, index) they are
 * the key, and the catalog adds the key's own order. Under FULL every column is flagged and under NOTHING none, so there
 * the catalog's key stands alone. Under an index identity the primary key is no key for us: a DELETE carries the
 * index' columns only, and only a key that every event carries can order them.
 */
function keyOf(raw: RawRelation, catalogKey: readonly string[] = []): readonly string[] {
  const flagged = new Set(raw.columns.filter((column) => column.identity).map((column) => column.name));
  if (raw.replicaIdentity !== 'full' && flagged.size > 0) {
    const isSameKey = catalogKey.length === flagged.size && catalogKey.every((name) => flagged.has(name));
    return isSameKey ? catalogKey : [...flagged];
  }
  const names = new Set(raw.columns.map((column) => column.name));
  return catalogKey.every((name) => names.has(name)) ? catalogKey : [];
}

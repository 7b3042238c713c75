// How a relation looks to its rows: what the stream says of it, with what the catalog proves for the time when they were written. Pure.
import type { Relation } from '../../core/change.ts';
import type { TableShape } from '../../core/schema-change.ts';
import { isKeyProven, isLaterXid, type Enrichment } from '../../pgoutput/enrichment.ts';
import type { CatalogColumn } from '../../postgres/catalog.ts';
import { placesOf } from './shapes-above.ts';

/** What the catalog says of a relation. `xid`: of the transaction whose rows it describes; undefined: rows as they are now. */
export type Known = {
  readonly enrichment: Enrichment;
  readonly columns: readonly CatalogColumn[];
  readonly xid: number | undefined;
};

/** What the catalog says counts as far as it has not changed since before the transaction: whoever alters a table has it for himself. */
export function shapeOf(relation: Relation, { columns, xid }: Pick<Known, 'columns' | 'xid'>): TableShape {
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
    ...(relation.gone !== true && { above: placesOf(relation) }),
  };
}

/** Under FULL and NOTHING a key that is not there may be one that the catalog does not have any more. */
const isKeyKnown = (relation: Relation, xid: number | undefined): boolean =>
  relation.key.length > 0 && (xid === undefined || isKeyProven(relation, xid));

/** Is more known of the same shape than was known of it before? */
export const tellsMore = (now: TableShape, before: TableShape): boolean =>
  (now.key !== undefined && before.key === undefined) ||
  (now.above !== undefined && before.above === undefined) ||
  now.columns.some(
    ({ number, nullable }, i) =>
      (number !== undefined && number !== before.columns[i]!.number) ||
      (nullable !== undefined && nullable !== before.columns[i]!.nullable),
  );

/** Of one shape: what was known of it, with what is known now. */
export const merged = (now: TableShape, before: TableShape): TableShape => ({
  ...before,
  ...now,
  columns: now.columns.map((column, i) => ({ ...before.columns[i]!, ...column })),
});

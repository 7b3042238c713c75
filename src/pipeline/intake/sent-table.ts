// A table as its rows will come: the columns that the publication sends alone, and their identity as it is where the rows are.
import type { Client } from 'pg';
import type { Column, Relation } from '../../core/change.ts';
import type { TableName } from '../../core/selection.ts';
import { readTableKnowledge, type TableKnowledge } from '../../postgres/column-knowledge.ts';
import { readPresentTable } from './where-server/present-table.ts';

export type SentTable = { readonly relation: Relation; readonly known: TableKnowledge };

/** Undefined: there is no such table. `publication`: its name; it may not be there yet. */
export async function readSentTable(
  client: Client,
  table: TableName,
  publication: string,
): Promise<SentTable | undefined> {
  const present = await readPresentTable(client, table, publication);
  const known = await readTableKnowledge(client, table, publication);
  return present && known && { relation: asSent(present.relation, known), known };
}

function asSent(relation: Relation, known: TableKnowledge): Relation {
  const columns: Column[] = [];
  const typeNames: (string | null)[] = [];
  for (const [index, column] of relation.columns.entries()) {
    const about = known.columns.find(({ name }) => name === column.name);
    if (about?.isSent !== true) continue;
    columns.push({ ...column, identity: about.identity !== 'none' });
    typeNames.push(relation.typeNames?.[index] ?? null);
  }
  const key = relation.key.every((name) => columns.some((column) => column.name === name))
    ? relation.key
    : [];
  return {
    ...relation,
    ...(known.isPartitioned && { partitioned: true }),
    replicaIdentity: known.isFull ? 'full' : relation.replicaIdentity,
    columns,
    typeNames,
    key,
  };
}

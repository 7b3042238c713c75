// A copy made of what a filter lets through, where rows that move are converted, is what the filter would select: whatever happened.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { convertingIntake, type Body, type Identity } from '../../support/filtered-intake.ts';
import { deleteMessage, insertMessage, updateMessage, type Cell } from '../../support/pgoutput-messages.ts';

/** A row of the model. */
type Row = {
  readonly id: number;
  readonly code: string;
  readonly size: number | null;
  readonly note: string | null;
};

/** Filters, and what Postgres makes of them: only what is true is selected. */
const FILTERS: readonly { readonly text: string; readonly selects: (row: Row) => boolean }[] = [
  { text: 'size > 2', selects: ({ size }) => size !== null && size > 2 },
  {
    text: `size is null or note <> 'a'`,
    selects: ({ size, note }) => size === null || (note ?? 'a') !== 'a',
  },
  { text: `code = 'a' and size <> 0`, selects: ({ code, size }) => code === 'a' && (size ?? 0) !== 0 },
  { text: 'id % 2 = 0', selects: ({ id }) => id % 2 === 0 },
  {
    text: `not (note = 'a' and id > 2)`,
    selects: ({ note, id }) => (note === null ? id <= 2 : !(note === 'a' && id > 2)),
  },
];

const cells = ({ id, code, size, note }: Row): Cell[] => [
  String(id),
  code,
  size === null ? null : String(size),
  note,
];

/** The old row as Postgres sends it: https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-REPLICA-IDENTITY */
function oldOf(identity: Identity, row: Row, changed?: Row) {
  const [id, code] = cells(row);
  switch (identity) {
    case 'f':
      return { kind: 'full', row: cells(row) } as const;
    case 'd':
      return row.id === changed?.id ? undefined : ({ kind: 'key', row: [id!, null, null, null] } as const);
    case 'i':
      return row.code === changed?.code
        ? undefined
        : ({ kind: 'key', row: [null, code!, null, null] } as const);
    default:
      return identity satisfies never;
  }
}

const values = {
  id: fc.integer({ min: 1, max: 4 }),
  code: fc.constantFrom('a', 'b', 'c', 'd'),
  size: fc.option(fc.integer({ min: 0, max: 5 })),
  note: fc.option(fc.constantFrom('a', 'b')),
};
const act = fc.oneof(
  fc.record({ kind: fc.constant('insert' as const), row: fc.record(values) }),
  fc.record({ kind: fc.constant('delete' as const), at: fc.nat(), row: fc.constant(undefined) }),
  fc.record({
    kind: fc.constant('update' as const),
    at: fc.nat(),
    row: fc.record(values, { requiredKeys: [] }),
  }),
);
type Act = {
  readonly kind: 'insert' | 'update' | 'delete';
  readonly at?: number;
  readonly row?: Partial<Row> | undefined;
};

/** What the acts do to a table in which `id` and `code` are unique, as messages, and the rows in the end. */
function historyOf(acts: readonly Act[], identity: Identity): { messages: Buffer[]; rows: Row[] } {
  let rows: Row[] = [];
  const messages: Buffer[] = [];
  const isFree = (row: Row, but?: Row): boolean =>
    rows.every((other) => other === but || (other.id !== row.id && other.code !== row.code));
  for (const { kind, at = 0, row: wanted } of acts) {
    const before = rows[at % Math.max(1, rows.length)];
    if (kind === 'insert') {
      const row = wanted as Row;
      if (!isFree(row)) continue;
      rows.push(row);
      messages.push(insertMessage(1, cells(row)));
    } else if (before !== undefined && kind === 'delete') {
      rows = rows.filter((row) => row !== before);
      messages.push(deleteMessage(1, oldOf(identity, before)!));
    } else if (before !== undefined) {
      const row = { ...before, ...wanted };
      if (!isFree(row, before)) continue;
      rows = rows.map((other) => (other === before ? row : other));
      messages.push(updateMessage(1, cells(row), oldOf(identity, before, row)));
    }
  }
  return { messages, rows };
}

/** What a consumer has that upserts and deletes by key, and follows a changed key. */
function copyOf(delivered: readonly Body[], key: string): unknown[] {
  const copy = new Map<unknown, unknown>();
  for (const { action, record, changes } of delivered) {
    if (changes?.[key] !== undefined) copy.delete(changes[key]);
    if (action === 'delete') copy.delete(record[key]);
    else copy.set(record[key], record);
  }
  return [...copy.values()];
}

test.each([
  ['f', 'update'],
  ['f', 'split'],
  ['d', 'update'],
  ['d', 'split'],
  ['i', 'update'],
  ['i', 'split'],
] as const)(
  'a copy of what a filter lets through is what it selects, whatever happened (identity %s, key_changes: %s)',
  async (identity, keyChanges) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(act, { maxLength: 40, size: 'max' }),
        fc.constantFrom(...FILTERS),
        async (acts, { text, selects }) => {
          const { messages, rows } = historyOf(acts, identity);
          const h = convertingIntake({ where: text, identity, settings: { keyChanges } }, messages);
          await h.walk();
          await h.drained();
          const delivered = h.endpoint.accepted.map(({ body }) => JSON.parse(body) as Body);
          const sorted = (list: readonly unknown[]) => list.map((row) => JSON.stringify(row)).sort();
          const key = identity === 'i' ? 'code' : 'id';
          expect(sorted(copyOf(delivered, key))).toEqual(sorted(rows.filter(selects)));
          expect(h.dead).toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
  },
);

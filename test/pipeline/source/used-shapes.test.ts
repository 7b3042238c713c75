// What rows of a table looked like before a Relation message, from what the store has of it. No server: the catalog is given.
import { expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import type { Partings } from '../../../src/core/partings.ts';
import { schemaSteps, type ShapeDifference, type TableShape } from '../../../src/core/schema-change.ts';
import type { RawRelation } from '../../../src/pgoutput/messages.ts';
import { ShapesInUse } from '../../../src/pipeline/source/used-shapes.ts';
import type { CatalogColumn } from '../../../src/postgres/catalog.ts';
import { openStore } from '../../../src/store/sqlite.ts';
import { silent } from '../../support/messages.ts';

const TEXT = 25;
const OWNER = { database: 'shop', server: 'a' };

type Columns = Readonly<Record<string, number>>;

type Described = {
  readonly id?: number;
  readonly name?: string;
  /** By name, the attribute's number. */
  readonly columns: Readonly<Record<string, number>>;
  readonly at: readonly [commitLsn: number, index: number];
  /** Of the transaction. */
  readonly xid?: number;
  /** Of the catalog's columns: who made them. */
  readonly alteredBy?: number;
  readonly epoch?: number;
  /** Names of the partitioned tables above it, the root first. */
  readonly above?: readonly string[];
};

const ROOT = 90;

function shapes(
  options: {
    partings?: Partings;
    store?: ReturnType<typeof openStore>;
    owner?: typeof OWNER;
    /** The columns of the tables above as the catalog has them. */
    root?: () => Columns;
  } = {},
) {
  const { partings = [], store = openStore(':memory:'), owner = OWNER, root = () => ({}) } = options;
  const inUse = new ShapesInUse({
    client: { query: () => Promise.resolve({ rows: [] }) } as never,
    owner,
    store: store.usedShapes,
    tables: (oids) => Promise.resolve(oids.map((oid) => tableOf(oid, 'unnamed', root()))),
    partings: () => partings,
    logger: silent,
  });
  const described = ({ id = 1, name = 't', columns, alteredBy = 0, above = [] }: Omit<Described, 'at'>) => {
    const raw: RawRelation = {
      id,
      schema: 'public',
      table: name,
      replicaIdentity: 'default',
      columns: Object.keys(columns).map((column, i) => ({
        name: column,
        type: TEXT,
        typeModifier: -1,
        identity: i === 0,
      })),
    };
    const catalog = Object.entries(columns).map(([column, number]) => ({
      name: column,
      type: TEXT,
      typeModifier: -1,
      typeName: 'text',
      nullable: true,
      number,
      columnXid: alteredBy,
    })) as unknown as CatalogColumn[];
    const ancestors = above.map((table, i) => ({ schema: 'public', table, oid: ROOT + i, published: true }));
    const enrichment = { relationId: id, key: undefined, types: new Map(), ancestors };
    return { raw, known: { enrichment, columns: catalog } };
  };
  const first = async ({ at, xid = 100, epoch = 0, ...what }: Described) => {
    const { raw, known } = described(what);
    await inUse.came(raw, { ...known, xid });
    return inUse.firstUse(raw.id, { epoch, commitLsn: toLsn(BigInt(at[0])), index: at[1] });
  };
  /** A row of a relation that was described before. */
  const next = ({ at, id = 1 }: Pick<Described, 'at' | 'id'>) =>
    inUse.firstUse(id, { epoch: 0, commitLsn: toLsn(BigInt(at[0])), index: at[1] });
  /** What is told. */
  const used = async (what: Described) => {
    const { schemaChange } = (await first(what)) ?? {};
    return schemaChange && wordsOf(schemaChange);
  };
  /** What is not, of each look that rows had before. */
  const usedUntold = async (what: Described) => (await first(what))?.untold?.map(wordsOf);
  /** A backfill's rows, behind the transaction committed at `behind`. */
  const read = (what: Omit<Described, 'at' | 'xid'>, behind: number) => {
    const { raw, known } = described(what);
    const last = { epoch: what.epoch ?? 0, commitLsn: toLsn(BigInt(behind)) };
    return inUse.read(raw, known, last).untold?.map(wordsOf);
  };
  return { first, next, described, used, usedUntold, read, inUse, write: () => inUse.write(), store };
}

const tableOf = (relationId: number, table: string, columns: Columns): TableShape => ({
  relationId,
  schema: 'public',
  table,
  columns: Object.entries(columns).map(([name, number]) => ({ name, type: TEXT, typeModifier: -1, number })),
});

const wordsOf = ({ before, after }: ShapeDifference): string =>
  schemaSteps(before, after)
    .map(({ change, ...what }) =>
      [change, ...Object.values(what).filter((each) => typeof each === 'string')].join(' '),
    )
    .join(', ');

test('the first shape of a table and an equal one are told to nobody, another one is', async () => {
  const { used } = shapes();
  expect(await used({ columns: { id: 1 }, at: [10, 0] })).toBeUndefined();
  expect(await used({ columns: { id: 1 }, at: [11, 0] })).toBeUndefined();
  expect(await used({ columns: { id: 1, a: 2 }, at: [12, 3] })).toBe('column_added a');
  expect(await used({ columns: { id: 1, a: 2 }, at: [13, 0] })).toBeUndefined();
});

test('read again, before a crash had all of it on the disk or after, the same is told at the same place', async () => {
  const first = shapes();
  const story: Described[] = [
    { columns: { id: 1 }, at: [10, 0] },
    { columns: { id: 1, a: 2 }, at: [12, 1] },
    { columns: { id: 1, b: 2 }, at: [12, 2] },
  ];
  const tell = async ({ used, write }: typeof first): Promise<unknown[]> => {
    const told: unknown[] = [];
    for (const each of story) told.push(await used(each));
    write();
    return told;
  };
  expect(await tell(first)).toEqual([undefined, 'column_added a', 'column_renamed a b']);
  const second = shapes({ store: first.store });
  expect(await tell(second)).toEqual([undefined, 'column_added a', 'column_renamed a b']);
  // A server sends a Relation at its first use on a connection, wherever that is.
  const third = shapes({ store: first.store });
  expect(await third.used({ columns: { id: 1 }, at: [11, 0] })).toBeUndefined();
  expect(await third.used(story[1]!)).toBe('column_added a');
  expect(await third.used({ columns: { id: 1, b: 2 }, at: [14, 0] })).toBeUndefined();
  // By then the catalog knew a later column under the name: what had been proved stands.
  const late = shapes({ store: first.store });
  expect(await late.used({ ...story[2]!, alteredBy: 200 })).toBe('column_renamed a b');
});

test('an attribute that was altered in the transaction or after it is not known to be the same', async () => {
  for (const alteredBy of [100, 101]) {
    const { used } = shapes();
    await used({ columns: { id: 1, a: 2 }, at: [10, 0], xid: 90 });
    expect(await used({ columns: { id: 1, b: 2 }, at: [12, 0], alteredBy })).toBe(
      'column_dropped a, column_added b',
    );
  }
});

test('shapes of a lost history, of another server and of another database are none', async () => {
  const { used, write, store } = shapes();
  await used({ columns: { id: 1 }, at: [10, 0] });
  await used({ columns: { id: 1, lost: 2 }, at: [20, 0] });
  write();
  const parted = shapes({ store, partings: [{ epoch: 1, lsn: toLsn(15n) }] });
  expect(await parted.used({ columns: { id: 1 }, at: [30, 0], epoch: 1 })).toBeUndefined();
  for (const owner of [
    { ...OWNER, server: 'b' },
    { ...OWNER, database: 'other' },
  ]) {
    const other = shapes({ store, owner });
    expect(await other.used({ columns: { id: 1, x: 2 }, at: [30, 0] })).toBeUndefined();
  }
});

test('a table that was made anew is compared with the one that had its name, one that was renamed with itself', async () => {
  const { used, write, store } = shapes();
  await used({ columns: { id: 1, a: 2 }, at: [10, 0] });
  expect(await used({ id: 2, columns: { id: 1, b: 2 }, at: [12, 0] })).toBe(
    'column_dropped a, column_added b',
  );
  expect(await used({ id: 2, name: 'u', columns: { id: 1, b: 2 }, at: [14, 0] })).toBe('table_renamed');
  write();
  const again = shapes({ store });
  expect(await again.used({ id: 3, name: 'u', columns: { id: 1, b: 2 }, at: [16, 0] })).toBeUndefined();
});

test('a store that does not take them is said, and what is known here is told all the same', async () => {
  const { used, write, store } = shapes();
  await used({ columns: { id: 1 }, at: [10, 0] });
  const add = store.usedShapes.add.bind(store.usedShapes);
  store.usedShapes.add = () => {
    throw new Error('database is locked');
  };
  write();
  expect(await used({ columns: { id: 1, a: 2 }, at: [12, 0] })).toBe('column_added a');
  store.usedShapes.add = add;
  write();
  const again = shapes({ store });
  expect(await again.used({ columns: { id: 1 }, at: [14, 0] })).toBe('column_dropped a');
});

test('of a table so many shapes are kept that a crash finds the ones before', async () => {
  const { used, write, store } = shapes();
  for (let n = 0; n < 100; n++) {
    await used({ columns: { id: 1, [`c${n}`]: n + 2 }, at: [10 + n, 0] });
    write();
  }
  const kept = store.usedShapes.of(OWNER, { relationId: 1, schema: 'public', table: 't' });
  expect(kept.map(({ at }) => at.commitLsn)).toEqual(Array.from({ length: 16 }, (_, n) => BigInt(94 + n)));
});

test('what a backfill reads is compared with the rows of the stream, and with what was read since, and told to nobody', async () => {
  const { used, usedUntold, read } = shapes();
  await used({ columns: { id: 1, a: 2 }, at: [10, 0] });
  expect(read({ columns: { id: 1, a: 2 } }, 10)).toBeUndefined();
  expect(read({ columns: { id: 1, b: 2 } }, 10)).toEqual(['column_renamed a b']);
  // Behind the same transaction, whatever altered the catalog last: it is of now.
  expect(read({ columns: { id: 1, c: 2 }, alteredBy: 200 }, 10)).toEqual([
    'column_renamed b c',
    'column_renamed a c',
  ]);
  expect(read({ columns: { id: 1, c: 2 } }, 10)).toEqual(['column_renamed b c', 'column_renamed a c']);
  expect(read({ columns: { id: 1, d: 2 } }, 10)).toHaveLength(3);
  // The stream's rows tell of what the stream's rows were before.
  expect(await used({ columns: { id: 1, c: 2 }, at: [20, 0] })).toBe('column_renamed a c');
  expect(await usedUntold({ columns: { id: 1, c: 2 }, at: [20, 0] })).toEqual([
    'column_renamed d c',
    'column_renamed b c',
  ]);
  expect(read({ columns: { id: 1, c: 2 } }, 20)).toBeUndefined();
});

test('of a table that only backfills have read its next rows are compared with those, after a restart too', async () => {
  const { read, write, store } = shapes();
  expect(read({ columns: { id: 1, a: 2 } }, 10)).toBeUndefined();
  write();
  const again = shapes({ store });
  expect(again.read({ columns: { id: 1, b: 2 } }, 10)).toEqual(['column_renamed a b']);
  expect(await again.usedUntold({ columns: { id: 1, b: 2 }, at: [12, 0] })).toEqual(['column_renamed a b']);
  expect(await again.used({ columns: { id: 1, b: 2 }, at: [12, 0] })).toBeUndefined();
  // What was lost with its history, or read of another table, is nothing.
  const parted = shapes({ store, partings: [{ epoch: 1, lsn: toLsn(5n) }] });
  expect(parted.read({ columns: { id: 1, b: 2 }, epoch: 1 }, 6)).toBeUndefined();
  expect(again.read({ id: 2, name: 'u', columns: { id: 1, c: 2 } }, 12)).toBeUndefined();
});

test('a table of which no row has come is compared with what it looked like before', async () => {
  const { used, usedUntold, inUse } = shapes();
  const t = { relationId: 1, schema: 'public', table: 't' };
  const look = (columns: Columns) => tableOf(1, 't', columns);
  expect(inUse.isUnseen(t)).toBe(true);
  inUse.looked([look({ id: 1, a: 2 })], { epoch: 0, commitLsn: toLsn(10n) });
  expect(inUse.isUnseen(t)).toBe(false);
  // One that was made anew under its name is another one.
  expect(inUse.isUnseen({ ...t, relationId: 2 })).toBe(true);
  inUse.looked([look({ id: 1, c: 2 })], { epoch: 0, commitLsn: toLsn(11n) });
  expect(await usedUntold({ columns: { id: 1, b: 2 }, at: [12, 0] })).toEqual(['column_renamed a b']);
  expect(await used({ columns: { id: 1, b: 2 }, at: [12, 0] })).toBeUndefined();
});

test('what was looked at in a lost history is looked at again', () => {
  const { inUse, store } = shapes();
  const look = tableOf(1, 't', { id: 1, a: 2 });
  inUse.looked([look], { epoch: 0, commitLsn: toLsn(20n) });
  const parted = shapes({ store, partings: [{ epoch: 1, lsn: toLsn(15n) }] });
  expect(parted.inUse.isUnseen(look)).toBe(true);
  expect(shapes({ store, partings: [{ epoch: 1, lsn: toLsn(25n) }] }).inUse.isUnseen(look)).toBe(false);
});

test('a store that does not take looks is asked once, and they are known here', () => {
  const { inUse, store } = shapes();
  let asked = 0;
  store.usedShapes.add = () => {
    asked++;
    throw new Error('database is locked');
  };
  const looks = Array.from({ length: 600 }, (_, i) => tableOf(i + 1, `t${i}`, { id: 1 }));
  expect(inUse.looked(looks, { epoch: 0, commitLsn: toLsn(20n) })).toBe(false);
  expect(asked).toBe(1);
  expect(inUse.isUnseen(looks[599]!)).toBe(false);
});

const namesAbove = (difference: ShapeDifference | undefined): unknown =>
  difference && [difference.before, difference.after].map(({ above }) => above?.map(({ table }) => table));

test('a partition that comes under other names, is attached or detached, looks otherwise', async () => {
  const { first, next, inUse, described } = shapes({ root: () => ({ id: 1 }) });
  const p = { columns: { id: 1 } };
  expect(await first({ ...p, at: [10, 0] })).toBeUndefined();
  expect(namesAbove((await first({ ...p, above: ['orders'], at: [11, 0] }))?.schemaChange)).toEqual([
    [],
    ['orders'],
  ]);
  expect(await first({ ...p, above: ['orders'], at: [12, 0] })).toBeUndefined();
  // A look at the catalog shows it; no Relation message comes.
  await inUse.placed(described({ ...p, above: ['sales'] }).known.enrichment, 100);
  const { schemaChange, untold } = next({ at: [13, 0] })!;
  expect(namesAbove(schemaChange)).toEqual([['orders'], ['sales']]);
  expect(untold?.map(wordsOf)).toEqual(['table_renamed']);
  expect(await first({ ...p, above: ['sales'], at: [14, 0] })).toBeUndefined();
  expect(namesAbove((await first({ ...p, at: [15, 0] }))?.schemaChange)).toEqual([['sales'], []]);
});

test('a shape that says nothing of what is above its table is that of any place', async () => {
  const { first, store, write } = shapes({ root: () => ({ id: 1 }) });
  const at = { epoch: 0, commitLsn: toLsn(10n), index: 0 };
  store.usedShapes.add(OWNER, [{ shape: tableOf(1, 't', { id: 1 }), at }]);
  expect(await first({ columns: { id: 1 }, above: ['orders'], at: [11, 0] })).toBeUndefined();
  write();
  expect((await first({ columns: { id: 1 }, at: [12, 0] }))?.schemaChange).toBeDefined();
  // Its root's name is known all the same.
  store.usedShapes.add(OWNER, [
    { shape: tableOf(2, 'u', { id: 1 }), at },
    { shape: tableOf(ROOT, 'orders', { id: 1 }), at },
  ]);
  const renamed = await first({ id: 2, name: 'u', columns: { id: 1 }, above: ['sales'], at: [13, 0] });
  expect(renamed?.untold?.map(wordsOf)).toEqual(['table_renamed']);
});

test('a partition of which no row has come is compared with what is known of its root, however it was looked at since', async () => {
  let root: Columns = { id: 1, ssn: 3 };
  const { first, usedUntold, read, inUse, store, write } = shapes({ root: () => root });
  const last = { epoch: 0, commitLsn: toLsn(5n) };
  inUse.looked([tableOf(ROOT, 'orders', root)], last);
  expect(await first({ columns: { id: 1, ssn: 2 }, above: ['orders'], at: [10, 0] })).toBeUndefined();
  root = { id: 1, ssn2: 3 };
  inUse.looked([tableOf(2, 'made', { id: 1, ssn2: 2 })], last);
  const made = { id: 2, name: 'made', columns: { ssn2: 2, id: 1 }, above: ['orders'] };
  expect(read({ ...made, id: 3, name: 'other' }, 10)).toBeUndefined();
  expect(await usedUntold({ ...made, at: [11, 0] })).toContain('column_renamed ssn ssn2');
  write();
  // After a crash the same is answered at the same place.
  const again = shapes({ store, root: () => root });
  expect(await again.usedUntold({ ...made, at: [11, 0] })).toContain('column_renamed ssn ssn2');
  // From there on the root is what it was there.
  expect(await again.first({ ...made, id: 4, name: 'next', at: [12, 0] })).toBeUndefined();
  expect(await again.usedUntold({ ...made, id: 5, name: 'last', above: ['sales'], at: [13, 0] })).toEqual([
    'table_renamed',
  ]);
});

test('a partition that a backfill reads first is compared with what is known of its root, too', async () => {
  let root: Columns = { id: 1, ssn: 3 };
  const { read, inUse, described } = shapes({ root: () => root });
  inUse.looked([tableOf(ROOT, 'orders', root)], { epoch: 0, commitLsn: toLsn(5n) });
  root = { id: 1, ssn2: 3 };
  const made = { id: 2, name: 'made', columns: { id: 1, ssn2: 2 }, above: ['orders'] };
  await inUse.lookAbove(described(made).known.enrichment, undefined);
  expect(read(made, 10)).toEqual(['column_renamed ssn ssn2']);
  await inUse.lookAbove(described(made).known.enrichment, undefined);
  expect(read(made, 10)).toBeUndefined();
});

// Which tables are looked at before their first rows. No server: the catalog is given.
import { expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import type { Look, TableVersions } from '../../../src/core/look.ts';
import type { TableShape } from '../../../src/core/schema-change.ts';
import { tablePattern } from '../../../src/core/selection.ts';
import type { SinkNames } from '../../../src/core/wanted-names.ts';
import { firstLooks } from '../../../src/pipeline/source/first-looks.ts';
import { namesOf } from '../../../src/pipeline/source/wanted-names.ts';
import { loadText } from '../../config/load-config.ts';

const named = (table: string) => ({ schema: 'public', table });
const carried = (table: string, oid: number, more: Partial<TableVersions> = {}): TableVersions => ({
  ...named(table),
  oid,
  shape: 'v',
  ...more,
});
/** Of a sink that keeps something of the table here. */
const sink = (table: string, keepsBack = true): SinkNames => ({
  sink: {
    name: 's',
    tables: [{ pattern: tablePattern(named(table)), ...(keepsBack && { keepsBack }) }],
    destinationTables: [],
    groups: [],
    actions: ['insert'],
  },
});

type Options = {
  readonly selections: readonly SinkNames[];
  readonly seen?: readonly number[];
  /** Is the store free? */
  readonly isNoted?: () => boolean;
};

/** A connection that looks: what each look asks the catalog for, and notes. */
function connection({ selections, seen = [], isNoted = () => true }: Options) {
  const questions: (readonly number[])[] = [];
  const noted: TableShape[] = [];
  let judged = 0;
  const shape = (relationId: number): TableShape => ({ ...named('t'), relationId, columns: [] });
  const note = firstLooks({
    client: {
      query: (text: string, [oids, publication]: readonly [readonly number[], string]) => {
        expect(publication).toBe('p');
        if (text.includes('recursive'))
          return Promise.resolve({ rows: oids.map((oid) => ({ oid, partitioned: false, links: LINKS })) });
        questions.push(oids);
        return Promise.resolve({ rows: oids.map(shape) });
      },
    } as never,
    context: { publication: 'p', serverVersion: 180_000 },
    selections,
    shapes: {
      isUnseen: ({ relationId }) => {
        judged++;
        return !seen.includes(relationId) && !noted.some((each) => each.relationId === relationId);
      },
      looked: (shapes, last) => {
        expect(last).toEqual({ epoch: 3, commitLsn: 7n });
        if (!isNoted()) return false;
        noted.push(...shapes);
        return true;
      },
    },
    last: () => ({ epoch: 3, commitLsn: toLsn(7n) }),
  });
  const look = (tables: readonly TableVersions[], fold = 'one'): Promise<void> =>
    note({ publication: 'p', fold, catalog: { tables } } as unknown as Look);
  return { look, questions, noted, judged: () => judged };
}

const LINKS = [{ oid: 9, ...named('root'), published: true, since: 0, sinceMade: true }];

/** The OIDs that the catalog is asked for; undefined: it is not asked. */
async function asked(
  tables: readonly TableVersions[],
  selections: readonly SinkNames[],
  seen: readonly number[] = [],
): Promise<readonly number[] | undefined> {
  const { look, questions, noted } = connection({ selections, seen });
  await look(tables);
  expect(noted.map(({ relationId }) => relationId)).toEqual(questions.flat());
  for (const { above } of noted) expect(above).toEqual([{ ...named('root'), published: true }]);
  return questions[0];
}

test('tables of which a sink keeps something back are looked at, once', async () => {
  const tables = [carried('a', 1), carried('b', 2), carried('c', 3)];
  expect(await asked(tables, [sink('a'), sink('c')])).toEqual([1, 3]);
  expect(await asked(tables, [sink('a'), sink('c')], [1])).toEqual([3]);
  expect(await asked(tables, [sink('a')], [1])).toBeUndefined();
  expect(await asked(tables, [sink('a', false), {}])).toBeUndefined();
});

test('partitions are, by whatever name a sink reads them', async () => {
  const root = carried('root', 1, {
    partitions: [{ ...named('p1'), oid: 2 }, { ...named('p2'), oid: 3 }, named('of an older look')],
  });
  expect(await asked([root], [sink('root')], [3])).toEqual([1, 2]);
  expect(await asked([root], [sink('p2')])).toEqual([1, 2, 3]);
  const leaf = carried('p1', 2, { above: [named('root')] });
  expect(await asked([leaf], [sink('root')])).toEqual([2]);
});

test('a look that shows nothing new is passed over, unless the store did not take all of the one before', async () => {
  let isFree = false;
  const tables = Array.from({ length: 600 }, (_, i) => carried(`t${i}`, i + 1));
  const selections = tables.map(({ table }) => sink(table));
  const { look, questions, noted, judged } = connection({ selections, isNoted: () => isFree });
  await look(tables);
  // It waits long for a busy store, and once a look is enough.
  expect(questions.map(({ length }) => length)).toEqual([256]);
  isFree = true;
  await look(tables);
  expect(questions.map(({ length }) => length)).toEqual([256, 256, 256, 88]);
  expect(noted).toHaveLength(600);
  const before = judged();
  await look(tables);
  expect(judged()).toBe(before);
  await look([...tables, carried('t0', 601)], 'another');
  expect(noted).toHaveLength(601);
});

test.each([
  ['mask: { x: redact }', true],
  ['exclude_columns: [x]', true],
  ['columns: [x]', true],
  ['where: "x = 1"', true],
  ['rename: { x: y }', undefined],
  ['group_column_names: [x]', undefined],
])('of an entry with %s that is said: %s', async (options, keeps) => {
  const { settings } =
    await loadText(`databases: [{ name: d, database: d, hostname: h, slot: { name: s }, publication: { name: p } }]
sinks: [{ name: s, tables: [{ name: public.t, ${options} }], destination: { type: sqs, queue_name: q } }]`);
  expect(namesOf(settings.sinks[0]!).sink!.tables[0]!.keepsBack).toBe(keeps);
});

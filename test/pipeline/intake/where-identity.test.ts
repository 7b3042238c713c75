// What a table's replica identity keeps from a filter, and who is told of it.
import { beforeAll, expect, test } from 'vitest';
import type { Relation } from '../../../src/core/change.ts';
import { tablePattern } from '../../../src/core/selection.ts';
import { loadFilterParser, type FilterParser } from '../../../src/functions/where/parser.ts';
import {
  blindnessFindings,
  deletesTeller,
  outsideIdentity,
  type Blindness,
} from '../../../src/pipeline/intake/where-identity.ts';
import type { PlacedFilter, SinkSettings } from '../../../src/pipeline/settings.ts';

const INT4 = 23;

let parse: FilterParser;
beforeAll(async () => {
  parse = await loadFilterParser();
});
const filter = (text: string): PlacedFilter => ({ ...parse(text), place: 'here' });

const relationOf = (what: Partial<Relation> = {}): Relation => ({
  id: 1,
  schema: 'public',
  table: 'orders',
  replicaIdentity: 'default',
  columns: ['id', 'size', 'note'].map((name) => ({
    name,
    type: INT4,
    typeModifier: -1,
    identity: name === 'id',
  })),
  key: ['id'],
  types: new Map(),
  ...what,
});

const SETTINGS = {
  name: 'users',
  selection: {},
  tables: [],
  actions: ['insert', 'update', 'delete'],
  onAbsent: 'dead_letter',
  deletesOutside: 'deliver',
  whereMoves: 'ignore',
} as const satisfies Partial<SinkSettings>;

test('of a deleted row the columns beyond the identity are not known, of old.x and new.x nothing more is asked', () => {
  const outside = (text: string, what?: Partial<Relation>) => outsideIdentity(relationOf(what), filter(text));
  expect(outside('size > 1 and id > 2 and size < 9')).toEqual(['size']);
  expect(outside('note = 2 or size = 1')).toEqual(['size', 'note']);
  expect(outside('id > 2 and new.size > 1 and old.id = 1')).toEqual([]);
  expect(outside('size > 1', { replicaIdentity: 'full' })).toEqual([]);
});

test('a start says once of each table whose deletes are not judged what becomes of them, with the cure', () => {
  const lines = (settings: Partial<SinkSettings>, relations: readonly Relation[]) => {
    const said: string[] = [];
    const tell = deletesTeller({ ...SETTINGS, ...settings }, ({ table, columns, cure }, message) =>
      said.push(`${String(table)} ${String(columns)} ${String(cure)} ${message}`),
    );
    for (const relation of relations) tell!(relation);
    return said;
  };
  const where = filter('size > 1');
  const root = { schema: 'public', table: 'orders', oid: 9, published: true };
  const partitions = ['p1', 'p2'].map((table, i) => relationOf({ id: i, table, ancestors: [root] }));
  const cure = (table: string) => `ALTER TABLE "public"."${table}" REPLICA IDENTITY FULL;`;
  const message = 'deletes of a table are not judged by where, their columns are not sent:';
  expect(lines({ where }, [relationOf(), relationOf(), relationOf({ partitioned: true })])).toEqual([
    `public.orders size ${cure('orders')} ${message} every delete is delivered`,
  ]);
  expect(lines({ where, deletesOutside: 'drop' }, partitions)).toEqual([
    `public.orders size ${cure('p1')} ${message} no delete is delivered`,
  ]);
  expect(lines({ where, whereMoves: 'convert' }, [relationOf()])).toEqual([
    `public.orders size ${cure('orders')} ${message} every delete is delivered, and every update of a row outside becomes a delete by key`,
  ]);
  const tables = [{ pattern: tablePattern({ schema: 'public', table: 'others' }), where }];
  expect(lines({ tables }, [relationOf()])).toEqual([]);
  expect(lines({ where, actions: ['insert', 'update'] }, [relationOf()])).toEqual([]);
  expect(lines({ where }, [relationOf({ replicaIdentity: 'full' })])).toEqual([]);
  expect(deletesTeller(SETTINGS, () => undefined)).toBeUndefined();
});

test('partitions that lack the same are one finding, which names the first of them', () => {
  const name = { schema: 'public', table: 'orders' };
  const of = (table: string, columns: string[]): Blindness => ({
    sink: SETTINGS,
    name,
    table: { schema: 'public', table },
    of: 'deleted',
    columns,
  });
  const many = Array.from({ length: 5 }, (_, i) => of(`p${i}`, ['size']));
  const [one, other, ...rest] = blindnessFindings([...many, of('q', ['size', 'note'])]);
  expect(rest).toEqual([]);
  expect(one).toMatchObject({
    ok: false,
    severity: 'warning',
    code: 'WHERE_DELETES_UNJUDGED',
    detail: expect.stringMatching(
      /^of public\.p0, public\.p1, public\.p2 \(and 2 more\) where asks for size,/,
    ),
  });
  expect(one!.cure).toMatch(/^ALTER TABLE "public"\."p0" .*"p2" REPLICA IDENTITY FULL; \(and 2 more\)$/);
  expect(other!.detail).toMatch(/^of public\.q where asks for size, note,/);
});

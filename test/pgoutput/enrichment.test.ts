import { expect, test } from 'vitest';
import type { TypeCatalog } from '../../src/core/change.ts';
import {
  buildRelation,
  decodeEnrichment,
  encodeEnrichment,
  isKeyProven,
} from '../../src/pgoutput/enrichment.ts';
import type { RawRelation } from '../../src/pgoutput/messages.ts';

const types: TypeCatalog = new Map([
  [16_400, { kind: 'enum', name: 'mood' }],
  [16_401, { kind: 'array', name: '_mood', element: 16_400, delimiter: ',' }],
  [16_402, { kind: 'composite', name: 'pair', attributes: [{ name: '__proto__', type: 23 }] }],
]);

function relationWith(
  replicaIdentity: RawRelation['replicaIdentity'],
  identityColumns: readonly string[],
): RawRelation {
  const columns = ['id', 'name', 'surname'].map((name) => ({
    name,
    type: 25,
    typeModifier: -1,
    identity: identityColumns.includes(name),
  }));
  return { id: 1, schema: 'public', table: 't', replicaIdentity, columns };
}

const keyOf = (raw: RawRelation, key: readonly string[] | undefined): readonly string[] =>
  buildRelation(raw, { relationId: 1, key, types: new Map() }).key;

test('an enrichment is read back as it was written, from the middle of a buffer', () => {
  for (const key of [undefined, [], ['surname', 'näme']]) {
    const frame = encodeEnrichment({ relationId: 4_000_000_000, key, types });
    expect(frame[0]).toBe('e'.charCodeAt(0));
    const buffer = Buffer.concat([Buffer.from('xx'), frame, Buffer.from('yy')]);
    expect(decodeEnrichment(buffer, 2, 2 + frame.length)).toEqual({ relationId: 4_000_000_000, key, types });
  }
});

test('whose partition a relation is, and which columns are only sent along, are read back too', () => {
  const raw = relationWith('default', ['id']);
  const said = {
    relationId: 1,
    key: ['id'],
    types,
    ancestors: [{ oid: 4_000_000_000, schema: 'public', table: 'root', published: true }],
    generated: ['surname'],
  };
  const relation = buildRelation(raw, decodeEnrichment(encodeEnrichment(said), 0));
  expect(relation.ancestors).toEqual(said.ancestors);
  expect(relation.columns.map(({ generated }) => generated)).toEqual([undefined, undefined, true]);
  const root = { relationId: 1, key: [], types, partitioned: true } as const;
  expect(buildRelation(raw, decodeEnrichment(encodeEnrichment(root), 0)).partitioned).toBe(true);
  // As log format 2 has it.
  const old = Buffer.from('e{"id":1,"key":["id"],"keySince":0,"types":{}}');
  expect(buildRelation(raw, decodeEnrichment(old, 0))).toEqual({ ...raw, key: ['id'], types: new Map() });
});

test('a key that the catalog alone says is proven for transactions after the one that made it', () => {
  const full = relationWith('full', ['id', 'name', 'surname']);
  const since = (raw: RawRelation, keySince: number | undefined) =>
    buildRelation(
      raw,
      decodeEnrichment(encodeEnrichment({ relationId: 1, key: ['id'], keySince, types }), 0),
    );
  expect([9, 10, 11].map((xid) => isKeyProven(since(full, 10), xid))).toEqual([false, false, true]);
  expect(isKeyProven(since(full, 0), 3)).toBe(true);
  expect(isKeyProven(since(full, undefined), 3)).toBe(false);
  expect(isKeyProven(since(relationWith('default', ['id']), 10), 9)).toBe(true);
  expect(isKeyProven(since(relationWith('nothing', []), 10), 9)).toBe(false);
});

test('the catalog gives a composite key its own order (C063)', () => {
  expect(keyOf(relationWith('default', ['id', 'surname']), ['surname', 'id'])).toEqual(['surname', 'id']);
});

test('the stream wins over a catalog that has another key by now (C111)', () => {
  expect(keyOf(relationWith('default', ['id']), ['surname'])).toEqual(['id']);
  expect(keyOf(relationWith('default', ['id']), ['id', 'surname'])).toEqual(['id']);
});

test('without a catalog the flags are the key', () => {
  expect(keyOf(relationWith('default', ['id', 'surname']), undefined)).toEqual(['id', 'surname']);
  expect(buildRelation(relationWith('default', ['id']), undefined).key).toEqual(['id']);
});

test('under FULL the key comes from the catalog alone (C057)', () => {
  const full = relationWith('full', ['id', 'name', 'surname']);
  expect(keyOf(full, ['id'])).toEqual(['id']);
  expect(keyOf(full, undefined)).toEqual([]);
  expect(keyOf(full, ['dropped_since'])).toEqual([]);
});

test('under an index identity the key is what every event carries (C058)', () => {
  expect(keyOf(relationWith('index', ['name']), ['id'])).toEqual(['name']);
});

test('a table whose identity index was dropped is keyed by its primary key, if it has one (C060)', () => {
  expect(keyOf(relationWith('index', []), ['id'])).toEqual(['id']);
  expect(keyOf(relationWith('nothing', []), undefined)).toEqual([]);
});

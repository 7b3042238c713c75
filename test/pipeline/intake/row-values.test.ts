// What a row says apart from its message: values for routes, key and unchanged columns for sinks that ask.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../../src/core/byte-writer.ts';
import { createRowEvent, type Relation, type RowAction, type RowEvent } from '../../../src/core/change.ts';
import { compileMasks, NO_MASKS, type Masks } from '../../../src/functions/columns/masks.ts';
import { RowFactReader, RowTexts, valueWriter } from '../../../src/pipeline/intake/row-values.ts';
import { buildRelation } from '../../../src/pgoutput/enrichment.ts';
import { decodeRelation, decodeRow } from '../../../src/pgoutput/messages.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  UNCHANGED,
  updateMessage,
  type Cell,
} from '../../support/pgoutput-messages.ts';

const NAMES = ['id', 'tenant', 'note', 'body'];

const relationOf = (identity: 'd' | 'f' | 'n'): Relation =>
  buildRelation(
    decodeRelation(
      relationMessage({
        id: 1,
        schema: 'public',
        table: 'users',
        identity,
        columns: NAMES.map((name) => ({
          name,
          type: 25,
          identity: identity === 'f' || (identity === 'd' && ['id', 'tenant'].includes(name)),
        })),
      }),
      0,
    ),
    undefined,
  );

const columns = (...names: string[]): { index: number; name: string }[] =>
  names.map((name) => ({ index: NAMES.indexOf(name), name }));
const byKey = relationOf('d');
const full = { ...relationOf('f'), key: ['tenant', 'id'] };

/** `action`: of half an update. */
function decoded(message: Buffer, action?: RowAction): RowEvent {
  const event = createRowEvent();
  decodeRow(message, 0, message.length, event);
  if (action !== undefined) event.action = action;
  return event;
}

const textsOf = (relation: Relation, event: RowEvent): (string | null | undefined)[] => {
  const texts = new RowTexts(relation, NO_MASKS).of(event);
  return NAMES.map((name) => texts.text(name));
};

describe('the values of a row are', () => {
  test('of an insert those that it has', () => {
    const event = decoded(insertMessage(1, ['1', 'é', null, '']));
    expect(textsOf(byKey, event)).toEqual(['1', 'é', null, '']);
    expect(new RowTexts(byKey, NO_MASKS).of(event).text('no such column')).toBeUndefined();
  });

  test('of an update those after it; what did not change and was not sent is not known without the old row', () => {
    const row: Cell[] = ['2', 'a', 'n', UNCHANGED];
    expect(textsOf(byKey, decoded(updateMessage(1, row)))).toEqual(['2', 'a', 'n', undefined]);
    const old = { kind: 'full' as const, row: ['1', 'a', 'm', 'long'] };
    expect(textsOf(full, decoded(updateMessage(1, row, old)))).toEqual(['2', 'a', 'n', 'long']);
  });

  test('before an update, as far as they are known: of the identity also where no old row was sent', () => {
    const before = (relation: Relation, event: RowEvent) => {
      const texts = new RowTexts(relation, NO_MASKS).of(event);
      return NAMES.map((name) => texts.old(name));
    };
    const row: Cell[] = ['2', 'a', 'n', UNCHANGED];
    expect(before(byKey, decoded(updateMessage(1, row)))).toEqual(['2', 'a', undefined, undefined]);
    const key = { kind: 'key' as const, row: ['1', 'a', null, null] };
    expect(before(byKey, decoded(updateMessage(1, row, key)))).toEqual(['1', 'a', undefined, undefined]);
    const old = { kind: 'full' as const, row: ['1', 'b', null, 'long'] };
    expect(before(full, decoded(updateMessage(1, row, old)))).toEqual(['1', 'b', null, 'long']);
    const insert = decoded(insertMessage(1, ['1', 'a', 'n', '']));
    expect(before(full, insert)).toEqual([undefined, undefined, undefined, undefined]);
  });

  test('of a delete those before it, as far as they were sent', () => {
    const key = { kind: 'key' as const, row: ['1', 'a', null, null] };
    expect(textsOf(byKey, decoded(deleteMessage(1, key)))).toEqual(['1', 'a', undefined, undefined]);
    const whole = { kind: 'full' as const, row: ['1', 'a', null, 'b'] };
    expect(textsOf(full, decoded(deleteMessage(1, whole)))).toEqual(['1', 'a', null, 'b']);
  });

  test('of half an update that changed the key those of its half', () => {
    const message = updateMessage(1, ['2', 'b', 'n', 'y'], { kind: 'key', row: ['1', 'a', null, null] });
    expect(textsOf(byKey, decoded(message, 'delete'))).toEqual(['1', 'a', undefined, undefined]);
    expect(textsOf(byKey, decoded(message, 'insert'))).toEqual(['2', 'b', 'n', 'y']);
  });
});

describe('the facts of a row are', () => {
  test('its key, in the key’s order, and the unchanged columns that its message leaves out', () => {
    const facts = new RowFactReader(
      { ...byKey, key: ['tenant', 'id'] },
      columns('id', 'tenant', 'body'),
      NO_MASKS,
    );
    expect(facts.read(decoded(updateMessage(1, ['1', 'a', UNCHANGED, UNCHANGED])))).toEqual({
      key: [
        { name: 'tenant', text: 'a' },
        { name: 'id', text: '1' },
      ],
      // `note` is none of the message's columns.
      unchangedColumns: ['body'],
    });
  });

  test('without unchanged columns where the old row has their values, but for a NULL, which says that it does not', () => {
    const facts = new RowFactReader(full, columns(...NAMES), NO_MASKS);
    const old = { kind: 'full' as const, row: ['1', 'a', null, 'long'] };
    expect(
      facts.read(decoded(updateMessage(1, ['1', 'a', UNCHANGED, UNCHANGED], old))).unchangedColumns,
    ).toEqual(['note']);
  });

  test('of a delete the key as it was, and nothing unchanged', () => {
    const facts = new RowFactReader(full, columns(...NAMES), NO_MASKS);
    const deleted = decoded(deleteMessage(1, { kind: 'full', row: ['1', 'a', 'n', UNCHANGED] }));
    expect(facts.read(deleted)).toEqual({
      key: [
        { name: 'tenant', text: 'a' },
        { name: 'id', text: '1' },
      ],
      unchangedColumns: [],
    });
  });

  test('of a table without a key no key', () => {
    const facts = new RowFactReader({ ...relationOf('n'), key: [] }, columns(...NAMES), NO_MASKS);
    expect(facts.read(decoded(insertMessage(1, ['1', 'a', 'n', 'b'])))).toEqual({
      key: [],
      unchangedColumns: [],
    });
  });
});

test('as part of a JSON string a value is what it is as a text: NULL, absent, before and after, masked or not', () => {
  const cell = fc.oneof(fc.constant(null), fc.string({ unit: 'binary' }));
  const row = fc.tuple(fc.string(), fc.string(), cell, fc.oneof(cell, fc.constant(UNCHANGED)));
  const masks = compileMasks(
    {
      mask: new Map([
        ['note', { kind: 'email' }],
        ['body', { kind: 'null' }],
      ]),
    },
    undefined,
  );
  const told = (
    relation: Relation,
    event: RowEvent,
    part: { image: 'row' | 'old'; name: string },
    by: Masks,
  ) => {
    const writer = new ByteWriter(1);
    const how = valueWriter(relation, part, by)(event, writer);
    const written = writer.buffer.toString('utf8', 0, writer.length);
    if (how !== 'written' && written === '') return how === 'null' ? null : undefined;
    return JSON.parse(`"${written}"`) as string;
  };
  const olds = fc.constantFrom('none', 'key', 'full');
  fc.assert(
    fc.property(row, row, olds, fc.boolean(), (now, before, kind, isMasked) => {
      const relation = kind === 'full' ? full : byKey;
      const known = before.map((text) => (text === UNCHANGED ? 'x' : text));
      const old =
        kind === 'none'
          ? undefined
          : { kind, row: kind === 'key' ? [...known.slice(0, 2), null, null] : known };
      const event = decoded(updateMessage(1, now, old));
      const by = isMasked ? masks : NO_MASKS;
      const texts = new RowTexts(relation, by).of(event);
      for (const name of [...NAMES, 'no such column']) {
        expect(told(relation, event, { image: 'row', name }, by)).toBe(texts.text(name));
        expect(told(relation, event, { image: 'old', name }, by)).toBe(texts.old(name));
      }
    }),
  );
});

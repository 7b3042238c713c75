// Texts of messages in their places: found all, and others put there without a scratch to the rest.
import { expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { createRowEvent, isDamaged, NULL_VALUE, UNCHANGED_TOAST } from '../../src/core/change.ts';
import { longMarker } from '../../src/pgoutput/long-markers.ts';
import {
  decodeLogicalMessage,
  decodeOrigin,
  decodeRelation,
  decodeRow,
  decodeType,
  MESSAGE,
} from '../../src/pgoutput/messages.ts';
import { textsOf, writeReplaced } from '../../src/pgoutput/texts.ts';
import {
  deleteMessage,
  insertMessage,
  int32,
  int64,
  logicalMessage,
  relationMessage,
  text,
  truncateMessage,
  uint8,
  UNCHANGED,
  updateMessage,
} from '../support/pgoutput-messages.ts';

const upper = (bytes: Buffer, start: number, end: number): Buffer =>
  Buffer.from(`<${bytes.toString('utf8', start, end).toUpperCase()}>`);

/** Every text in capitals and longer; values that begin with `d` are damaged. */
function replaced(message: Buffer): Buffer {
  const padded = Buffer.concat([Buffer.from('xx'), message, Buffer.from('yy')]);
  const end = 2 + message.length;
  const writer = new ByteWriter(8);
  const replacements = [...textsOf(padded, 2, end)].map((place) => ({
    place,
    text: { utf8: upper(padded, place.start, place.end), isDamaged: padded[place.start] === 0x64 },
  }));
  writeReplaced(padded, 2, end, replacements, writer);
  return writer.buffer.subarray(0, writer.length);
}

function rowOf(message: Buffer) {
  const event = createRowEvent();
  decodeRow(message, 0, message.length, event);
  const values = ({ columnCount, starts, lengths }: typeof event.newTuple): unknown[] =>
    Array.from({ length: columnCount }, (_, i) =>
      lengths[i] === NULL_VALUE
        ? null
        : lengths[i] === UNCHANGED_TOAST
          ? UNCHANGED
          : message.toString('utf8', starts[i], starts[i]! + lengths[i]!),
    );
  const damaged = (tuple: typeof event.newTuple): number[] =>
    Array.from({ length: tuple.columnCount }, (_, i) => i).filter((i) => isDamaged(tuple, i));
  return {
    kind: event.oldKind,
    new: values(event.newTuple),
    old: values(event.oldTuple),
    damaged: [damaged(event.newTuple), damaged(event.oldTuple)],
  };
}

test('the columns of new and old rows, with the damaged ones marked', () => {
  expect(rowOf(replaced(insertMessage(1, ['a', null, UNCHANGED, 'dé', ''])))).toEqual({
    kind: 'none',
    new: ['<A>', null, UNCHANGED, '<DÉ>', '<>'],
    old: [],
    damaged: [[3], []],
  });
  const update = updateMessage(7, ['b', 'c'], { kind: 'full', row: ['d', null] });
  expect(rowOf(replaced(update))).toEqual({
    kind: 'full',
    new: ['<B>', '<C>'],
    old: ['<D>', null],
    damaged: [[], [0]],
  });
  expect(rowOf(replaced(deleteMessage(7, { kind: 'key', row: ['k', null] })))).toEqual({
    kind: 'key',
    new: [],
    old: ['<K>', null],
    damaged: [[], []],
  });
});

test('one row’s damage is not the next one’s', () => {
  const event = createRowEvent();
  const damaged = replaced(updateMessage(1, ['d'], { kind: 'full', row: ['d'] }));
  decodeRow(damaged, 0, damaged.length, event);
  expect([isDamaged(event.newTuple, 0), isDamaged(event.oldTuple, 0)]).toEqual([true, true]);
  const whole = insertMessage(1, ['a']);
  decodeRow(whole, 0, whole.length, event);
  expect([isDamaged(event.newTuple, 0), isDamaged(event.oldTuple, 0)]).toEqual([false, false]);
});

test('the names of relations, types and origins, and a logical message’s prefix and content', () => {
  const columns = [
    { name: 'id', type: 23, identity: true },
    { name: 'note', type: 25, typeModifier: 12 },
  ];
  const relation = replaced(relationMessage({ id: 9, schema: 's', table: 't', identity: 'd', columns }));
  expect(decodeRelation(relation, 0)).toMatchObject({
    id: 9,
    schema: '<S>',
    table: '<T>',
    replicaIdentity: 'default',
    columns: [
      { name: '<ID>', type: 23, identity: true },
      { name: '<NOTE>', type: 25, typeModifier: 12, identity: false },
    ],
  });
  const type = replaced(Buffer.concat([uint8(MESSAGE.type), int32(5), text('s'), text('mood')]));
  expect(decodeType(type, 0)).toEqual({ id: 5, schema: '<S>', name: '<MOOD>' });
  const origin = replaced(Buffer.concat([uint8(MESSAGE.origin), int64(3n), text('here')]));
  expect(decodeOrigin(origin, 0)).toEqual({ commitLsn: 3n, name: '<HERE>' });
  const message = decodeLogicalMessage(replaced(logicalMessage('p', 'c')), 0);
  expect(message).toMatchObject({ prefix: '<P>', content: Buffer.from('<C>') });
});

test('a message without texts is left as it is', () => {
  const truncate = truncateMessage([1, 2]);
  expect(replaced(truncate)).toEqual(truncate);
});

test('a marker that is too long keeps its prefix and says nothing; anybody else’s message is not kept', () => {
  const long = (prefix: string): Buffer | undefined =>
    longMarker(logicalMessage(prefix, '{}').subarray(0, 60));
  const kept = decodeLogicalMessage(long('tailrace:skip')!, 0);
  expect(kept).toMatchObject({ transactional: true, prefix: 'tailrace:skip', content: Buffer.from([0xff]) });
  expect(long('somebody')).toBeUndefined();
  expect(longMarker(Buffer.from(`M123456789${'x'.repeat(200)}`))).toBeUndefined();
});

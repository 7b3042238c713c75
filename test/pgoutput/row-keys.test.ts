// What rows are told apart by: the same of a row whether it came by the stream or in a chunk.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRowEvent } from '../../src/core/change.ts';
import { decodeRow } from '../../src/pgoutput/messages.ts';
import { hashInRow, hashOfKey, joined, keyTexts } from '../../src/pgoutput/row-keys.ts';
import { insertMessage } from '../support/pgoutput-messages.ts';

const event = createRowEvent();
const value = fc.string({ unit: fc.constantFrom('a', 'b', 'ä', '€', ' ', ':', '1') });

test('the hash of a row in a chunk is that of its key, whatever columns it has, in any order', () => {
  const row = fc.array(fc.option(value), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(row, fc.infiniteStream(fc.nat()), (columns, order) => {
      const message = insertMessage(1, columns);
      const indexes = columns
        .map((_, i) => ({ i, by: order.next().value! }))
        .toSorted((a, b) => a.by - b.by)
        .slice(0, 3)
        .map(({ i }) => i);
      decodeRow(message, 0, message.length, event);
      const key = keyTexts(event, event.newTuple, undefined, indexes);
      const moved = Buffer.concat([Buffer.alloc(7), message]);
      expect(hashInRow(moved, 7, indexes)).toBe(key === undefined ? undefined : hashOfKey(joined(key)));
    }),
  );
});

test('keys that differ have texts that differ, wherever one value ends', () => {
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 2, maxLength: 2 }),
      fc.array(value, { minLength: 2, maxLength: 2 }),
      (a, b) => {
        expect(joined(a) === joined(b)).toBe(a[0] === b[0] && a[1] === b[1]);
      },
    ),
  );
  expect(hashOfKey(joined(['ab', 'c']))).not.toBe(hashOfKey(joined(['a', 'bc'])));
});

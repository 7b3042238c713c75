// Which description of a table is in force behind a transaction that was read back: the one that came last on the connection.
import { expect, test } from 'vitest';
import { RelationOrder } from '../../../../src/pipeline/source/spool/relation-order.ts';

const ID = 7;
const described = (number: number, text: string) => new Map([[ID, { number, message: Buffer.from(text) }]]);
const texts = (messages: readonly Buffer[]): string[] => messages.map(String);

test('what the server sent after the spool was described is in force again behind it', () => {
  const order = new RelationOrder();
  const inSpool = order.next();
  order.came(ID, Buffer.from('later'));
  expect(texts(order.readBack(described(inSpool, 'earlier')))).toEqual(['later']);
  // Behind another spool as well, as old as the first.
  expect(texts(order.readBack(described(inSpool, 'earlier')))).toEqual(['later']);
});

test('what a spool described last is in force from then on, whatever came before it', () => {
  const order = new RelationOrder();
  const early = order.next();
  order.came(ID, Buffer.from('before'));
  expect(order.readBack(described(order.next(), 'in the spool'))).toEqual([]);
  expect(texts(order.readBack(described(early, 'long ago')))).toEqual(['in the spool']);
});

test('what says the same is not said again', () => {
  const order = new RelationOrder();
  const inSpool = order.next();
  order.came(ID, Buffer.from('same'));
  expect(order.readBack(described(inSpool, 'same'))).toEqual([]);
});

// Arenas of several sinks of a thread, which take each other's: nobody writes over what somebody has still to send.
import { expect, test } from 'vitest';
import { Arenas, type Arena } from '../../../src/pipeline/delivery/arena.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import { bodyOf } from '../../support/messages.ts';
import { createDelivery, Messages } from '../../support/dispatcher.ts';

const FULL_BYTES = 256 * 1024;

/** A message that fills what is left of an arena. */
function fill(arenas: Arenas, letter: string): Arena {
  const arena = arenas.enter();
  arena.writer.latin1(letter.repeat(FULL_BYTES));
  return arena;
}

const textOf = ({ writer }: Arena): string => writer.buffer.toString('latin1', 0, writer.length);

test('an arena is another sink’s once its last message is gone, and not before', () => {
  const [one, other] = [new Arenas(), new Arenas()];
  const arena = one.enter();
  arena.writer.latin1('first');
  expect(fill(one, 'a') === arena).toBe(true);
  expect(fill(one, 'b').writer === arena.writer).toBe(false);
  one.leave(arena);
  fill(other, 'c');
  expect(fill(other, 'd').writer === arena.writer).toBe(false);
  expect(textOf(arena).slice(0, 6)).toBe('firsta');
  one.leave(arena);
  expect(fill(other, 'e').writer === arena.writer).toBe(true);
  expect(textOf(arena).slice(0, 6)).toBe('eeeeee');
});

test('the arena that a sink writes to is its own, also while nothing lies there', () => {
  const [one, other] = [new Arenas(), new Arenas()];
  const arena = fill(one, 'a');
  one.leave(arena);
  fill(other, 'b');
  expect(fill(other, 'c').writer === arena.writer).toBe(false);
  expect(textOf(arena).slice(0, 6)).toBe('aaaaaa');
});

test('where a few small messages of each arena stay they get bytes of their own, and the arenas are free for others', () => {
  const delivery = createDelivery({ maxBuffered: undefined });
  const { unsettled } = delivery;
  const messages = new Messages(delivery);
  const large = 'x'.repeat(20_000);
  const stay = [];
  for (let i = 0; i < 1500; i++) {
    stay.push(messages.add({ body: `stays ${i}`, group: `g${i}` }));
    const going = Array.from({ length: 13 }, () => messages.add({ body: large, group: 'going' }));
    for (const message of going) {
      message.become('settled');
      unsettled.leave(message);
    }
  }
  expect(unsettled.arenas.bytes).toBeLessThan(64 * 1024 * 1024);
  expect(stay.map(bodyOf)).toEqual(stay.map((_, i) => `stays ${i}`));
});

test('what a request may be reading stays where it is', () => {
  const delivery = createDelivery({ maxBuffered: undefined });
  const { unsettled } = delivery;
  const messages = new Messages(delivery);
  const sent = messages.add({ body: 'in a request', group: 'sent' });
  sent.become('sending');
  const { buffer } = sent;
  const stay = Array.from({ length: 100 }, (_, i) => {
    const message = messages.add({ body: `stays ${i}`, group: `g${i}` });
    const going = messages.add({ body: 'x'.repeat(300_000), group: `going ${i}` });
    going.become('settled');
    unsettled.leave(going);
    return message;
  });
  expect(stay[0]!.buffer === buffer).toBe(false);
  expect(sent.buffer === buffer).toBe(true);
  expect(bodyOf(sent)).toBe('in a request');
});

test('what a huge message has made an arena grow to is counted, and goes with the message', () => {
  const arenas = new Arenas();
  const small = arenas.enter();
  small.writer.latin1('stays');
  const huge = fill(arenas, 'a'.repeat(16));
  expect(huge === small).toBe(true);
  fill(arenas, 'b');
  expect(arenas.bytes).toBeGreaterThan(16 * FULL_BYTES);
  arenas.leave(huge);
  arenas.leave(small);
  expect(arenas.bytes).toBeLessThan(4 * FULL_BYTES);
  arenas.leave(fill(arenas, 'c'.repeat(16)));
  fill(arenas, 'd');
  expect(arenas.bytes).toBeLessThan(4 * FULL_BYTES);
});

test('what requests have held in arenas once does not let others be held later', () => {
  const delivery = createDelivery({ maxBuffered: undefined });
  const { unsettled } = delivery;
  const messages = new Messages(delivery);
  const settle = (message: Pending): void => {
    message.become('settled');
    unsettled.leave(message);
  };
  const large = 'x'.repeat(300_000);
  const sending = Array.from({ length: 300 }, (_, i) => {
    const message = messages.add({ body: `in a request ${i}`, group: `sent ${i}` });
    message.become('sending');
    settle(messages.add({ body: large, group: `going ${i}` }));
    return message;
  });
  const held = unsettled.arenas.bytes;
  sending.forEach(settle);
  for (let i = 0; i < 300; i++) {
    messages.add({ body: `stays ${i}`, group: `g${i}` });
    settle(messages.add({ body: large, group: 'going' }));
    expect(unsettled.arenas.bytes).toBeLessThan(held / 2);
  }
});

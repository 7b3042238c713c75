// What a request carries: exactly as many bytes as it may, and only messages of a group that wait for nothing else.
import { describe, expect, test } from 'vitest';
import { parkedAhead, takeBatch } from '../../../src/pipeline/delivery/batch.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import { createDelivery, Messages, routeTo, type Added } from '../../support/dispatcher.ts';

const numbers = (list: readonly Pending[]): number[] => list.map(({ index }) => index);

/** Messages on their way to one route, whose requests take 10 messages, 1000 bytes, and 500 of one message. */
function queued(...added: readonly Added[]) {
  const delivery = createDelivery();
  const messages = new Messages(delivery);
  const all = added.map((what) => messages.add({ ...what, route: routeTo('q') }));
  const queue = delivery.routes.queue(routeTo('q'));
  const cut = (ordered: boolean) => ({
    ordered,
    maxCount: Infinity,
    sizeOf: (message: Pending) => message.byteLength,
  });
  return {
    all,
    room: delivery.unsettled.room,
    take: (ordered = true) => {
      const { batch, unsendable } = takeBatch(queue, cut(ordered));
      return [numbers(batch), numbers(unsendable)];
    },
    parkedAhead: () => numbers(parkedAhead(queue, cut(true))),
  };
}

const body = (bytes: number): string => 'x'.repeat(bytes);

describe.each([true, false])('where the order of a request is kept: %s', (ordered) => {
  const groupOf = (index: number): string => (ordered ? 'only' : `g${index}`);

  test('a request is filled to its last byte (C217, C218)', () => {
    const t = queued(...[500, 300, 200, 1].map((bytes, i) => ({ group: groupOf(i), body: body(bytes) })));
    expect(t.take(ordered)).toEqual([[0, 1, 2], []]);
  });
});

test('a message of exactly as many bytes as may be is sent, one of more never', () => {
  const t = queued({ group: 'a', body: body(500) }, { group: 'b', body: body(501) });
  expect(t.take()).toEqual([[0], [1]]);
});

test('a message whose key changed does not share a request with what it waits for', () => {
  const t = queued({ group: 'a' }, { group: 'b', previousGroup: 'a' });
  expect(t.take()).toEqual([[0], []]);
});

test('a message does not pass a TRUNCATE to share a request with the one before it in its group', () => {
  const t = queued({ group: 'a' }, { action: 'truncate' }, { group: 'a' });
  expect(t.parkedAhead()).toEqual([]);
  expect(t.take()).toEqual([[0], []]);
});

test('a message that is parked ends the request, also inside a group', () => {
  const t = queued({ group: 'a' }, { group: 'a' }, { group: 'a' });
  t.room.park(t.all[1]!);
  expect(t.take()).toEqual([[0], []]);
});

test('of what is parked no more is prepared than one request takes, and at least one message', () => {
  const t = queued(...Array.from({ length: 8 }, (_, i) => ({ group: `g${i}`, body: body(300) })));
  for (const message of t.all) t.room.park(message);
  // The fourth begins within the 1000 bytes.
  expect(t.parkedAhead()).toEqual([0, 1, 2, 3]);
});

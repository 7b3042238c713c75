import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ZERO_LSN } from '../../../src/core/lsn.ts';
import { LeaseBook } from '../../../src/sinks/stream/leases.ts';

const all = (): boolean => true;
/** `m12`, `message c`: in the order of what they end with. */
const positionOf = (item: string) => ({
  epoch: 1,
  commitLsn: ZERO_LSN,
  index: Number(/\d+$/.exec(item)?.[0] ?? item.charCodeAt(item.length - 1)),
});
const idsOf = (list: readonly { readonly id: string }[]): string[] => list.map(({ id }) => id);

/** A book in which these messages are available. */
function bookOf(...ids: string[]): LeaseBook<string> {
  const book = new LeaseBook<string>(positionOf);
  for (const id of ids) book.offer(id, `message ${id}`);
  return book;
}

function take(book: LeaseBook<string>, count: number, visibleAtMs: number): string[] {
  const ids = idsOf(book.next(count, all));
  book.lease(ids, visibleAtMs);
  return ids;
}

test('messages go out by position, each once', () => {
  const book = bookOf('a', 'c', 'b');
  expect(take(book, 2, 100)).toEqual(['a', 'b']);
  expect(take(book, 2, 100)).toEqual(['c']);
  expect(take(book, 2, 100)).toEqual([]);
});

test('an answer ends before the message that does not fit, but is never empty for that', () => {
  const book = bookOf('a', 'b');
  expect(idsOf(book.next(2, () => false))).toEqual(['a']);
});

test('a lease that ends returns its message, which may be offered and taken again under the same id', () => {
  const book = bookOf('a', 'b');
  take(book, 1, 100);
  take(book, 1, 200);
  expect(book.expire(99).returned).toEqual([]);
  expect(idsOf(book.expire(100).returned)).toEqual(['a']);
  expect(book.nextEndMs()).toBe(200);
  expect(book.offer('a', 'again')).toBe('available');
  expect(take(book, 1, 300)).toEqual(['a']);
});

test('what ran out of time goes out again before what is later, whatever comes back first', () => {
  const book = bookOf('a', 'b', 'c', 'd');
  expect(take(book, 3, 100)).toEqual(['a', 'b', 'c']);
  for (const id of idsOf(book.expire(100).returned).toReversed()) book.offer(id, `message ${id}`);
  expect(take(book, 9, 200)).toEqual(['a', 'b', 'c', 'd']);
});

test('what was given back goes out behind all that is there, once; when its time runs out it has its place again', () => {
  const book = bookOf('a', 'b', 'c');
  const giveBack = (ids: readonly string[]): void => ids.forEach((id) => book.offer(id, `message ${id}`));
  take(book, 1, 100);
  giveBack(idsOf(book.nack(['a']).returned));
  book.offer('d', 'message d');
  expect(take(book, 9, 200)).toEqual(['b', 'c', 'a', 'd']);
  giveBack(idsOf(book.expire(200).returned));
  expect(take(book, 9, 300)).toEqual(['a', 'b', 'c', 'd']);
});

test('an acknowledgement settles a leased message, and an available one whose lease had ended', () => {
  const book = bookOf('a', 'b');
  take(book, 1, 100);
  expect(idsOf(book.ack(['a', 'b']).settled)).toEqual(['a', 'b']);
  expect(book.ack(['a', 'b'])).toEqual({ settled: [], early: [], unknown: 2 });
});

test('an acknowledgement between the end of a lease and the next offer is not lost', () => {
  const book = bookOf('a');
  take(book, 1, 100);
  book.expire(100);
  expect(book.ack(['a'])).toEqual({ settled: [], early: ['a'], unknown: 0 });
  expect(book.offer('a', 'again')).toBe('acked');
});

test('a restored lease keeps its message invisible until it ends', () => {
  const book = new LeaseBook<string>(positionOf);
  book.restore([{ id: 'a', visibleAtMs: 100 }], []);
  expect(book.offer('a', 'message')).toBe('leased');
  expect(take(book, 1, 50)).toEqual([]);
  expect(idsOf(book.expire(100).returned)).toEqual(['a']);
});

test('a restored lease that is acknowledged before its message was read settles the message when it comes', () => {
  const book = new LeaseBook<string>(positionOf);
  book.restore([{ id: 'a', visibleAtMs: 100 }], ['b']);
  expect(book.ack(['a', 'b'])).toEqual({ settled: [], early: ['a', 'b'], unknown: 0 });
  expect([book.offer('a', ''), book.offer('b', '')]).toEqual(['acked', 'acked']);
});

test('a restored lease that is given back, or ends, before its message was read holds it no longer', () => {
  const book = new LeaseBook<string>(positionOf);
  book.restore(
    [
      { id: 'b', visibleAtMs: 200 },
      { id: 'a', visibleAtMs: 100 },
    ],
    [],
  );
  expect(book.expire(100)).toMatchObject({ returned: [], dropped: ['a'] });
  expect(book.nack(['b', 'c'])).toEqual({ returned: [], dropped: ['b'], unknown: 1 });
  expect([book.offer('a', ''), book.offer('b', '')]).toEqual(['available', 'available']);
});

test('after detaching, messages are gone and leases stay', () => {
  const book = bookOf('a', 'b');
  take(book, 1, 100);
  expect(book.detach().sort()).toEqual(['message a', 'message b']);
  expect(book.ack(['a', 'b'])).toEqual({ settled: [], early: ['a'], unknown: 1 });
});

test('whatever workers do, a message is held by one of them at most and is settled exactly once', () => {
  const command = fc.oneof(
    fc.record({ kind: fc.constant('take' as const), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constantFrom('ack', 'nack'), id: fc.integer({ min: 0, max: 19 }) }),
    fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 60 }) }),
    fc.record({ kind: fc.constant('restart' as const) }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
      const ids = Array.from({ length: 20 }, (_, index) => `m${index}`);
      let book = new LeaseBook<string>(positionOf);
      const settled = new Set<string>();
      const held = new Map<string, number>();
      const early = new Set<string>();
      const faults: string[] = [];
      let nowMs = 0;
      const settle = (id: string): void => {
        expect(settled.has(id)).toBe(false);
        settled.add(id);
        held.delete(id);
      };
      const offer = (id: string): void => {
        if (book.offer(id, id) !== 'acked') return;
        early.delete(id);
        settle(id);
      };
      const returnThem = (list: readonly { readonly id: string }[]): void => {
        for (const { id } of list) {
          held.delete(id);
          offer(id);
        }
      };
      for (const id of ids) offer(id);
      for (const step of commands) {
        if (step.kind === 'take') {
          for (const id of take(book, step.count, nowMs + 30)) {
            if (held.has(id) || settled.has(id)) faults.push(`${id} is given out twice`);
            held.set(id, nowMs + 30);
          }
        } else if (step.kind === 'pass') {
          nowMs += step.ms;
          returnThem(book.expire(nowMs).returned);
          if ([...held.values()].some((end) => end <= nowMs)) faults.push('a lease did not end');
        } else if (step.kind === 'restart') {
          const leases = [...held].map(([id, visibleAtMs]) => ({ id, visibleAtMs }));
          book.detach();
          book = new LeaseBook<string>(positionOf);
          book.restore(leases, early);
          for (const id of ids) if (!settled.has(id)) offer(id);
        } else if (step.kind === 'ack') {
          const acked = book.ack([`m${step.id}`]);
          for (const { id } of acked.settled) settle(id);
          for (const id of acked.early) early.add(id);
        } else {
          returnThem(book.nack([`m${step.id}`]).returned);
        }
      }
      expect(faults).toEqual([]);
      // Nothing lost: everything that is not settled comes out in the end.
      nowMs += 30;
      returnThem(book.expire(nowMs).returned);
      for (const id of take(book, ids.length, nowMs + 30)) settle(id);
      expect([...settled].sort()).toEqual([...ids].sort());
    }),
  );
});

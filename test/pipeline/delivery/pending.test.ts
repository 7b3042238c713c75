// A message's states: which may follow which, when its change is settled, and what being parked is.
import { describe, expect, test } from 'vitest';
import { Arenas } from '../../../src/pipeline/delivery/arena.ts';
import { SplitChange, type Pending, type PendingState } from '../../../src/pipeline/delivery/pending.ts';
import { createDelivery, pendingMessage, routeTo } from '../../support/dispatcher.ts';

const STATES: readonly PendingState[] = ['waiting', 'ready', 'sending', 'backing-off', 'settled'];

/** The shortest way to a state. */
const WAYS: Readonly<Record<PendingState, readonly PendingState[]>> = {
  waiting: [],
  ready: ['ready'],
  sending: ['ready', 'sending'],
  'backing-off': ['ready', 'sending', 'backing-off'],
  settled: ['settled'],
};

function messageThatIs(state: PendingState, split?: SplitChange): Pending {
  const message = pendingMessage(createDelivery(), { split });
  for (const next of WAYS[state]) message.become(next);
  return message;
}

describe('a message', () => {
  test.each([
    ['waiting', ['ready', 'sending', 'settled']],
    ['ready', ['sending', 'settled']],
    ['sending', ['waiting', 'backing-off', 'settled']],
    ['backing-off', ['waiting', 'settled']],
    ['settled', []],
  ] as const)('that is %s may become %j, and nothing else', (from, allowed: readonly PendingState[]) => {
    for (const next of allowed) {
      const message = messageThatIs(from);
      message.become(next);
      expect(message.state).toBe(next);
    }
    for (const next of STATES.filter((state) => !allowed.includes(state))) {
      const message = messageThatIs(from);
      expect(() => message.become(next)).toThrow(`a message that is ${from} cannot become ${next}: t-0`);
      expect(message.state).toBe(from);
    }
  });

  test('settles its change when it is settled, however often that is asked', () => {
    const message = messageThatIs('sending');
    expect(message.settlesChange).toBe(false);
    message.become('settled');
    expect([message.settlesChange, message.settlesChange]).toEqual([true, true]);
  });

  test('of a change in two halves settles it as the second one', () => {
    const split = new SplitChange(2);
    const [first, second] = [messageThatIs('sending', split), messageThatIs('sending', split)];
    second.become('settled');
    expect([first.settlesChange, second.settlesChange]).toEqual([false, false]);
    first.become('settled');
    expect([first.settlesChange, second.settlesChange]).toEqual([true, false]);
  });

  test('is parked until it is rendered and when its bytes are dropped, not because they are none', () => {
    const arenas = new Arenas();
    const message = messageThatIs('waiting');
    expect(message.isParked).toBe(true);
    const arena = arenas.enter();
    message.rendered(arena, arena.writer.length, 0);
    expect([message.isParked, message.byteLength]).toEqual([false, 0]);
    message.drop(arenas);
    expect(message.isParked).toBe(true);
  });

  test('has a group id where the route has a template for it, and one of its own where groups do not count', () => {
    const groupId = (groupTemplate: string | undefined, grouped = true): string | undefined => {
      const delivery = createDelivery();
      const routeQueue = delivery.routes.queue({ ...routeTo('q'), groupTemplate });
      const plan = { schema: 'public', table: 't', grouped, barriers: delivery.barriers.of('public', 't') };
      return pendingMessage(delivery, { routeQueue, plan, group: 'g' }).groupId;
    };
    expect(groupId('${id}')).toBe('g');
    expect(groupId(undefined)).toBeUndefined();
    expect([groupId(undefined, false), groupId('${id}', false)]).toEqual(['t-0', 't-0']);
  });

  test('counts the bytes of its JSON without the escapes that were written for it', () => {
    const arenas = new Arenas();
    const [first, second] = [messageThatIs('waiting'), messageThatIs('waiting')];
    for (const message of [first, second]) {
      const arena = arenas.enter();
      const { length, escapes } = arena.writer;
      arena.writer.bytes(Buffer.from('{}'), 0, 2);
      arena.writer.escapes += 1;
      message.rendered(arena, length, escapes);
    }
    expect([first.jsonBytes, second.jsonBytes]).toEqual([1, 1]);
  });

  test('with bytes of its own holds no arena', () => {
    const arenas = new Arenas();
    const message = messageThatIs('waiting');
    const arena = arenas.enter();
    message.rendered(arena, 0, 0);
    message.own(arenas);
    expect(arena.live).toBe(0);
    message.drop(arenas);
    expect(arena.live).toBe(0);
  });

  test('that is parked keeps nothing of its row', () => {
    const arenas = new Arenas();
    const message = messageThatIs('waiting');
    message.rendered(arenas.enter(), 0, 0);
    message.row = { key: undefined } as never;
    message.drop(arenas);
    expect(message.row).toBeUndefined();
  });
});

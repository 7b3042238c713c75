// The search for the message at fault: against any culprits, groups and troubles of the route.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DeliveryError, Outcome } from '../../../src/core/errors.ts';
import type { Message } from '../../../src/core/message.ts';
import { blamesBatch, isolate, type Answer } from '../../../src/pipeline/delivery/isolation.ts';
import { BLAMED, DOWN, HELD, REFUSED } from '../../support/dispatcher.ts';
import { message, messages } from '../../support/messages.ts';

const FATAL: DeliveryError = { kind: 'fatal', scope: 'message', code: 'FATAL', hint: 'fatal' };

const ungrouped = (count: number): Message[] => messages(count, { group: '' });
const ofGroups = (...groups: string[]): Message[] => groups.map((group, index) => message({ index, group }));

type Send = (part: readonly Message[]) => readonly Answer[];

/** As the dispatcher does it; the parts that were sent, by the messages' numbers. */
async function deliver(
  batch: readonly Message[],
  send: Send,
): Promise<{ answers: readonly Answer[]; parts: number[][] }> {
  const parts: number[][] = [];
  const request = (part: readonly Message[]): Promise<readonly Answer[]> => {
    parts.push(part.map(({ position }) => position.index));
    return Promise.resolve(send(part));
  };
  const first = await request(batch);
  return { answers: blamesBatch(first) ? await isolate(batch, first, request) : first, parts };
}

/** Refuses whole what has one of these, and takes the rest. */
const refusing =
  (...culprits: number[]): Send =>
  (part) =>
    part.some(({ position }) => culprits.includes(position.index))
      ? part.map(() => BLAMED)
      : part.map((): Outcome => 'delivered');

const shortly = (answers: readonly Answer[]): string[] =>
  answers.map((answer) => (typeof answer === 'string' ? answer : answer.scope));

describe('the search for the culprit', () => {
  test('halves until it is alone, in order, and sends nothing twice that was taken', async () => {
    const { answers, parts } = await deliver(ungrouped(8), refusing(5));
    expect(answers).toEqual(
      [...ungrouped(8).keys()].map((n) => (n === 5 ? { ...BLAMED, scope: 'message' } : 'delivered')),
    );
    expect(parts).toEqual([[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [6, 7]]);
  });

  test('ends with a message alone: what is said of it is its own', async () => {
    const { answers, parts } = await deliver(ungrouped(1), refusing(0));
    expect(answers).toEqual([{ ...BLAMED, scope: 'message' }]);
    expect(parts).toEqual([[0]]);
  });

  test('keeps what the sink says of it: kind, code, hint and wait', async () => {
    const own: DeliveryError = { ...BLAMED, kind: 'rejected', code: 'OWN', hint: 'own', retryAfterMs: 70 };
    const send: Send = (part) =>
      part.map(() =>
        part.length === 1 && part[0]!.position.index === 1 ? own : part.length > 1 ? BLAMED : 'delivered',
      );
    const { answers } = await deliver(ungrouped(3), send);
    expect(answers).toEqual(['delivered', { ...own, scope: 'message' }, 'delivered']);
  });

  test.each(['retryable', 'rejected'] as const)(
    'holds back what follows a culprit in its group, also where it is %s',
    async (kind) => {
      const send: Send = (part) =>
        refusing(1)(part).map((answer) => (answer === BLAMED ? { ...BLAMED, kind } : answer));
      const { answers, parts } = await deliver(ofGroups('a', 'b', 'b', 'a', 'b', 'c'), send);
      expect(shortly(answers)).toEqual(['delivered', 'message', 'group', 'delivered', 'group', 'delivered']);
      expect(parts.slice(1).flat()).not.toContain(4);
    },
  );

  test('holds back what follows a message of its group that a part refuses for itself', async () => {
    const send: Send = (part) =>
      part.length === 4
        ? part.map(() => BLAMED)
        : part.map(({ position }) => (position.index === 1 ? REFUSED : 'delivered'));
    const { answers } = await deliver(ofGroups('a', 'b', 'b', 'a'), send);
    expect(shortly(answers)).toEqual(['delivered', 'message', 'group', 'delivered']);
  });

  test('does not send the rest once the route has failed, and blames no message for it', async () => {
    const send: Send = (part) =>
      part.length > 2
        ? part.map(() => BLAMED)
        : part.map(() => (part[0]!.position.index === 2 ? DOWN : 'delivered'));
    const { answers, parts } = await deliver(ungrouped(8), send);
    expect(answers).toEqual(['delivered', 'delivered', DOWN, DOWN, DOWN, DOWN, DOWN, DOWN]);
    expect(parts.at(-1)).toEqual([2, 3]);
  });

  test.each<[string, readonly Answer[], Answer]>([
    ['says that the sink cannot go on', [FATAL, 'delivered'], FATAL],
    ['is cut off by a stop', ['unknown', 'unknown'], 'unknown'],
    ['names two troubles of the route, of which the first counts', [DOWN, { ...DOWN, code: 'TWO' }], DOWN],
  ])('ends where a part %s: nothing more is sent', async (_, said, rest) => {
    const send: Send = (part) => (part.length > 2 ? part.map(() => BLAMED) : said);
    const { answers, parts } = await deliver(ungrouped(8), send);
    expect(parts.slice(1)).toEqual([
      [0, 1, 2, 3],
      [0, 1],
    ]);
    expect(answers).toEqual([...said, ...Array.from({ length: 6 }, () => rest)]);
  });

  test('ends with a stop: of what was not sent nothing is known, of what was taken it is', async () => {
    let requests = 0;
    const send: Send = (part) =>
      part.map(() => (part.length > 2 ? BLAMED : requests++ < 2 ? 'delivered' : 'unknown'));
    const { answers } = await deliver(ungrouped(4), send);
    expect(answers).toEqual(
      ['delivered', 'delivered', 'delivered', 'delivered'].with(2, 'unknown').with(3, 'unknown'),
    );
  });

  test('is among those that are blamed only', async () => {
    let isFirst = true;
    const send: Send = (part) => {
      if (!isFirst) return refusing(3)(part);
      isFirst = false;
      return ['delivered', BLAMED, 'delivered', BLAMED, HELD];
    };
    const { answers, parts } = await deliver(ungrouped(5), send);
    expect(shortly(answers)).toEqual(['delivered', 'delivered', 'delivered', 'message', 'group']);
    expect(parts.slice(1)).toEqual([[1], [3]]);
  });
});

test('whatever is refused, no message passes an earlier one of its group, and every culprit is found or waits (property)', async () => {
  const batch = fc.array(fc.record({ group: fc.nat(4), bad: fc.boolean() }), { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(batch, async (list) => {
      const all = list.map(({ group }, index) => message({ index, group: group === 0 ? '' : `g${group}` }));
      const bad = list.flatMap(({ bad }, index) => (bad ? [index] : []));
      const taken: number[] = [];
      const { answers } = await deliver(all, (part) => {
        const said = refusing(...bad)(part);
        part.forEach(({ position }, at) => said[at] === 'delivered' && taken.push(position.index));
        return said;
      });
      const first = new Map<number, number>();
      list.forEach(
        ({ group, bad }, index) => bad && group > 0 && !first.has(group) && first.set(group, index),
      );
      const expected = list.map(({ group, bad }, index) => {
        if (group > 0 && index > (first.get(group) ?? Infinity)) return 'group';
        return bad ? 'message' : 'delivered';
      });
      expect(shortly(answers)).toEqual(expected);
      expect(taken).toEqual(expected.flatMap((answer, index) => (answer === 'delivered' ? [index] : [])));
    }),
    { numRuns: 200 },
  );
});

// What becomes of messages that will not be sent again: who is told, and of what.
import { expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import type { DeliveryError } from '../../../src/core/errors.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import { sinkOutcomes, type SinkOutcomePorts } from '../../../src/pipeline/sink/outcomes.ts';

const REFUSED: DeliveryError = {
  kind: 'rejected',
  scope: 'message',
  code: 'TOO_LARGE',
  hint: 'fewer columns',
};

type Fields = { letterId?: number; settlesChange?: boolean; isHalf?: boolean };

/** A message as these ports look at it; `isHalf`: one of two of its change. */
const pending = (
  name: string,
  { letterId = 0, settlesChange = true, isHalf = false }: Fields = {},
): Pending =>
  ({
    idempotencyKey: name,
    letterId,
    settlesChange,
    split: isHalf ? { isSettled: settlesChange } : undefined,
    transaction: { epoch: 0, commitLsn: toLsn(1n) },
  }) as unknown as Pending;

function room() {
  const told: unknown[][] = [];
  const names = (messages: readonly Pending[]): string[] => messages.map((message) => message.idempotencyKey);
  const ports: SinkOutcomePorts = {
    sink: 'users',
    rowRewinds: { settled: (messages) => messages },
    replayed: {
      settled: (messages) => messages.filter(({ letterId }) => letterId === 0),
      refused: (message) => void told.push(['refused again', message.idempotencyKey]),
    },
    ledger: {
      remember: (messages) => void told.push(['remember', ...names(messages)]),
      rememberParts: (messages) => void told.push(['remember halves', ...names(messages)]),
      record: () => void told.push(['record']),
    },
    settlement: { soon: () => void told.push(['soon']), answered: () => undefined },
    shedding: { count: (changes) => void told.push(['shed', changes]) },
    keepDeadLetter: (message, { code }) => void told.push(['keep', message.idempotencyKey, code]),
    fail: (error) => void told.push(['fail', error]),
    repeated: { say: ({ level, message, kind }) => void told.push(['say', level, message, kind]) },
  };
  return { told, outcomes: sinkOutcomes(ports) };
}

test('what is settled is remembered, and the cursor looked at soon', () => {
  const { told, outcomes } = room();
  outcomes.settled([pending('a'), pending('b')]);
  expect(told).toEqual([['remember', 'a', 'b'], ['soon']]);
});

test('of a change that is two messages the first half is remembered as a half, the second as the change', () => {
  const { told, outcomes } = room();
  outcomes.settled([pending('whole'), pending('first', { isHalf: true, settlesChange: false })]);
  outcomes.settled([pending('second', { isHalf: true, settlesChange: true })]);
  expect(told).toEqual([
    ['remember', 'whole'],
    ['remember halves', 'first'],
    ['soon'],
    ['remember', 'second'],
    ['soon'],
  ]);
});

test('a dead letter that was sent again is nothing for the ledger', () => {
  const { told, outcomes } = room();
  outcomes.settled([pending('again', { letterId: 7 })]);
  expect(told).toEqual([['soon']]);
});

test('what is refused for good is kept, and said; what was kept already goes back to where it lies', () => {
  const { told, outcomes } = room();
  outcomes.deadLetter(pending('a'), REFUSED);
  outcomes.deadLetter(pending('b', { letterId: 7 }), REFUSED);
  expect(told).toEqual([
    ['keep', 'a', 'TOO_LARGE'],
    ['say', 'error', 'dead letter', 'dead letter TOO_LARGE'],
    ['refused again', 'b'],
    [
      'say',
      'error',
      'a replayed dead letter was refused again',
      'a replayed dead letter was refused again TOO_LARGE',
    ],
  ]);
});

test('a dead letter that cannot be kept is said by nobody: it is no dead letter', () => {
  const full = new Error('full');
  const said: unknown[] = [];
  const ports = {
    sink: 'users',
    keepDeadLetter: () => {
      throw full;
    },
    repeated: { say: (line: unknown) => void said.push(line) },
  } as unknown as SinkOutcomePorts;
  expect(() => sinkOutcomes(ports).deadLetter(pending('a'), REFUSED)).toThrow(full);
  expect(said).toEqual([]);
});

test('what is given up is counted, and the cursor looked at soon', () => {
  const { told, outcomes } = room();
  outcomes.discarded(3);
  expect(told).toEqual([['shed', 3], ['soon']]);
});

test('what is to be on record is written; what ends the sink ends it with its cure', () => {
  const { told, outcomes } = room();
  const broken = new Error('gone');
  outcomes.record();
  outcomes.broken(broken);
  outcomes.halted({ ...REFUSED, kind: 'fatal', scope: 'sink' });
  expect(told).toEqual([
    ['record'],
    ['fail', broken],
    ['fail', expect.objectContaining({ code: 'TOO_LARGE', kind: 'fatal', hint: 'fewer columns' })],
  ]);
});

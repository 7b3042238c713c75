import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { outcomesOf as outcomes } from '../../../src/sinks/aws/reply.ts';
import { sqsFailures } from '../../../src/sinks/sqs/failures.ts';
import { readSendReply } from '../../../src/sinks/sqs/reply.ts';

const outcomesOf = (reply: unknown, count: number) => outcomes(readSendReply(reply), count, sqsFailures);

test('each message gets the outcome of its own entry, whatever the order of the answer', () => {
  const reply = {
    Failed: [{ Id: '1', SenderFault: true, Code: 'InvalidMessageContents' }],
    Successful: [{ Id: '2' }, { Id: '0' }],
  };
  expect(outcomesOf(reply, 3)).toEqual([
    'delivered',
    expect.objectContaining({ kind: 'rejected', code: 'InvalidMessageContents' }),
    'delivered',
  ]);
});

test('a message named as delivered and as failed is not delivered', () => {
  const reply = {
    Successful: [{ Id: '0' }],
    Failed: [{ Id: '0', SenderFault: false, Code: 'InternalError' }],
  };
  expect(outcomesOf(reply, 1)).toEqual([expect.objectContaining({ kind: 'retryable' })]);
});

test('an answer without lists delivers nothing', () => {
  expect(outcomesOf({}, 2).every((outcome) => outcome !== 'delivered')).toBe(true);
});

test.each([null, undefined, 7, 'ok', [], { Successful: {} }, { Failed: [null] }])(
  '%j is no answer',
  (reply) => {
    expect(() => outcomesOf(reply, 1)).toThrow(expect.objectContaining({ code: 'MALFORMED_REPLY' }));
  },
);

test('only ids that we sent count as delivered', () => {
  const id = fc.oneof(
    fc.string(),
    fc.integer().map(String),
    fc.constantFrom('00', '1.0', ' 1', '-0', '10', 1, null),
  );
  fc.assert(
    fc.property(fc.array(id, { maxLength: 20 }), fc.integer({ min: 1, max: 10 }), (ids, count) => {
      const outcomes = outcomesOf({ Successful: ids.map((Id) => ({ Id })) }, count);
      expect(outcomes.map((outcome) => outcome === 'delivered')).toEqual(
        Array.from({ length: count }, (_, index) => ids.includes(String(index))),
      );
    }),
  );
});

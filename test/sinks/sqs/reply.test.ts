import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { outcomesOf as outcomes } from '../../../src/sinks/aws/reply.ts';
import { EntryTags } from '../../../src/sinks/aws/entry-ids.ts';
import { sqsFailures } from '../../../src/sinks/sqs/failures.ts';
import { readSendReply } from '../../../src/sinks/sqs/reply.ts';

const TAG = 'k3j5h2g9f8d7';
const outcomesOf = (reply: unknown, count: number) =>
  outcomes(readSendReply(reply), { tag: TAG, count }, sqsFailures);
const idOf = (index: number): string => `${TAG}${index}`;

test('each message gets the outcome of its own entry, whatever the order of the answer (C224)', () => {
  const reply = {
    Failed: [{ Id: idOf(1), SenderFault: true, Code: 'InvalidMessageContents' }],
    Successful: [{ Id: idOf(2) }, { Id: idOf(0) }],
  };
  expect(outcomesOf(reply, 3)).toEqual([
    'delivered',
    expect.objectContaining({ kind: 'rejected', code: 'InvalidMessageContents' }),
    'delivered',
  ]);
});

test('a message named as delivered and as failed is not delivered', () => {
  const reply = {
    Successful: [{ Id: idOf(0) }],
    Failed: [{ Id: idOf(0), SenderFault: false, Code: 'InternalError' }],
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

/** Of each message, or the code of what is no answer to them. */
function deliveredBy(reply: unknown, count: number): boolean[] | string {
  try {
    return outcomesOf(reply, count).map((outcome) => outcome === 'delivered');
  } catch (error) {
    return (error as { code: string }).code;
  }
}

test('an answer that names what was not sent is an answer to something else, and delivers nothing (C224)', () => {
  const ours = fc.integer({ min: 0, max: 9 }).map(idOf);
  const foreign = fc.oneof(
    fc.string(),
    fc.integer().map(String),
    fc.integer({ min: 0, max: 9 }).map((index) => `${TAG.slice(0, -1)}8${index}`),
    fc.constantFrom(TAG, `${TAG}10`, `${TAG}x`, `${TAG}01`, ` ${TAG}1`, 1, null, undefined),
  );
  const place = fc.constantFrom('Successful', 'Failed');
  const entry = fc.record({ Id: fc.oneof({ arbitrary: ours, weight: 5 }, foreign), place });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 20 }), fc.integer({ min: 1, max: 10 }), (entries, count) => {
      const sent = Array.from({ length: count }, (_, index) => idOf(index));
      const idsIn = (list: string) => entries.filter(({ place }) => place === list).map(({ Id }) => Id);
      const reply = Object.fromEntries(
        ['Successful', 'Failed'].map((list) => [list, idsIn(list).map((Id) => ({ Id }))]),
      );
      const isOurs = entries.every(({ Id }) => sent.includes(Id as string));
      const expected = sent.map((id) => idsIn('Successful').includes(id) && !idsIn('Failed').includes(id));
      expect(deliveredBy(reply, count)).toEqual(isOurs ? expected : 'MALFORMED_REPLY');
    }),
  );
});

test('no two requests share an entry’s id, also when the count begins again', () => {
  const tags = new EntryTags();
  const seen = new Set(Array.from({ length: 5000 }, () => tags.next()));
  expect(seen.size).toBe(5000);
  // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatchRequestEntry.html
  for (const tag of seen) expect(tag).toMatch(/^[A-Za-z0-9_-]{1,79}$/);
  expect(seen.has(new EntryTags().next())).toBe(false);
});

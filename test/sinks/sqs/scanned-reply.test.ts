import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { outcomesOf } from '../../../src/sinks/aws/reply.ts';
import { sqsFailures } from '../../../src/sinks/sqs/failures.ts';
import { readSendReply } from '../../../src/sinks/sqs/reply.ts';
import { scanSendReply } from '../../../src/sinks/sqs/scanned-reply.ts';

const TAG = 'k'.repeat(12);
/** `k0` stands for the id of the first entry. */
const whole = (json: string): string => json.replaceAll(/\bk(\d)\b/g, `${TAG}$1`);

const scanned = (json: string, count: number, compared: number | undefined = 0) =>
  scanSendReply(Buffer.from(json), { tag: TAG, count, compared });

/** What the whole answer says: an outcome per entry, and the digests of the compared one. */
function read(json: string, count: number, compared: number) {
  const reply = readSendReply(JSON.parse(json));
  return {
    outcomes: outcomesOf(reply, { tag: TAG, count }, sqsFailures),
    digests: reply.successful.find(({ id }) => id === `${TAG}${compared}`)?.digests,
  };
}

const text = fc.oneof(
  { weight: 4, arbitrary: fc.nat({ max: 3 }).map((index) => `${TAG}${index}`) },
  fc.stringMatching(/^[\w=+/-]{0,12}$/),
  fc.string(),
  fc.constantFrom('é', '\u2028', '"', '\\', '\\"}]}', ']}'),
);
const member = fc.tuple(
  fc.oneof(
    fc.constantFrom(
      'Id',
      'MD5OfMessageBody',
      'MD5OfMessageAttributes',
      'MessageId',
      'SequenceNumber',
      'id',
      '',
    ),
    text,
  ),
  fc.oneof({ weight: 20, arbitrary: text }, { weight: 1, arbitrary: fc.jsonValue() }),
);
/** Written by hand: members may come twice, as JSON allows. */
const entry = fc
  .array(member, { minLength: 1, maxLength: 6 })
  .map(
    (members) =>
      `{${members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`,
  );
const entries = fc.array(entry, { maxLength: 10 }).map((list) => `[${list.join(',')}]`);
const answer = fc.oneof(
  entries.map((list) => `{"Successful":${list}}`),
  entries.map((list) => `{"Failed":[],"Successful":${list}}`),
  entries.map((list) => `{"Successful":${list},"Failed":[]}`),
  fc.tuple(entries, entries).map(([good, bad]) => `{"Successful":${good},"Failed":${bad}}`),
);

/** Most of them say of each entry that it was accepted. */
const ofAll = fc
  .tuple(fc.nat({ max: 4 }), fc.array(member, { maxLength: 2 }), fc.boolean())
  .map(([count, others, isReversed]) => {
    const list = Array.from({ length: count }, (_, index) => {
      const members = [...others, ['Id', `${TAG}${index}`], ['MD5OfMessageBody', `d${index}`]] as const;
      return `{${members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;
    });
    return `[${(isReversed ? list.toReversed() : list).join(',')}]`;
  });

test('what is scanned says what the whole answer says, whatever stands in it', () => {
  let scans = 0;
  fc.assert(
    fc.property(
      fc.oneof(
        answer,
        ofAll.map((list) => `{"Successful":${list}}`),
      ),
      fc.nat({ max: 4 }),
      fc.nat({ max: 3 }),
      (json, count, compared) => {
        const digests = scanned(json, count, compared);
        if (digests === undefined || /[\u0080-\uffff]/.test(json)) return;
        scans++;
        const expected = read(json, count, compared);
        expect(expected.outcomes).toEqual(Array.from({ length: count }, () => 'delivered'));
        expect(digests).toEqual(compared < count ? expected.digests : {});
      },
    ),
    { numRuns: 10_000 },
  );
  expect(scans).toBeGreaterThan(100);
});

test('an entry whose id is beyond ASCII is none of ours', () => {
  expect(scanned(`{"Successful":[{"Id":"${'é'.repeat(12)}0"}]}`, 1)).toBeUndefined();
});

test.each([
  [
    '{"Successful":[{"MessageId":"m","MD5OfMessageBody":"d41d8","Id":"k1","SequenceNumber":"7"},{"Id":"k0"}]}',
    2,
  ],
  ['{"Failed":[],"Successful":[{"Id":"k0","MD5OfMessageBody":"a","MD5OfMessageAttributes":"b"}]}', 1],
  ['{"Successful":[{"Id":"k0"}],"Failed":[]}', 1],
])('an answer as SQS and its emulators write it is scanned: %s', (json, count) => {
  for (let compared = 0; compared < count; compared++) {
    const { outcomes, digests } = read(whole(json), count, compared);
    expect(outcomes).toEqual(Array.from({ length: count }, () => 'delivered'));
    expect(scanned(whole(json), count, compared)).toEqual(digests);
  }
});

test.each([
  '',
  '{}',
  '{"Successful":[]}',
  '{"Successful":[{}]}',
  '{"Successful":[{"Id":"k0"}',
  '{"Successful":[{"Id":"k0"}]',
  '{"Successful":[{"Id":"k0"}]}x',
  '{"Successful":[{"Id":"k0"},]}',
  '{"Successful":[{"Id":"k0"}],"Failed":[{"Id":"k1","Code":"InternalError"}]}',
  '{"Successful":[{"Id":"k\\u0030"}]}',
  '{"Successful":[{"Id": "k0"}]}',
  '{"Successful":[{"Id":7}]}',
  '{"Successful":[{"Id":"k0","X":null}]}',
  '{"Successful":[{"Id":"k1"}]}',
  '{"Successful":[{"Id":"j0"}]}',
  '{"Successful":[{"Id":"k0"},{"Id":"k0"}]}',
])('anything else is left to who reads all of it: %s', (json) => {
  expect(scanned(whole(json), 1)).toBeUndefined();
});

test.each(['{"Successful":[{"Id":"k0"}]}', '{"Successful":[{"Id":"k0"},{"Id":"k0"}]}'])(
  'an answer that does not name each entry is left to who reads all of it: %s',
  (json) => {
    expect(scanned(whole(json), 2)).toBeUndefined();
  },
);

import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { readSendReply } from '../../../src/sinks/sqs/reply.ts';
import { scanSendReply } from '../../../src/sinks/sqs/scanned-reply.ts';

const scanned = (json: string) => scanSendReply(Buffer.from(json));

const text = fc.oneof(
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

test('what is scanned says what the whole answer says, whatever stands in it', () => {
  fc.assert(
    fc.property(answer, (json) => {
      const quick = scanned(json);
      if (quick === undefined || /[\u0080-\uffff]/.test(json)) return;
      expect(quick).toEqual(readSendReply(JSON.parse(json)));
    }),
    { numRuns: 5_000 },
  );
});

test('text beyond ASCII never turns into an id or digest of ours', () => {
  const [ours] = scanned('{"Successful":[{"Id":"é"}]}')!.successful;
  expect(ours!.id).not.toMatch(/^[0-9a-z]+$/);
});

test.each([
  '{"Successful":[{"MessageId":"m","MD5OfMessageBody":"d41d8","Id":"k1","SequenceNumber":"7"},{"Id":"k0"}]}',
  '{"Failed":[],"Successful":[{"Id":"k0","MD5OfMessageBody":"a","MD5OfMessageAttributes":"b"}]}',
  '{"Successful":[{"Id":"k0"}],"Failed":[]}',
])('an answer as SQS and its emulators write it is scanned: %s', (json) => {
  expect(scanned(json)).toEqual(readSendReply(JSON.parse(json)));
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
])('anything else is left to who reads all of it: %s', (json) => {
  expect(scanned(json)).toBeUndefined();
});

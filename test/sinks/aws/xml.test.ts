import { GetTopicAttributesCommand, PublishBatchCommand, SNSClient } from '@aws-sdk/client-sns';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { outcomesOf } from '../../../src/sinks/aws/reply.ts';
import { awsQuery } from '../../../src/sinks/aws/query.ts';
import { childOf, parseXml, textOf, type XmlElement } from '../../../src/sinks/aws/xml.ts';
import { snsFailures } from '../../../src/sinks/sns/failures.ts';
import { readPublishReply } from '../../../src/sinks/sns/reply.ts';
import { batchResultXml, errorXml, escapeXml, resultXml } from '../../support/sns-wire.ts';

/** The SDK's client, whose every request is answered like this. */
const sdkAnswered = (status: number, xml: string): SNSClient =>
  new SNSClient({
    region: 'eu-west-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    maxAttempts: 1,
    requestHandler: {
      handle: () =>
        Promise.resolve({
          response: { statusCode: status, headers: { 'content-type': 'text/xml' }, body: Buffer.from(xml) },
        }),
    },
  });

/** XML 1.0 has no other control characters, and line ends are one. */
const NOT_IN_XML = /[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;
const text = fc
  .string({ unit: 'binary' })
  .map((value) => value.toWellFormed().replace(NOT_IN_XML, '').trim());
const result = (id: string) =>
  fc.oneof(
    fc.record({ ok: fc.constant(true as const), Id: fc.constant(id) }),
    fc.record({
      ok: fc.constant(false as const),
      Id: fc.constant(id),
      Code: fc.constantFrom('InvalidParameter', 'InternalError', 'Throttled'),
      Message: text,
      SenderFault: fc.boolean(),
    }),
  );
const results = fc.tuple(...Array.from({ length: 10 }, (_, index) => result(String(index))));

test('an answer to PublishBatch says what the SDK reads in it (C245)', async () => {
  await fc.assert(
    fc.asyncProperty(results, async (results) => {
      const xml = resultXml(
        'PublishBatch',
        batchResultXml({
          Successful: results.filter((result) => result.ok),
          Failed: results.flatMap((result) => (result.ok ? [] : [result])),
        }),
      );
      const ours = readPublishReply(awsQuery.read(xml, 'PublishBatch') as XmlElement);
      const command = new PublishBatchCommand({ TopicArn: 't', PublishBatchRequestEntries: [] });
      const sdk = await sdkAnswered(200, xml).send(command);
      expect(ours).toEqual({
        successful: (sdk.Successful ?? []).map(({ Id }) => ({ id: Id })),
        failed: (sdk.Failed ?? []).map(({ Id, Code, SenderFault }) => ({
          id: Id,
          code: Code,
          senderFault: SenderFault,
        })),
      });
    }),
    { numRuns: 40 },
  );
});

test('texts with entities and any characters are read as the SDK reads them', async () => {
  await fc.assert(
    fc.asyncProperty(text, text, async (key, value) => {
      const entry = `<entry><key>k${escapeXml(key)}</key><value>v${escapeXml(value)}</value></entry>`;
      const xml = resultXml('GetTopicAttributes', `<Attributes>${entry}</Attributes>`);
      const attributes = childOf(awsQuery.read(xml, 'GetTopicAttributes') as XmlElement, 'Attributes');
      const sdk = await sdkAnswered(200, xml).send(new GetTopicAttributesCommand({ TopicArn: 't' }));
      const [first] = attributes!.children;
      expect({ [textOf(first, 'key')!]: textOf(first, 'value') }).toEqual(sdk.Attributes);
    }),
    { numRuns: 60 },
  );
});

test('a refusal tells its code and words', () => {
  const xml = errorXml({ code: 'AuthorizationError', message: 'a <b> & "c"', type: 'Sender' });
  expect(awsQuery.readRefusal(xml)).toEqual({ code: 'AuthorizationError', message: 'a <b> & "c"' });
});

test('declarations, comments, attributes and empty elements are passed over', () => {
  const xml = `<?xml version="1.0"?>\n<!-- <x> --><a b="1" c='2 > 1'><d/>x&#x41;&amp;&#66;<e ></e ></a>\n`;
  expect(parseXml(xml)).toEqual({
    name: 'a',
    text: 'xA&B',
    children: [
      { name: 'd', children: [], text: '' },
      { name: 'e', children: [], text: '' },
    ],
  });
});

test.each([
  '',
  'text',
  '<a>',
  '<a></b>',
  '</a>',
  '<a/><b/>',
  '<a/>tail',
  '<a',
  '<a b=c/>',
  '<a>&nbsp;</a>',
  '<a>& </a>',
  '<a>&#x110000;</a>',
  '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
  '<a><![CDATA[x]]></a>',
  '<a>'.repeat(1000),
  '{"Successful":[]}',
])('%j is refused', (xml) => {
  expect(() => parseXml(xml)).toThrow(SyntaxError);
});

function readOrRefuse(xml: string): XmlElement | 'refused' {
  try {
    return parseXml(xml);
  } catch (error) {
    if (error instanceof SyntaxError) return 'refused';
    throw error;
  }
}

test('whatever comes is read or refused, and never hangs', () => {
  const piece = fc.constantFrom('<', '>', '/', 'a', ' ', '=', '"', '&', ';', '#', '<!--', '-->', '<?', '?>');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 200 }), (pieces) => {
      const outcome = readOrRefuse(pieces.join(''));
      expect(outcome === 'refused' || typeof outcome.name === 'string').toBe(true);
    }),
  );
  expect(() => parseXml(`<a${' b'.repeat(50_000)}`)).toThrow(SyntaxError);
});

test('an answer to another action is none, and one without lists delivers nothing', () => {
  expect(() => awsQuery.read(resultXml('CreateTopic', ''), 'PublishBatch')).toThrow(SyntaxError);
  const empty = awsQuery.read(resultXml('PublishBatch', ''), 'PublishBatch') as XmlElement;
  expect(outcomesOf(readPublishReply(empty), { tag: 'a', count: 2 }, snsFailures)).toEqual([
    snsFailures.ofMissingResult,
    snsFailures.ofMissingResult,
  ]);
});

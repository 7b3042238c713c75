// Answers of SQS and SNS that are made to hang, to flood or to crash whoever reads them: none delivers, none takes long or is shown,
// and the next good answer is heard.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import type { DeliveryError } from '../../../src/core/errors.ts';
import { messageLimit } from '../../../src/sinks/aws/batch.ts';
import { messages, patient } from '../../support/messages.ts';
import { batchResultXml, membersOf, resultXml } from '../../support/sns-wire.ts';
import { createSink as createSnsSink } from '../sns/fixture.ts';
import { createSink as createSqsSink } from '../sqs/fixture.ts';

/** What is answered to a batch. */
type Bomb = { readonly status: number; readonly body: string };

const KIB = 1024;
/** The longest answer that is read has 1 MiB. */
const LONG = 900 * KIB;
const filled = (piece: string): string => piece.repeat(LONG / piece.length);

const JSON_BODIES: Readonly<Record<string, string>> = {
  'lists in lists': filled('['),
  'lists in lists that are closed': '['.repeat(LONG / 2) + ']'.repeat(LONG / 2),
  'objects in objects': `${'{"Successful":'.repeat(60_000)}1${'}'.repeat(60_000)}`,
  'a list without end': `{"Successful":[${filled('{},')}{}]}`,
  'strangers without end': `{"Successful":[${filled('{"Id":"x"},')}{"Id":"x"}]}`,
  'ids that are no texts': '{"Successful":[{"Id":{"toString":null}},{"Id":1e309},{"Id":[[]]}]}',
  'keys that reach prototypes':
    '{"__proto__":{"Successful":[]},"constructor":{"prototype":{"Successful":[]}}}',
  'a list that is an object': '{"Successful":{"length":4294967295},"Failed":{"length":-1}}',
  'numbers beyond measure': `{"Successful":[${'9'.repeat(LONG)}]}`,
  'escapes without end': `{"Successful":"${filled('\\u0000')}"}`,
  nothing: '',
  'a text that is none': '\u0000\uffff{"Successful":[]}',
};

const XML_BODIES: Readonly<Record<string, string>> = {
  'elements in elements': filled('<a>'),
  'elements in elements that are closed': '<a>'.repeat(100_000) + '</a>'.repeat(100_000),
  'entities of entities': `<!DOCTYPE a [<!ENTITY b "${'x'.repeat(1000)}"><!ENTITY c "${'&b;'.repeat(1000)}">]><a>${'&c;'.repeat(1000)}</a>`,
  'an entity from outside': '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
  'characters by number, without end': resultXml('PublishBatch', filled('&#x41;')),
  'a character that is none': resultXml('PublishBatch', '&#9999999;&#xFFFFFF;'),
  'ampersands without end': `<a>${filled('&')}</a>`,
  'an attribute without end': `<a b="${filled('x')}`,
  'attributes without end': `<a ${filled('b="" ')}`,
  'blanks without end': `<a${filled(' ')}`,
  'a comment without end': `<!-- ${filled('-')}`,
  'a name without end': `<${filled('a')}`,
  'strangers without end': resultXml(
    'PublishBatch',
    `<Successful>${filled('<member><Id>x</Id></member>')}</Successful>`,
  ),
  'members that are nothing': resultXml('PublishBatch', `<Failed>${filled('<member/>')}</Failed>`),
  nothing: '',
};

/** A refusal whose code is a row, a sequence for the terminal, or a book. */
const CODES = ['{"id":7}', '\u001b]52;c;aGk=\u0007', 'A'.repeat(LONG), '__proto__', 'constructor', ''];

const asStatus = (status: number, bodies: Readonly<Record<string, string>>): [string, Bomb][] =>
  Object.entries(bodies).map(([name, body]) => [`${name} (${status})`, { status, body }]);

/** Serves every action but the first batch, which gets the bomb. */
async function endpoint(
  bomb: Bomb,
  serve: (payload: string, request: IncomingMessage) => { isBatch: boolean; answer: string },
): Promise<string> {
  let isThrown = false;
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    void buffer(request).then((payload) => {
      const { isBatch, answer } = serve(payload.toString(), request);
      if (!isBatch || isThrown) return response.end(answer);
      isThrown = true;
      response.statusCode = bomb.status;
      return response.end(bomb.body);
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Three messages, twice: the first time they meet the bomb. */
async function expectDefused(sink: Awaited<ReturnType<typeof createSqsSink>>): Promise<void> {
  const batch = messages(3);
  for (const outcome of await sink.deliver(batch, patient)) {
    // Sent again, by nobody's fault; and what is said of it may stand in a log line.
    expect(outcome).toMatchObject({ kind: 'retryable' });
    const { code, hint } = outcome as DeliveryError;
    expect(code).toMatch(/^[\w.]{1,100}$/);
    expect(hint.length).toBeLessThan(1000);
    expect(hint).not.toMatch(/\p{Cc}|"id":7/u);
  }
  expect(await sink.deliver(batch, patient)).toEqual(['delivered', 'delivered', 'delivered']);
}

test.each([
  ...asStatus(200, JSON_BODIES),
  ...asStatus(400, JSON_BODIES),
  ...CODES.map((code): [string, Bomb] => [
    `the code ${JSON.stringify(code).slice(0, 40)}`,
    { status: 400, body: JSON.stringify({ __type: code, message: code }) },
  ]),
])('SQS: %s', async (_, bomb) => {
  const url = await endpoint(bomb, (payload, { headers }) => {
    const { QueueName, Entries } = JSON.parse(payload) as { QueueName?: string; Entries?: { Id: string }[] };
    const answer =
      QueueName !== undefined
        ? { QueueUrl: `http://${headers.host}/000000000000/${QueueName}` }
        : Entries === undefined
          ? { Attributes: { FifoQueue: 'true', MaximumMessageSize: '1' } }
          : { Successful: Entries.map(({ Id }) => ({ Id })) };
    return { isBatch: Entries !== undefined, answer: JSON.stringify(answer) };
  });
  await expectDefused(await createSqsSink({ queue_name: 'users.fifo', emulator_base_url: url }));
});

test.each([
  ...asStatus(200, XML_BODIES),
  ...asStatus(400, XML_BODIES),
  ...CODES.filter((code) => !code.includes('\u001b')).map((code): [string, Bomb] => [
    `the code ${JSON.stringify(code).slice(0, 40)}`,
    {
      status: 400,
      body: `<ErrorResponse><Error><Code>${code}</Code><Message>${code}</Message></Error></ErrorResponse>`,
    },
  ]),
])('SNS: %s', async (_, bomb) => {
  const url = await endpoint(bomb, (payload) => {
    const form = new URLSearchParams(payload);
    const action = form.get('Action') ?? '';
    const size = '<entry><key>MaximumMessageSize</key><value>1</value></entry>';
    const result =
      action === 'PublishBatch'
        ? batchResultXml({ Successful: membersOf(form).map((member) => ({ Id: member.get('Id')! })) })
        : `<Attributes>${size}</Attributes>`;
    return { isBatch: action === 'PublishBatch', answer: resultXml(action, result) };
  });
  const topic = 'arn:aws:sns:us-east-1:123456789012:users.fifo';
  await expectDefused(await createSnsSink({ topic_arn: topic, emulator_base_url: url }));
});

test.each([undefined, null, {}, [], true, 2048, '', '0', '1', '-5', 'NaN', '1023', 'a'])(
  'a limit of %j is none, and makes no message too large',
  (said) => expect(messageLimit(said)).toBeUndefined(),
);

test.each([
  ['1024', 1024],
  ['262144', 262_144],
  ['1048576', 1_048_576],
  ['1e309', 1_048_576],
  ['99999999999', 1_048_576],
])('a limit of %j is %i bytes', (said, bytes) => expect(messageLimit(said)).toBe(bytes));

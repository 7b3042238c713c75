// The stand-in for SQS on the wire: the four actions that a sender needs, in AWS' JSON protocol, and as little else as
// can be. What it accepts it gives to the queues' accounting. Hot file.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import { hash } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BenchQueue } from './queue.ts';

const ACCOUNT = '000000000000';
const MAX_ENTRIES = 10;
const MAX_BYTES = 1_048_576;

type Entry = {
  readonly Id: string;
  readonly MessageBody: string;
  readonly MessageGroupId?: string;
  readonly MessageDeduplicationId?: string;
};

export type EndpointServer = {
  readonly url: string;
  /** Cuts the connections of requests that were left without an answer. */
  dropStalled(): void;
  readonly server: Server;
};

/** Listens on a free port of the loopback; every queue exists. */
export async function startEndpointServer(queueOf: (name: string) => BenchQueue): Promise<EndpointServer> {
  const stalled = new Set<ServerResponse>();
  const attributes: Record<string, string> = { FifoQueue: 'true', MaximumMessageSize: String(MAX_BYTES) };

  const answer = (response: ServerResponse, status: number, text: string): void => {
    response.writeHead(status, {
      'content-type': 'application/x-amz-json-1.0',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  };
  const serve = (action: string, payload: string, response: ServerResponse): void => {
    const request = JSON.parse(payload) as { QueueUrl?: string; QueueName?: string; Entries?: Entry[] };
    if (action !== 'SendMessageBatch') {
      const name = request.QueueName ?? nameOf(request.QueueUrl ?? '');
      const result = action === 'GetQueueAttributes' ? { Attributes: attributes } : { QueueUrl: urlOf(name) };
      return answer(response, 200, JSON.stringify(result));
    }
    const queue = queueOf(nameOf(request.QueueUrl!));
    if (queue.mode === 'stalled') {
      stalled.add(response);
      response.once('close', () => stalled.delete(response));
      return;
    }
    if (queue.mode === 'refusing') {
      return answer(response, 503, '{"__type":"com.amazonaws.sqs#ServiceUnavailable","message":"refused"}');
    }
    const entries = request.Entries!;
    if (entries.length > MAX_ENTRIES || payload.length > 2 * MAX_BYTES) {
      return answer(response, 400, '{"__type":"com.amazonaws.sqs#BatchRequestTooLong","message":"too long"}');
    }
    queue.requests++;
    let text = '{"Successful":[';
    for (let i = 0; i < entries.length; i++) {
      const { Id, MessageBody, MessageGroupId = '', MessageDeduplicationId = '' } = entries[i]!;
      queue.accept(MessageGroupId, MessageDeduplicationId, MessageBody);
      text += `${i === 0 ? '' : ','}{"Id":"${Id}","MessageId":"${queue.requests}-${i}","MD5OfMessageBody":"${hash('md5', MessageBody)}"}`;
    }
    answer(response, 200, `${text}],"Failed":[]}`);
  };

  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const action = String(request.headers['x-amz-target']).replace('AmazonSQS.', '');
      const payload = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      serve(action, payload.toString(), response);
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const urlOf = (name: string): string => `${url}/${ACCOUNT}/${name}`;
  return {
    url,
    server,
    dropStalled: () => {
      for (const response of stalled) response.destroy();
    },
  };
}

const nameOf = (url: string): string => url.slice(url.lastIndexOf('/') + 1);

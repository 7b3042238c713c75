// AWS' JSON protocol: the action is a header, request and answer are JSON. SQS speaks it.
// https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
import type { AwsProtocol } from './client.ts';

/** `targetPrefix`: `AmazonSQS` in `AmazonSQS.SendMessageBatch`. */
export const awsJson = (targetPrefix: string): AwsProtocol => ({
  contentType: 'application/x-amz-json-1.0',
  target: (action) => `${targetPrefix}.${action}`,
  read: (text) => JSON.parse(text) as unknown,
  readRefusal,
});

/** `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"…"}`. */
function readRefusal(text: string): ReturnType<AwsProtocol['readRefusal']> {
  const body = JSON.parse(text) as Readonly<Record<string, unknown>> | null;
  const code = body?.['__type'];
  if (typeof code !== 'string') return undefined;
  const message = body?.['message'] ?? body?.['Message'];
  return { code, message: typeof message === 'string' ? message : undefined };
}

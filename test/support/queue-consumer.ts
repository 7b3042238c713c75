// A consumer of an SQS queue as users write one: it receives, works, deletes, and asks again.
import { DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { FAKE_AWS } from './service.ts';

export type ConsumedMessage = {
  readonly body: string;
  readonly group: string;
  /** Grows in the order in which a FIFO queue took its messages. */
  readonly sequence: string;
};

/** Consumes until `signal` aborts. `process` is the work: called before the message is deleted. */
export async function consumeQueue(
  options: {
    readonly endpoint: string;
    readonly queueUrl: string;
    readonly process: (message: ConsumedMessage) => void;
  },
  signal: AbortSignal,
): Promise<void> {
  const client = new SQSClient({
    endpoint: options.endpoint,
    region: FAKE_AWS.AWS_REGION,
    credentials: {
      accessKeyId: FAKE_AWS.AWS_ACCESS_KEY_ID,
      secretAccessKey: FAKE_AWS.AWS_SECRET_ACCESS_KEY,
    },
  });
  const QueueUrl = options.queueUrl;
  const receive = new ReceiveMessageCommand({
    QueueUrl,
    MaxNumberOfMessages: 10,
    WaitTimeSeconds: 1,
    MessageSystemAttributeNames: ['All'],
  });
  while (!signal.aborted) {
    const { Messages = [] } = await client.send(receive);
    if (Messages.length === 0) continue;
    for (const { Body, Attributes } of Messages) {
      options.process({
        body: Body!,
        group: Attributes!.MessageGroupId!,
        sequence: Attributes!.SequenceNumber!,
      });
    }
    await client.send(
      new DeleteMessageBatchCommand({
        QueueUrl,
        Entries: Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle })),
      }),
    );
  }
  client.destroy();
}

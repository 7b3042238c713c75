// A consumer of an SQS queue as users write one: it receives, works, deletes, and asks again.
import { DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { FAKE_AWS_CLIENT } from './service.ts';

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
  const client = new SQSClient({ endpoint: options.endpoint, ...FAKE_AWS_CLIENT });
  const QueueUrl = options.queueUrl;
  const receive = new ReceiveMessageCommand({
    QueueUrl,
    MaxNumberOfMessages: 10,
    WaitTimeSeconds: 20,
    MessageSystemAttributeNames: ['All'],
  });
  const consumeSome = async (): Promise<void> => {
    const { Messages = [] } = await client.send(receive, { abortSignal: signal });
    if (Messages.length === 0) return;
    for (const { Body, Attributes } of Messages) {
      options.process({
        body: Body!,
        group: Attributes!.MessageGroupId!,
        sequence: Attributes!.SequenceNumber!,
      });
    }
    const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
    await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }), { abortSignal: signal });
  };
  try {
    while (!signal.aborted) await consumeSome();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    client.destroy();
  }
}

// Lambda polls a queue: Tailrace → SQS → Lambda, or Tailrace → SNS → SQS (raw message delivery) → Lambda.
// Set `ReportBatchItemFailures` on the event source mapping: only what failed comes again.
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { ApplyChange, Change } from './change.ts';

export const handler = createHandler(async ({ action, metadata, record }) => {
  // Your code here. Remember `metadata.idempotency_key` where a repeat would hurt.
  console.log(`${action} ${metadata.table_schema}.${metadata.table_name}`, record);
});

export function createHandler(apply: ApplyChange): (event: SQSEvent) => Promise<SQSBatchResponse> {
  return async ({ Records: records }) => {
    const failed: string[] = [];
    for (const [index, { messageId, body, eventSourceARN }] of records.entries()) {
      try {
        await apply(JSON.parse(body) as Change);
      } catch (error) {
        console.error(`message ${messageId}:`, error);
        failed.push(messageId);
        if (eventSourceARN.endsWith('.fifo')) {
          // What follows must not overtake it.
          // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
          failed.push(...records.slice(index + 1).map((record) => record.messageId));
          break;
        }
      }
    }
    return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
  };
}

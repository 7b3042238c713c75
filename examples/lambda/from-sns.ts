// SNS pushes to Lambda: Tailrace → SNS (a standard topic) → Lambda. An error makes Lambda try the event again, twice
// by default; give the function a dead-letter queue or an on-failure destination for what fails for good.
import type { SNSEvent } from 'aws-lambda';
import type { ApplyChange, Change } from './change.ts';

export const handler = createHandler(async ({ action, metadata, record }) => {
  // Your code here. Remember `metadata.idempotency_key`: SNS may deliver a message more than once, and in any order.
  console.log(`${action} ${metadata.table_schema}.${metadata.table_name}`, record);
});

export function createHandler(apply: ApplyChange): (event: SNSEvent) => Promise<void> {
  return async (event) => {
    // Lambda gets one record an event from SNS; the type allows more.
    for (const { Sns } of event.Records) await apply(JSON.parse(Sns.Message) as Change);
  };
}

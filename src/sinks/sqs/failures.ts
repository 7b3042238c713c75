// SQS' refusals in an operator's words.
import { AwsFailures } from '../aws/failures.ts';

export const sqsFailures = new AwsFailures('SQS', {
  throttled:
    'SQS takes fewer requests than there are: they are sent more slowly until it takes all; for a FIFO queue, high-throughput mode raises the limit',
  lookupThrottled:
    'SQS answers fewer questions about queues (GetQueueUrl, GetQueueAttributes, CreateQueue) than the account asks: they are asked again, more slowly; queue_url instead of queue_name saves half of them',
  denied:
    'allow sqs:SendMessage, sqs:GetQueueUrl and sqs:GetQueueAttributes on this queue to these credentials, in their policy and in the queue’s (to create it sqs:CreateQueue)',
  keyDenied:
    'the KMS key of the queue refuses: enable it, and allow kms:GenerateDataKey and kms:Decrypt to these credentials',
  missing:
    'create the queue, correct its name, region or account, or set create_if_not_exists: true (of what rows name, that makes only what allowed lists)',
  tooLong:
    'the message is larger than the queue takes: leave out columns, or raise the queue’s MaximumMessageSize',
  parameter:
    'SQS refuses a parameter of this message: check its size, group_id, and that the queue is of the type that its name says',
  region: 'set region, AWS_REGION, or queue_url instead of queue_name',
});

// SNS' refusals in an operator's words.
import { AwsFailures } from '../aws/failures.ts';

export const snsFailures = new AwsFailures('SNS', {
  throttled:
    'SNS takes fewer requests than there are: they are sent more slowly until it takes all; for a FIFO topic, FifoThroughputScope MessageGroup raises the limit',
  lookupThrottled:
    'SNS answers fewer questions about topics (ListTopics, GetTopicAttributes, CreateTopic) than the account asks: they are asked again, more slowly; with topic_arn instead of topic_name no topics are listed',
  denied:
    'allow sns:Publish and sns:GetTopicAttributes on this topic to these credentials, in their policy and in the topic’s (with topic_name also sns:ListTopics, to create it sns:CreateTopic)',
  keyDenied:
    'the KMS key of the topic refuses: enable it, and allow kms:GenerateDataKey and kms:Decrypt to these credentials',
  missing:
    'create the topic, correct its name, region or account, or set create_if_not_exists: true (of what rows name, that makes only what allowed lists)',
  tooLong:
    'the message is larger than the topic takes: leave out columns, or raise the topic’s MaximumMessageSize (up to 1 MiB)',
  parameter:
    'SNS refuses a parameter of this message: check its size, group_id, and that the topic is of the type that its name says',
  region: 'set region, AWS_REGION, or topic_arn instead of topic_name',
});

// What a topic's ARN says: its partition, region, account and name.

// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html#amazonsns-resources-for-iam-policies
const TOPIC_ARN = /^arn:aws[a-z-]*:sns:([a-z0-9-]+):\d{12}:(.+)$/;

/** https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html */
export const TOPIC_NAME = /^(?=.{1,256}$)[A-Za-z0-9_-]+(\.fifo)?$/;

/** `arn:aws:sns:eu-west-1:123456789012:users.fifo` → region and name; undefined: it is none. */
export function parseTopicArn(arn: string): { readonly region: string; readonly name: string } | undefined {
  const [, region, name] = TOPIC_ARN.exec(arn) ?? [];
  return region === undefined || name === undefined || !TOPIC_NAME.test(name) ? undefined : { region, name };
}

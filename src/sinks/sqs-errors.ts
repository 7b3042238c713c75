// What SQS's refusals mean for messages: one table from family of errors to kind, scope and cure.
import type { DeliveryError } from '../core/errors.ts';
import { errorFamily, type ErrorFamily, type RequestError } from './aws-errors.ts';

type Meaning = {
  /** Whose failure it is when the request as a whole is refused; `message`: one of them, if there are several. */
  readonly culprit: 'message' | 'route';
  /** May AWS's own words be shown? They name users, actions and resources, never row values (invariant 9). */
  readonly quoted: boolean;
  readonly cure: string;
};

const MEANINGS: Readonly<Record<ErrorFamily, Meaning>> = {
  throttled: {
    culprit: 'route',
    quoted: false,
    cure: 'SQS takes fewer requests than there are: they are sent more slowly until it takes all; for a FIFO queue, high-throughput mode raises the limit',
  },
  denied: {
    culprit: 'route',
    quoted: true,
    cure: 'allow sqs:SendMessage, sqs:GetQueueUrl and sqs:GetQueueAttributes on this queue to these credentials, in their policy and in the queue’s',
  },
  keyDenied: {
    culprit: 'route',
    quoted: true,
    cure: 'the KMS key of the queue refuses: enable it, and allow kms:GenerateDataKey and kms:Decrypt to these credentials',
  },
  credentials: {
    culprit: 'route',
    quoted: true,
    cure: 'set access_key_id and secret_access_key, profile, use_task_role, or the AWS_* variables',
  },
  expired: {
    culprit: 'route',
    quoted: true,
    cure: 'renew the session token, or use a source that renews by itself: use_task_role, profile, role_arn',
  },
  signature: {
    culprit: 'route',
    quoted: false,
    cure: 'AWS computes another signature: check secret_access_key, the region, and this machine’s clock',
  },
  clock: { culprit: 'route', quoted: true, cure: 'synchronise this machine’s clock' },
  queueMissing: {
    culprit: 'route',
    quoted: true,
    cure: 'create the queue, correct its name, region or account, or set create_if_not_exists: true',
  },
  content: { culprit: 'message', quoted: false, cure: 'SQS takes no such content' },
  tooLong: {
    culprit: 'message',
    quoted: false,
    cure: 'the message is larger than the queue takes: leave out columns, or raise the queue’s MaximumMessageSize',
  },
  parameter: {
    culprit: 'message',
    quoted: false,
    cure: 'SQS refuses a parameter of this message: check its size, group_id, and that the queue is of the type that its name says',
  },
  service: { culprit: 'route', quoted: false, cure: 'SQS failed; it is asked again until it recovers' },
  timeout: {
    culprit: 'route',
    quoted: false,
    cure: 'no answer in time: check the network path to SQS (VPC endpoint, NAT, security group), or raise timeout',
  },
  network: {
    culprit: 'route',
    quoted: true,
    cure: 'check the network path to SQS (VPC endpoint, NAT, DNS), and emulator_base_url or AWS_ENDPOINT_URL if set',
  },
  tls: {
    culprit: 'route',
    quoted: true,
    cure: 'check emulator_base_url, or name the certificate’s authority in NODE_EXTRA_CA_CERTS',
  },
  malformed: {
    culprit: 'route',
    quoted: false,
    cure: 'the answer is not one of SQS: check emulator_base_url, AWS_ENDPOINT_URL and proxies in between',
  },
  region: {
    culprit: 'route',
    quoted: true,
    cure: 'set region, AWS_REGION, or queue_url instead of queue_name',
  },
};

const MAX_QUOTED_CHARACTERS = 400;

/**
 * What a request's failure means for its messages. Scope `message`: one of them is the culprit, so a request of
 * several must be split to find it. Every other failure is the route's, and none of its messages is to blame.
 */
export function requestFailure(error: RequestError): DeliveryError {
  const { code, status } = error;
  const family = errorFamily(code, status);
  if (family === undefined) {
    const hint = `SQS answers ${code}${status === undefined ? '' : ` (HTTP ${status})`}: ${MEANINGS.malformed.cure}`;
    return { kind: 'retryable', scope: 'route', code, hint };
  }
  const { culprit, quoted, cure } = MEANINGS[family];
  const hint = quoted ? `${error.message.slice(0, MAX_QUOTED_CHARACTERS)} — ${cure}` : cure;
  // A parameter may be the queue's fault after all: attempts are counted, and no dead letter is made at once.
  const kind = culprit === 'message' && family !== 'parameter' ? 'rejected' : 'retryable';
  return { kind, scope: culprit, code, hint };
}

/** What the failure of one entry means, its request having gone through. */
export function entryFailure(code: string, senderFault: boolean): DeliveryError {
  const family = errorFamily(code);
  if (family === undefined || MEANINGS[family].culprit === 'message') {
    const hint = family === undefined ? `SQS refuses this message: ${code}` : MEANINGS[family].cure;
    return { kind: senderFault ? 'rejected' : 'retryable', scope: 'message', code, hint };
  }
  // Throttles and KMS refusals come with SenderFault: true, and are not the message's fault.
  const scope = family === 'service' ? 'message' : 'route';
  return { kind: 'retryable', scope, code, hint: MEANINGS[family].cure };
}

/** The reply says nothing of a message: it counts as not delivered. A FIFO queue absorbs the repeat. */
export const missingResult: DeliveryError = {
  kind: 'retryable',
  scope: 'route',
  code: 'MISSING_RESULT',
  hint: 'the answer of SQS says nothing of this message; it is sent again',
};

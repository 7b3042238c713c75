import { describe, expect, test } from 'vitest';
import { bareCode, RequestError } from '../../../src/sinks/aws/errors.ts';
import { snsFailures } from '../../../src/sinks/sns/failures.ts';
import { sqsFailures } from '../../../src/sinks/sqs/failures.ts';

const refused = (code: string, status?: number, message = 'as AWS says') =>
  sqsFailures.ofRequest(new RequestError({ code, status, message }));

describe('a request that fails as a whole', () => {
  test.each([
    ['ThrottlingException', 400],
    ['RequestThrottled', 403],
    ['KmsThrottled', 400],
    ['HTTP_429', 429],
    ['HTTP_503', 503],
  ])('%s (%i) is a throttle of the route (C231)', (code, status) => {
    expect(refused(code, status)).toMatchObject({
      kind: 'retryable',
      scope: 'route',
      code,
      hint: expect.stringContaining('more slowly'),
      throttled: true,
    });
    expect(sqsFailures.ofEntry('RequestThrottled', true)).toMatchObject({ scope: 'route', throttled: true });
    expect(refused('InternalError', 500)).not.toHaveProperty('throttled');
  });

  test.each([
    ['AccessDenied', 403, /as AWS says — allow sqs:SendMessage/],
    ['KMS.DisabledException', 400, /as AWS says — the KMS key .* kms:GenerateDataKey/],
    ['KmsAccessDenied', 400, /kms:GenerateDataKey/],
    ['InvalidClientTokenId', 403, /access_key_id/],
    ['ExpiredToken', 403, /renew/],
    ['SignatureDoesNotMatch', 403, /secret_access_key/],
    ['RequestExpired', 400, /clock/],
    ['QueueDoesNotExist', 400, /create_if_not_exists/],
    ['NonExistentQueue', 400, /create_if_not_exists/],
    ['InternalError', 500, /recovers/],
    ['HTTP_502', 502, /recovers/],
    ['ETIMEDOUT', undefined, /timeout/],
    ['ECONNREFUSED', undefined, /network path/],
    ['EADDRNOTAVAIL', undefined, /network path/],
    ['ENETDOWN', undefined, /network path/],
    ['EAI_FAIL', undefined, /network path/],
    ['CERT_NOT_YET_VALID', undefined, /clock/],
    ['CERT_UNTRUSTED', undefined, /NODE_EXTRA_CA_CERTS/],
    ['UNABLE_TO_GET_ISSUER_CERT', undefined, /NODE_EXTRA_CA_CERTS/],
    ['EPROTO', undefined, /NODE_EXTRA_CA_CERTS/],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', undefined, /NODE_EXTRA_CA_CERTS/],
    ['ERR_SSL_WRONG_VERSION_NUMBER', undefined, /NODE_EXTRA_CA_CERTS/],
    ['MALFORMED_REPLY', 200, /as AWS says — .*not one of SQS/],
    ['REGION_MISSING', undefined, /AWS_REGION/],
    ['BrandNewError', 400, /BrandNewError \(HTTP 400\)/],
    ['BrandNewError', 403, /allow sqs:SendMessage/],
  ])('%s is the route’s trouble and names its cure (C233, C235)', (code, status, hint) => {
    expect(refused(code, status)).toMatchObject({
      kind: 'retryable',
      scope: 'route',
      code,
      hint: expect.stringMatching(hint),
    });
  });

  test('content and length are one message’s fault, and final (C223)', () => {
    for (const [code, status] of [
      ['InvalidMessageContents', 400],
      ['BatchRequestTooLong', 400],
      ['HTTP_413', 413],
    ] as const) {
      expect(refused(code, status)).toMatchObject({ kind: 'rejected', scope: 'batch', code });
    }
  });

  test('a refused parameter may be the queue’s fault: it counts attempts', () => {
    expect(refused('InvalidParameterValue', 400)).toMatchObject({ kind: 'retryable', scope: 'batch' });
  });

  test('what AWS says of a parameter is not repeated: it may hold a value of the row', () => {
    expect(refused('InvalidParameterValue', 400, 'Value alice@example.com is invalid').hint).not.toContain(
      'alice',
    );
  });
});

describe('an entry that fails', () => {
  test.each(['InvalidMessageContents', 'InvalidParameterValue', 'MissingParameter', 'SomethingNew', 'ERROR'])(
    '%s is rejected when it is the sender’s fault, else sent again',
    (code) => {
      expect(sqsFailures.ofEntry(code, true)).toMatchObject({ kind: 'rejected', scope: 'message', code });
      expect(sqsFailures.ofEntry(code, false)).toMatchObject({ kind: 'retryable', scope: 'message', code });
    },
  );

  test.each(['InternalError', 'ServiceUnavailable'])(
    '%s is sent again whoever is to blame (C223)',
    (code) => {
      for (const senderFault of [true, false]) {
        expect(sqsFailures.ofEntry(code, senderFault)).toMatchObject({ kind: 'retryable', scope: 'message' });
      }
    },
  );

  test.each([
    'RequestThrottled',
    'KMS.ThrottlingException',
    'KmsDisabled',
    'AccessDenied',
    'QueueDoesNotExist',
  ])('%s is the route’s trouble although SQS calls it a sender fault', (code) => {
    expect(sqsFailures.ofEntry(code, true)).toMatchObject({ kind: 'retryable', scope: 'route', code });
  });
});

describe('SNS', () => {
  test.each([
    ['AuthorizationError', 403, /as SNS says — allow sns:Publish/],
    ['NotFound', 404, /as SNS says — create the topic/],
    ['KMSDisabled', 400, /KMS key of the topic/],
    ['Throttled', 429, /more slowly/],
    ['InternalError', 500, /recovers/],
  ])('%s is the route’s trouble and names its cure', (code, status, hint) => {
    const error = new RequestError({ code, status, message: 'as SNS says' });
    expect(snsFailures.ofRequest(error)).toMatchObject({
      kind: 'retryable',
      scope: 'route',
      code,
      hint: expect.stringMatching(hint),
    });
  });

  test('a parameter refused while the topic is looked for is the route’s trouble', () => {
    const error = new RequestError({ code: 'InvalidParameter', status: 400, message: 'TopicArn' });
    expect(snsFailures.ofLookup(error)).toMatchObject({ kind: 'retryable', scope: 'route' });
    expect(snsFailures.ofRequest(error)).toMatchObject({ kind: 'retryable', scope: 'batch' });
    expect(snsFailures.ofEntry('InvalidParameter', true)).toMatchObject({ kind: 'rejected' });
  });
});

test('codes lose their namespaces', () => {
  expect(bareCode('com.amazonaws.sqs#QueueDoesNotExist')).toBe('QueueDoesNotExist');
  expect(bareCode('AWS.SimpleQueueService.NonExistentQueue')).toBe('NonExistentQueue');
  expect(bareCode('AccessDenied')).toBe('AccessDenied');
  expect(bareCode('KMS.ThrottlingException')).toBe('KMS.ThrottlingException');
  // As older services and some emulators write it.
  const withAddress =
    'com.amazonaws.sqs#QueueDoesNotExist:http://internal.amazon.com/coral/com.amazonaws.sqs/';
  expect(bareCode(withAddress)).toBe('QueueDoesNotExist');
});

test.each([
  '',
  '#',
  '{"id":7}',
  'alice@example.com',
  'A\u001b]52;c;x\u0007',
  'A B',
  'A'.repeat(101),
  '\u202e',
])('%j is no code, and is shown nowhere', (code) => expect(bareCode(code)).toBeUndefined());

test.each([
  [sqsFailures, 'GetQueueUrl'],
  [snsFailures, 'ListTopics'],
])(
  'a throttled question about the route is told with another cure than a throttled message',
  (failures, asked) => {
    const error = new RequestError({ code: 'Throttling', status: 400, message: 'Rate exceeded' });
    const lookup = failures.ofLookup(error);
    expect(lookup).toMatchObject({ kind: 'retryable', scope: 'route', throttled: true });
    expect(lookup.hint).toContain(asked);
    expect(lookup.hint).not.toMatch(/FifoThroughputScope|high-throughput/);
    expect(failures.ofRequest(error).hint).not.toContain(asked);
  },
);

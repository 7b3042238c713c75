import { describe, expect, test } from 'vitest';
import { bareCode, RequestError } from '../../src/sinks/aws-errors.ts';
import { entryFailure, requestFailure } from '../../src/sinks/sqs-errors.ts';

const refused = (code: string, status?: number, message = 'as AWS says') =>
  requestFailure(new RequestError({ code, status, message }));

describe('a request that fails as a whole', () => {
  test.each([
    ['ThrottlingException', 400],
    ['RequestThrottled', 403],
    ['KmsThrottled', 400],
    ['HTTP_429', 429],
    ['HTTP_503', 503],
  ])('%s (%i) is a throttle of the route', (code, status) => {
    expect(refused(code, status)).toMatchObject({
      kind: 'retryable',
      scope: 'route',
      code,
      hint: expect.stringContaining('more slowly'),
    });
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
    ['REPLY_TIMEOUT', undefined, /timeout/],
    ['ECONNREFUSED', undefined, /network path/],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', undefined, /NODE_EXTRA_CA_CERTS/],
    ['MALFORMED_REPLY', 200, /not one of SQS/],
    ['REGION_MISSING', undefined, /AWS_REGION/],
    ['BrandNewError', 400, /BrandNewError \(HTTP 400\)/],
    ['BrandNewError', 403, /allow sqs:SendMessage/],
  ])('%s is the route’s trouble and names its cure', (code, status, hint) => {
    expect(refused(code, status)).toMatchObject({
      kind: 'retryable',
      scope: 'route',
      code,
      hint: expect.stringMatching(hint),
    });
  });

  test('content and length are one message’s fault, and final', () => {
    for (const code of ['InvalidMessageContents', 'BatchRequestTooLong']) {
      expect(refused(code, 400)).toMatchObject({ kind: 'rejected', scope: 'message', code });
    }
  });

  test('a refused parameter may be the queue’s fault: it counts attempts', () => {
    expect(refused('InvalidParameterValue', 400)).toMatchObject({ kind: 'retryable', scope: 'message' });
  });

  test('what AWS says of a parameter is not repeated: it may hold a value of the row', () => {
    expect(refused('InvalidParameterValue', 400, 'Value alice@example.com is invalid').hint).not.toContain(
      'alice',
    );
  });
});

describe('an entry that fails', () => {
  test.each(['InvalidMessageContents', 'InvalidParameterValue', 'MissingParameter', 'SomethingNew'])(
    '%s is rejected when it is the sender’s fault, else sent again',
    (code) => {
      expect(entryFailure(code, true)).toMatchObject({ kind: 'rejected', scope: 'message', code });
      expect(entryFailure(code, false)).toMatchObject({ kind: 'retryable', scope: 'message', code });
    },
  );

  test.each(['InternalError', 'ServiceUnavailable'])('%s is sent again whoever is to blame', (code) => {
    for (const senderFault of [true, false]) {
      expect(entryFailure(code, senderFault)).toMatchObject({ kind: 'retryable', scope: 'message' });
    }
  });

  test.each([
    'RequestThrottled',
    'KMS.ThrottlingException',
    'KmsDisabled',
    'AccessDenied',
    'QueueDoesNotExist',
  ])('%s is the route’s trouble although SQS calls it a sender fault', (code) => {
    expect(entryFailure(code, true)).toMatchObject({ kind: 'retryable', scope: 'route', code });
  });
});

test('codes lose their namespaces', () => {
  expect(bareCode('com.amazonaws.sqs#QueueDoesNotExist')).toBe('QueueDoesNotExist');
  expect(bareCode('AWS.SimpleQueueService.NonExistentQueue')).toBe('NonExistentQueue');
  expect(bareCode('AccessDenied')).toBe('AccessDenied');
});

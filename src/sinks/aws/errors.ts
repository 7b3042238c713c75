// How requests to AWS fail, and which failures are alike: error codes by family.
import { MALFORMED_REPLY, REPLY_TOO_LONG } from '../http/errors.ts';

/** A request that failed as a whole: refused by AWS, or never answered. */
export class RequestError extends Error {
  readonly code: string;
  /** HTTP status; undefined when there was no answer. */
  readonly status: number | undefined;

  constructor(details: { code: string; status?: number | undefined; message: string; cause?: unknown }) {
    super(details.message, { cause: details.cause });
    this.name = 'RequestError';
    this.code = details.code;
    this.status = details.status;
  }
}

/** Our own codes, next to those of AWS and of the network. */
export { MALFORMED_REPLY };
export const REGION_MISSING = 'REGION_MISSING';
export const REGION_UNKNOWN = 'REGION_UNKNOWN';
export const ENDPOINT_NOT_FOUND = 'ENDPOINT_NOT_FOUND';
export const CREDENTIALS_MISSING = 'CREDENTIALS_MISSING';
export const CREDENTIALS_MALFORMED = 'CREDENTIALS_MALFORMED';
export const QUEUE_NOT_FIFO = 'QUEUE_NOT_FIFO';

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
// https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html
const CODES = {
  throttled: [
    'ThrottlingException',
    'Throttling',
    'Throttled',
    'ThrottledException',
    'RequestThrottled',
    'RequestThrottledException',
    'RequestLimitExceeded',
    'TooManyRequestsException',
    'SlowDown',
  ],
  denied: [
    'AccessDenied',
    'AccessDeniedException',
    'AuthorizationError',
    'AuthorizationErrorException',
    'NotAuthorized',
    'UnauthorizedOperation',
    'OptInRequired',
    'InvalidSecurity',
  ],
  /** Every other code of KMS. */
  keyDenied: [],
  credentials: [
    'InvalidClientTokenId',
    'UnrecognizedClientException',
    'InvalidAccessKeyId',
    'MissingAuthenticationToken',
    'MissingAuthenticationTokenException',
    'IncompleteSignature',
    'IncompleteSignatureException',
    CREDENTIALS_MISSING,
  ],
  malformedCredentials: [CREDENTIALS_MALFORMED],
  expired: ['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired'],
  signature: ['SignatureDoesNotMatch', 'InvalidSignatureException'],
  clock: ['RequestExpired', 'RequestTimeTooSkewed', 'RequestInTheFuture', 'CERT_NOT_YET_VALID'],
  /** The queue, or the topic. */
  missing: [
    'QueueDoesNotExist',
    'NonExistentQueue',
    'QueueDeletedRecently',
    'InvalidAddress',
    QUEUE_NOT_FIFO,
    'NotFound',
    'NotFoundException',
  ],
  content: ['InvalidMessageContents'],
  tooLong: ['BatchRequestTooLong'],
  parameter: [
    'InvalidParameter',
    'InvalidParameterException',
    'InvalidParameterValue',
    'InvalidParameterValueException',
    'ParameterValueInvalid',
    'InvalidParameterCombination',
    'MissingParameter',
    'ValidationError',
    'ValidationException',
    'SerializationException',
  ],
  service: [
    'InternalError',
    'InternalErrorException',
    'InternalFailure',
    'InternalServerError',
    'ServiceUnavailable',
    'ServiceUnavailableException',
  ],
  timeout: ['ETIMEDOUT'],
  /** Every other code of the system. */
  network: [],
  tls: [
    'EPROTO',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'HOSTNAME_MISMATCH',
    'INVALID_CA',
    'INVALID_PURPOSE',
    'PATH_LENGTH_EXCEEDED',
  ],
  malformed: [MALFORMED_REPLY, REPLY_TOO_LONG],
  region: [REGION_MISSING, REGION_UNKNOWN],
  endpoint: [ENDPOINT_NOT_FOUND],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type ErrorFamily = keyof typeof CODES;

const FAMILY_OF: ReadonlyMap<string, ErrorFamily> = new Map(
  (Object.entries(CODES) as [ErrorFamily, readonly string[]][]).flatMap(([family, codes]) =>
    codes.map((code) => [code, family] as const),
  ),
);

/** By code; else by HTTP status; undefined: nothing that we know. */
export function errorFamily(code: string, status?: number): ErrorFamily | undefined {
  const known = FAMILY_OF.get(code);
  if (known !== undefined) return known;
  // KmsThrottled, KMS.ThrottlingException; KmsDisabled, KMS.NotFoundException, …
  if (/^kms/i.test(code)) return /throttl/i.test(code) ? 'throttled' : 'keyDenied';
  // https://nodejs.org/api/tls.html#x509-certificate-error-codes
  if (/^(ERR_SSL_|ERR_TLS_|CERT_|CRL_|ERROR_IN_|UNABLE_TO_)/.test(code)) return 'tls';
  // Of the system, without an answer: there are more than anybody lists.
  if (status === undefined) return /^E[A-Z0-9_]+$/.test(code) ? 'network' : undefined;
  if (status === 413) return 'tooLong';
  if (status === 429 || status === 503) return 'throttled';
  if (status >= 500) return 'service';
  return status === 401 || status === 403 ? 'denied' : undefined;
}

/**
 * `com.amazonaws.sqs#QueueDoesNotExist`, `AWS.SimpleQueueService.NonExistentQueue`, `NonExistentQueue:http://…` → the bare code.
 * Undefined: it is none. A code is shown, logged and kept with dead letters; whatever else stands there is not (invariant 9).
 * https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html#operation-error-serialization
 */
export function bareCode(code: string): string | undefined {
  const name = code.split(':', 1)[0]!;
  const bare = name.slice(name.lastIndexOf('#') + 1).replace(/^AWS\.SimpleQueueService\./, '');
  return /^[A-Za-z][\w.]{0,99}$/.test(bare) ? bare : undefined;
}

/** Does this refusal say that other credentials might pass? */
export const mayBeCuredByNewCredentials = (code: string): boolean => {
  const family = errorFamily(code);
  return family === 'credentials' || family === 'expired' || family === 'signature';
};

/** Does this refusal say that the clocks may differ? */
export const mayBeCuredByClock = (code: string): boolean => {
  const family = errorFamily(code);
  return family === 'clock' || family === 'signature';
};

/** No such queue, or topic. */
export const isMissing = (error: unknown): error is RequestError =>
  error instanceof RequestError && MISSING.has(error.code);

const MISSING: ReadonlySet<string> = new Set([
  'QueueDoesNotExist',
  'NonExistentQueue',
  'NotFound',
  'NotFoundException',
]);

export const isDenied = (error: unknown): boolean =>
  error instanceof RequestError && errorFamily(error.code, error.status) === 'denied';

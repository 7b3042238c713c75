// What AWS' refusals mean for messages: one table from family of errors to culprit, and each service's words for the cure.
import type { DeliveryError } from '../../core/errors.ts';
import { shortageFailure } from '../http/errors.ts';
import { errorFamily, type ErrorFamily, type RequestError } from './errors.ts';

type Meaning = {
  /** Whose failure it is when the request as a whole is refused; `batch`: that of one of its messages. */
  readonly culprit: 'batch' | 'route';
  /** May AWS's own words be shown? They name users, actions and resources, never row values (invariant 9). */
  readonly quoted: boolean;
};

const MEANINGS: Readonly<Record<ErrorFamily, Meaning>> = {
  throttled: { culprit: 'route', quoted: false },
  denied: { culprit: 'route', quoted: true },
  keyDenied: { culprit: 'route', quoted: true },
  credentials: { culprit: 'route', quoted: true },
  malformedCredentials: { culprit: 'route', quoted: true },
  expired: { culprit: 'route', quoted: true },
  signature: { culprit: 'route', quoted: false },
  clock: { culprit: 'route', quoted: true },
  missing: { culprit: 'route', quoted: true },
  content: { culprit: 'batch', quoted: false },
  tooLong: { culprit: 'batch', quoted: false },
  parameter: { culprit: 'batch', quoted: false },
  service: { culprit: 'route', quoted: false },
  timeout: { culprit: 'route', quoted: false },
  network: { culprit: 'route', quoted: true },
  tls: { culprit: 'route', quoted: true },
  malformed: { culprit: 'route', quoted: true },
  region: { culprit: 'route', quoted: true },
  endpoint: { culprit: 'route', quoted: true },
};

/** The families whose cure depends on the service. */
type OwnFamily = 'throttled' | 'denied' | 'keyDenied' | 'missing' | 'tooLong' | 'parameter' | 'region';

/** `lookupThrottled`: it was asked for the route, and no message was sent. */
export type ServiceCures = Readonly<Record<OwnFamily | 'lookupThrottled', string>>;

const commonCures = (service: string): Readonly<Record<Exclude<ErrorFamily, OwnFamily>, string>> => ({
  credentials: 'set access_key_id and secret_access_key, profile, use_task_role, or the AWS_* variables',
  malformedCredentials: 'correct it where it comes from: keys have printable ASCII only, and no blanks',
  expired: 'renew the session token, or use a source that renews by itself: use_task_role, profile, role_arn',
  signature: 'AWS computes another signature: check secret_access_key, the region, and this machine’s clock',
  clock: 'synchronise this machine’s clock',
  content: `${service} takes no such content: messages have only characters that AWS takes, so look who answers (emulators may refuse others, such as emoji)`,
  service: `${service} failed; it is asked again until it recovers`,
  timeout: `no answer in time: check the network path to ${service} (VPC endpoint, NAT, security group), or raise timeout`,
  network: `check the network path to ${service} (VPC endpoint, NAT, DNS), and emulator_base_url or AWS_ENDPOINT_URL if set`,
  tls: 'check emulator_base_url, or name the certificate’s authority in NODE_EXTRA_CA_CERTS',
  endpoint:
    'correct AWS_ENDPOINT_URL, or endpoint_url and services in the AWS configuration file (AWS_CONFIG_FILE, ~/.aws/config); nothing is sent to AWS in its place',
  malformed: `the answer is not one of ${service}: check emulator_base_url, AWS_ENDPOINT_URL and proxies in between`,
});

const MAX_QUOTED_CHARACTERS = 400;

/** The status of a request whose entries have outcomes of their own. */
const GONE_THROUGH = 200;

/** The failures of one service, as an operator reads them. */
export class AwsFailures {
  readonly #service: string;
  readonly #cures: Readonly<Record<ErrorFamily | 'lookupThrottled', string>>;

  constructor(service: string, cures: ServiceCures) {
    this.#service = service;
    this.#cures = { ...commonCures(service), ...cures };
  }

  /**
   * What a request's failure means for its messages. Scope `batch`: one of them is the culprit. Every other failure is
   * the route's, and none of its messages is to blame.
   */
  ofRequest(error: RequestError): DeliveryError {
    const { code, status } = error;
    const shortage = shortageFailure(code);
    if (shortage !== undefined) return shortage;
    const family = errorFamily(code, status);
    if (family === undefined) {
      const hint = `${this.#service} answers ${code}${status === undefined ? '' : ` (HTTP ${status})`}: ${this.#cures.malformed}`;
      return { kind: 'retryable', scope: 'route', code, hint };
    }
    const { culprit, quoted } = MEANINGS[family];
    const cure = this.#cures[family];
    const hint = quoted ? `${error.message.slice(0, MAX_QUOTED_CHARACTERS)} — ${cure}` : cure;
    // A parameter may be the route's fault after all: attempts are counted, and no dead letter is made at once.
    const kind = culprit === 'batch' && family !== 'parameter' ? 'rejected' : 'retryable';
    return { kind, scope: culprit, code, hint, ...(family === 'throttled' && { throttled: true }) };
  }

  /** Looking for the route failed: no message was sent, so none can be at fault. */
  ofLookup(error: RequestError): DeliveryError {
    const failure: DeliveryError = { ...this.ofRequest(error), kind: 'retryable', scope: 'route' };
    return failure.throttled === true ? { ...failure, hint: this.#cures.lookupThrottled } : failure;
  }

  /** What the failure of one entry means, its request having gone through. */
  ofEntry(code: string, senderFault: boolean): DeliveryError {
    const family = errorFamily(code, GONE_THROUGH);
    if (family === undefined || MEANINGS[family].culprit === 'batch') {
      const hint =
        family === undefined ? `${this.#service} refuses this message: ${code}` : this.#cures[family];
      return { kind: senderFault ? 'rejected' : 'retryable', scope: 'message', code, hint };
    }
    // Throttles and KMS refusals come with SenderFault: true, and are not the message's fault.
    const scope = family === 'service' ? 'message' : 'route';
    const hint = this.#cures[family];
    return { kind: 'retryable', scope, code, hint, ...(family === 'throttled' && { throttled: true }) };
  }

  /** The reply says nothing of a message: it counts as not delivered. FIFO absorbs the repeat. */
  get ofMissingResult(): DeliveryError {
    return {
      kind: 'retryable',
      scope: 'route',
      code: 'MISSING_RESULT',
      hint: `the answer of ${this.#service} says nothing of this message; it is sent again`,
    };
  }
}

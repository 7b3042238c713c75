// Delivering a batch to an AWS route, and checking routes: the same for SQS' queues and SNS' topics.
import { TailraceError, type Outcome } from '../../core/errors.ts';
import type { Message } from '../../core/message.ts';
import type { CheckOptions } from '../sink.ts';
import { isMissing, RequestError } from './errors.ts';
import type { AwsFailures } from './failures.ts';

/** A queue or topic, found when first needed. */
export interface AwsRoute<Found> {
  /** As configured. */
  readonly id: string;
  /** What was found of it; undefined: nobody has looked, or it is to be looked for again. */
  readonly known: Found | undefined;
  /** Throws RequestError; the next call looks again. */
  find(signal: AbortSignal): Promise<Found>;
  /** AWS says that it does not exist: whoever comes next looks for it. */
  forget(): void;
  /** A request was too long although it was within the limits that we know. */
  learnTooLong(): void;
  check(signal: AbortSignal, options: CheckOptions): Promise<void>;
}

export type Delivery<Found> = {
  readonly route: AwsRoute<Found>;
  readonly failures: AwsFailures;
  readonly signal: AbortSignal;
  /** One request; an outcome for each message. Throws RequestError. */
  readonly send: (
    found: Found,
    batch: readonly Message[],
    signal: AbortSignal,
  ) => Promise<readonly Outcome[]>;
};

/** One request. Where AWS refuses it whole for what may be one message's fault, that is said of all (scope `batch`). */
export async function deliver<Found>(
  delivery: Delivery<Found>,
  batch: readonly Message[],
): Promise<readonly Outcome[]> {
  const { route, failures, signal, send } = delivery;
  let found: Found;
  try {
    found = route.known ?? (await route.find(signal));
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const failure = failures.ofLookup(error);
    return batch.map(() => failure);
  }
  try {
    return await send(found, batch, signal);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    if (isMissing(error)) route.forget();
    const failure = failures.ofRequest(error);
    if (error.code === 'BatchRequestTooLong' && batch.length > 1) route.learnTooLong();
    return batch.map(() => failure);
  }
}

/** Every route is asked; what is wrong with any of them is in one TailraceError. `noun`: `queue`, `topic`. */
export async function checkRoutes(
  routes: readonly AwsRoute<unknown>[],
  { noun, failures }: { readonly noun: string; readonly failures: AwsFailures },
  signal: AbortSignal,
  options: CheckOptions,
): Promise<void> {
  const results = await Promise.allSettled(routes.map((route) => route.check(signal, options)));
  signal.throwIfAborted();
  const errors = results.flatMap((result, index) => {
    if (result.status === 'fulfilled') return [];
    const error: unknown = result.reason;
    if (!(error instanceof RequestError)) throw error;
    const { code, hint } = failures.ofLookup(error);
    const message = `${noun} ${routes[index]!.id}: ${code}`;
    return [new TailraceError(message, { code, kind: 'retryable', hint, cause: error })];
  });
  const [first] = errors;
  if (first === undefined) return;
  if (errors.length === 1) throw first;
  throw new TailraceError(errors.map(({ message }) => message).join('; '), {
    code: first.code,
    kind: 'retryable',
    hint: [...new Set(errors.map(({ hint }) => hint))].join('; '),
    cause: new AggregateError(errors),
  });
}

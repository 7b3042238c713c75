// How a connection's stream is asked for.
import { ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { asksForMessages, streamsInProgress } from '../../postgres/replication/protocol.ts';
import type { StreamOptions } from '../../postgres/replication/stream.ts';
import type { SourceOptions } from './options.ts';
import type { Prepared } from './start.ts';

/** A Relation message must never come in pieces: 1,600 columns with the longest names fit. */
const MIN_MESSAGE_BYTES = 256 * 1024;

/** Of a row, in the stream and in a backfill: what is larger becomes a dead letter. */
export const maxMessageBytes = ({ log }: Pick<SourceOptions, 'log'>): number =>
  Math.max(log.maxMessageBytes, MIN_MESSAGE_BYTES);

export function streamOptionsOf(facts: {
  readonly startLsn: Lsn;
  /** Transactions in progress are wanted, where the server can send them. */
  readonly inProgress: boolean;
  readonly prepared: Prepared;
  readonly options: SourceOptions;
}): StreamOptions {
  const { startLsn, inProgress, prepared, options } = facts;
  const { settings } = options;
  const { senderTimeoutMs, serverVersion } = prepared.preflight;
  return {
    slot: settings.slot.name,
    publication: settings.publication.name,
    startLsn,
    // No reply says less than the slot knows, before it is known not to have moved.
    confirmed: ZERO_LSN,
    messages: asksForMessages(serverVersion),
    inProgress: inProgress && streamsInProgress(serverVersion),
    statusIntervalMs: settings.statusIntervalMs,
    receiveTimeoutMs: settings.receiveTimeoutMs,
    senderTimeoutMs,
    maxMessageBytes: maxMessageBytes(options),
  };
}

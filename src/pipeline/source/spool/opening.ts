// What a connection's reader reads: the stream itself, or where transactions come while they are in progress, the stream without those.
import { describeError } from '../../../core/errors.ts';
import type { StreamOptions } from '../../../postgres/replication/protocol.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import type { SourceLog } from '../log.ts';
import type { SourceOptions } from '../options.ts';
import type { SourceState } from '../status.ts';
import { SpooledStream, type StreamSource } from './spooled-stream.ts';
import { removeSpools } from './spools.ts';

/** Where it is wanted, and found no room: said as long as it rests. */
export const restingNotes = ({ slot }: DatabaseSettings, inProgress: boolean): readonly string[] =>
  inProgress || slot.streaming === undefined
    ? []
    : [
        'slot.streaming: each transaction is read once it is committed for now, because those in progress found no room here',
      ];

export type ClosableSource = StreamSource & { close(): void };

export function openStreamSource(
  stream: StreamSource,
  { inProgress, maxMessageBytes }: StreamOptions,
  ports: { readonly options: SourceOptions; readonly state: SourceState; readonly opened: SourceLog },
): ClosableSource {
  const { options, state, opened } = ports;
  const { slot, name } = options.settings;
  if (inProgress !== true || slot.streaming === undefined) {
    try {
      removeSpools(opened.directory);
    } catch (cause) {
      options.logger.warn(
        { directory: opened.directory },
        `what transactions in progress left here cannot be deleted: ${describeError(cause)}`,
      );
    }
    return {
      get walEnd() {
        return stream.walEnd;
      },
      read: () => stream.read(),
      close: () => undefined,
    };
  }
  const { log } = opened;
  return new SpooledStream({
    stream,
    database: name,
    directory: opened.directory,
    maxBytes: slot.streaming.maxSpooledBytes,
    maxMessageBytes,
    onCommitted: (commitLsn) => {
      // Else it comes again, and is logged already.
      if (commitLsn > log.context.lastCommitLsn) state.streamedTransactions++;
    },
    onBytes: (bytes) => (state.spooledBytes = bytes),
  });
}

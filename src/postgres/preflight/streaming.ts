// Can the server send large transactions while they are in progress, where that is wanted?
import { streamsInProgress } from '../replication/protocol.ts';
import type { DatabaseSettings } from '../settings.ts';
import { passed, warned, type Finding } from './finding.ts';

const TITLE = 'slot.streaming';

export function inspectStreaming(serverVersion: number, { slot }: DatabaseSettings): Finding[] {
  if (slot.streaming === undefined) return [];
  return streamsInProgress(serverVersion)
    ? [passed(TITLE, 'Postgres sends large transactions while they are in progress')]
    : [
        warned({
          code: 'STREAMING_UNSUPPORTED',
          title: TITLE,
          detail: 'this Postgres sends each transaction once it is committed',
          cure: 'upgrade the server to Postgres 14 or newer, or take slot.streaming out of the configuration',
        }),
      ];
}

// What comes on a replication stream and cannot be: a message that is none, or stands where it may not. Said with its place in the WAL
// and how it begins, never with what rows hold (invariant 9).
import { TailraceError } from '../../core/errors.ts';
import { formatLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { PGOUTPUT } from '../../pgoutput/bytes.ts';
import { walStartIn } from '../../postgres/replication/input.ts';

/** Its type, and the id or place that stands first in all of them but for a commit: none has values of a row there. */
const EXCERPT_BYTES = 5;
const KINDS: ReadonlySet<number> = new Set(Object.values(PGOUTPUT));

export const STREAM_CORRUPT = 'STREAM_CORRUPT';

/** `within`: what is known of the place otherwise, for messages that have none of their own. */
export function corruptStream(
  what: string,
  { bytes, start, end, within }: { bytes: Buffer; start: number; end: number; within: Lsn },
  cause?: unknown,
): TailraceError {
  const lsn = walStartIn(bytes, start);
  const place = lsn === ZERO_LSN ? `after ${formatLsn(within)}` : `at ${formatLsn(lsn)}`;
  // Of what is no message it is not known what stands where.
  const shown = KINDS.has(bytes[start]!) ? EXCERPT_BYTES : 1;
  const excerpt = bytes.subarray(start, Math.min(start + shown, end)).toString('hex');
  return new TailraceError(
    `the replication stream is corrupt ${place}: ${what} (${end - start} bytes, 0x${excerpt}…)`,
    {
      code: STREAM_CORRUPT,
      kind: 'fatal',
      hint: 'nothing of it is taken, and Tailrace asks the server again; if it repeats at the same place, see what else answers or changes bytes between Postgres and Tailrace (proxies, tls.mode), and the log of the server',
      cause,
    },
  );
}

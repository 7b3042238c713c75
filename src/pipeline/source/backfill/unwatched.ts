// What the stream has brought of a table while nobody looked: between two connections, while its backfill was paused or not running at all.
// Rows that came under another key, without their large values, may stand where the reading has passed already: they are read once more.
import { isLost, type Partings } from '../../../core/partings.ts';
import { readBegin } from '../../../log/context.ts';
import { FRAME, FRAME_HEADER_BYTES, frameBytes } from '../../../pgoutput/frames.ts';
import { decodeRelation, relationIdOfRow } from '../../../pgoutput/messages.ts';
import { blocksBetween, type LogPlace } from './recall.ts';
import { TableWatch } from './table-watch.ts';

/**
 * Keys of such rows of the relation, in the log from `offset` to `end`. Undefined: the log does not go back so far. Rejects with
 * TailraceError where it cannot be read.
 */
export async function movedUnwatched(
  log: LogPlace,
  table: {
    readonly relationId: number;
    readonly key: readonly string[];
    readonly updatesAreTold: boolean;
    /** What is of a history that is lost has not happened to any row. */
    readonly partings: Partings;
  },
  range: { readonly offset: number; readonly end: number },
): Promise<readonly (readonly string[])[] | undefined> {
  if (range.offset < log.signals.firstOffset()) return undefined;
  const watch = new TableWatch(table.key, table);
  for await (const { buffer, start, end, context } of blocksBetween(log, range)) {
    let { commitLsn } = context;
    for (let at = start; at < end;) {
      const body = at + FRAME_HEADER_BYTES;
      const frame = at;
      at += frameBytes(buffer, at);
      switch (buffer[body]!) {
        case FRAME.begin:
          ({ commitLsn } = readBegin(buffer, frame));
          break;
        case FRAME.relation: {
          const relation = decodeRelation(buffer, body, at);
          if (relation.id === table.relationId) watch.relation(relation);
          break;
        }
        case FRAME.update:
        case FRAME.insert:
        case FRAME.delete:
          if (isLost(table.partings, { epoch: context.epoch, commitLsn })) break;
          if (relationIdOfRow(buffer, body) === table.relationId) watch.row(buffer, body, at);
          break;
        default:
      }
    }
    // What is remembered is for a window, which there is none: only rows that moved are kept.
    watch.forgetBefore(watch.now);
  }
  return watch.takeMovedInPart();
}

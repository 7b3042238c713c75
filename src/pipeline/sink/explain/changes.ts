// Reads the log as it lies through a sink's intake, and says what becomes of the changes: of all, of the last ones, of those at a place.
import { ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import { ORIGIN, type Position } from '../../../core/position.ts';
import { listSegments, readSegmentContext } from '../../../log/segments.ts';
import type { WrittenLog } from '../../../log/written.ts';
import type { Salts } from '../../../store/renumbered.ts';
import { LogWalker } from '../../intake/log-walker.ts';
import { Explainer, type Explained, type ExplainedSink } from './explainer.ts';
import { lookAtMessage, type SeenMessage } from './message.ts';

export type ExplainOptions = ExplainedSink & {
  readonly log: WrittenLog;
  readonly logDirectory: string;
  readonly streamKey: string;
  readonly salts: Salts;
};

/** A change, and a way to see its messages: valid until the log has let go of it. */
export type ExplainedChange = Explained & { readonly seen: () => readonly SeenMessage[] };

/** In log order, from after `from` to the end that the log had when it was opened. `from` undefined: all that is retained. */
export async function* explainChanges(
  options: ExplainOptions,
  from?: Position,
): AsyncGenerator<ExplainedChange> {
  const { log, streamKey, salts, sink } = options;
  const explainer = new Explainer(options, {
    partings: log.partings,
    readFrames: (offset, length) => log.reader.readFrames(offset, length),
  });
  const head = { position: from ?? ORIGIN, endLsn: ZERO_LSN, offset: 0 };
  const walker = new LogWalker(streamKey, head, explainer, salts);
  const { signal } = new AbortController();
  const place = from === undefined ? 'earliest' : { position: from };
  for await (const block of log.reader.read(place, signal)) {
    await walker.block(block, signal);
    for (const found of explainer.take()) {
      const seen = () => found.messages.map((message) => lookAtMessage(message, explainer.intake, sink));
      yield { ...found, seen };
    }
    if (block.blockEnd >= log.end) return;
  }
}

/** The last ones for which `isMeant` is true, in log order. Reads from the end no further back than it has to, a segment at a time. */
export async function lastChanges(
  options: ExplainOptions,
  count: number,
  isMeant: (change: Explained) => boolean = () => true,
): Promise<readonly ExplainedChange[]> {
  const segments = listSegments(options.logDirectory);
  for (let back = 1; ; back *= 2) {
    const first = segments.length - back;
    // A whole transaction, and what was marked in it, may begin in the segment before.
    const from = first > 0 ? readSegmentContext(segments[first]!)?.before : undefined;
    const last: ExplainedChange[] = [];
    for await (const change of explainChanges(options, from)) {
      if (!isMeant(change)) continue;
      last.push(change);
      if (last.length > count) last.shift();
    }
    if (last.length === count || from === undefined) return last;
  }
}

/** Those of the transactions that were committed at `lsn`: one of each history that the log has. */
export async function changesAt(options: ExplainOptions, lsn: Lsn): Promise<readonly ExplainedChange[]> {
  const { reader } = options.log;
  const found: ExplainedChange[] = [];
  for (let from = await reader.findLsn(lsn); from !== undefined;) {
    const { epoch, commitLsn } = from;
    if (commitLsn === lsn) {
      for await (const change of explainChanges(options, from)) {
        const { position } = change;
        if (position.commitLsn === lsn && position.epoch === epoch) found.push(change);
        else if (found.length > 0) break;
      }
    }
    from = await reader.findLsn(lsn, epoch);
  }
  return found;
}

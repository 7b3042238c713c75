// Reads a stream into the log, batch by batch: what a batch waits for is looked up, and what is logged is told. Hot (bench/micro/source.ts).
import { setTimeout as sleep } from 'node:timers/promises';
import { unsetWallMs } from '../../core/clock.ts';
import { maxLsn, type Lsn } from '../../core/lsn.ts';
import { LOG_LATENCIES } from '../../log/signals.ts';
import { decodeRelation, MESSAGE } from '../../pgoutput/messages.ts';
import type { StreamGate } from './backfill/stream-gate.ts';
import type { Transcoder } from '../../postgres/encoding/transcoder.ts';
import type { StreamBatch } from '../../postgres/replication/stream.ts';
import type { ShapeProofs } from '../../postgres/shapes/proofs.ts';
import type { JoinPorts } from './joining.ts';
import type { SourceLog } from './log.ts';
import type { Looking } from './looks.ts';
import type { PartitionWatch } from './partition-watch.ts';
import type { Describe } from './relations.ts';
import { openProofs, relationsFrom } from './shapes.ts';
import type { StreamSource } from './spool/spooled-stream.ts';
import type { SourceState } from './status.ts';
import type { ShapesInUse } from './used-shapes.ts';

/** While reading is stopped, how often to look whether it may go on. */
const ROOM_INTERVAL_MS = 100;

export type Reading = {
  readonly source: StreamSource;
  readonly transcoder: Transcoder | undefined;
  readonly opened: SourceLog;
  readonly looking: Looking;
  readonly describe: Describe;
  readonly partitions: PartitionWatch;
  readonly shapes: ShapesInUse | undefined;
  /** Where rows of backfills come in. */
  readonly gate: StreamGate;
  readonly ports: Pick<JoinPorts, 'options' | 'looks'> & {
    readonly state: SourceState;
    /** Everything up to here has come. */
    onReached(lsn: Lsn): void;
  };
};

/** The hot loop: one block a batch. */
export async function readAll(reading: Reading, signal: AbortSignal): Promise<void> {
  const { source, transcoder, describe, partitions, shapes, looking, gate, ports } = reading;
  const { feed, keeper, budget, log } = reading.opened;
  const { latencies } = ports.options.signals;
  const proofs = openProofs(looking, ports);
  // A disk that the connection before this one found full.
  while (budget.isFull && !signal.aborted) await sleep(ROOM_INTERVAL_MS);
  for (;;) {
    const came = await source.read();
    if (came === undefined) return;
    proofs.received();
    const batch = transcoder === undefined ? came : await transcoder.inUtf8(came);
    gate.take(batch);
    const { transactions } = feed;
    try {
      for (const enrichment of partitions.takeRenewed()) {
        const message = feed.messageOf(enrichment.relationId);
        if (message === undefined) continue;
        const relation = decodeRelation(message, 0, message.length);
        feed.relation(message, 0, message.length, await proofs.relation(relation, message, enrichment));
        partitions.logged(enrichment);
        await shapes?.placed(enrichment, feed.xid);
        feed.firstUses.came(enrichment.relationId);
      }
      let taken = feed.take(batch, 0, proofs);
      while (taken < batch.count) {
        const isRelation = batch.bytes[batch.starts[taken]!] === MESSAGE.relation;
        if (isRelation) await takeRelation(feed, batch, taken, { describe, proofs });
        else await proofs.look(relationsFrom(batch, taken));
        taken = feed.take(batch, isRelation ? taken + 1 : taken, proofs);
      }
    } finally {
      shapes?.write();
      feed.flush();
    }
    // Of those that came together the last one says how long it took.
    if (feed.transactions > transactions && !feed.openTransaction)
      latencies.add(LOG_LATENCIES, unsetWallMs() - Number(feed.committedUs) / 1000);
    ports.state.unprovedShapes += proofs.takeUnproved();
    feed.reached(source.walEnd);
    ports.onReached(maxLsn(source.walEnd, log.context.lastEndLsn));
    keeper.appended(source.walEnd, feed.openTransaction, feed.brought);
    partitions.reached = source.walEnd;
    gate.taken(source.walEnd);
    while ((keeper.behind || budget.spent) && !signal.aborted) {
      if (budget.spent) source.waits?.();
      await sleep(ROOM_INTERVAL_MS);
    }
  }
}

/** Nothing that follows can be taken before the relation is known: the socket fills its buffer meanwhile, and stops. */
async function takeRelation(
  feed: SourceLog['feed'],
  { bytes, starts, ends }: StreamBatch,
  message: number,
  { describe, proofs }: { readonly describe: Describe; readonly proofs: ShapeProofs },
): Promise<void> {
  const start = starts[message]!;
  const end = ends[message]!;
  const relation = feed.readRelation(bytes, start, end);
  const enrichment = await describe(relation);
  feed.relation(bytes, start, end, await proofs.relation(relation, bytes.subarray(start, end), enrichment));
  feed.firstUses.came(relation.id);
}

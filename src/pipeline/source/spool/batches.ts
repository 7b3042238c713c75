// Batches of the stream that are made here: of a few messages, and of a part of another batch.
import { RANGE, type StreamBatch } from '../../../postgres/replication/input.ts';

/** Of whole messages that are no rows: nothing says where in the WAL they stand. */
export function batchOf(messages: readonly Buffer[]): StreamBatch {
  const ends = new Int32Array(messages.length);
  let length = 0;
  for (const [i, message] of messages.entries()) ends[i] = length += message.length;
  return {
    bytes: Buffer.concat(messages),
    count: messages.length,
    starts: ends.map((end, i) => end - messages[i]!.length),
    ends,
    kinds: new Uint8Array(messages.length).fill(RANGE.whole),
    oversizeBytes: 0,
  };
}

/** Messages number `from` to `to` of a batch, with the same bytes. */
export function partOf(batch: StreamBatch, from: number, to: number): StreamBatch {
  if (from === 0 && to === batch.count) return batch;
  return {
    ...batch,
    count: to - from,
    starts: batch.starts.subarray(from, to),
    ends: batch.ends.subarray(from, to),
    kinds: batch.kinds.subarray(from, to),
  };
}

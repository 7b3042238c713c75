// One reading of a log, a block at a time.
import { hash } from 'node:crypto';
import { expect } from 'vitest';
import type { LogBlock } from '../../src/log/block.ts';
import type { LogReader } from '../../src/log/reader.ts';
import type { SharedBlocks } from '../../src/log/shared-blocks.ts';

export type Read = { readonly bytes: string; readonly offset: number; readonly blockEnd: number };
const readOf = ({ buffer, start, end, offset, blockEnd }: LogBlock): Read => ({
  bytes: hash('sha256', buffer.subarray(start, end)),
  offset,
  blockEnd,
});

/** From the earliest block on. A block is looked at when the next one is asked for: it has to stay till then. */
export function reading(reader: LogReader, signals: { writtenEnd(): number }, shared?: SharedBlocks) {
  const stopping = new AbortController();
  const blocks = reader.read('earliest', stopping.signal, shared)[Symbol.asyncIterator]();
  const read: Read[] = [];
  let inHand: LogBlock | undefined;
  let before: Read | undefined;
  const look = (): void => {
    if (inHand === undefined) return;
    expect(readOf(inHand)).toEqual(before);
    read.push(before!);
    inHand = undefined;
  };
  return {
    read,
    get isDone() {
      return inHand !== undefined && inHand.blockEnd >= signals.writtenEnd();
    },
    async next(): Promise<void> {
      look();
      inHand = (await blocks.next()).value as LogBlock;
      before = readOf(inHand);
    },
    async end(): Promise<void> {
      look();
      stopping.abort();
      await blocks.return?.();
    },
  };
}

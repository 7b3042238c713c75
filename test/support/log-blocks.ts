// Blocks of a log that is in memory only: as a writer would make them of frames, for what walks through them.
import { advance } from '../../src/log/context.ts';
import { INITIAL_CONTEXT, type BlockContext } from '../../src/log/format.ts';
import type { LogBlock } from '../../src/log/block.ts';
import type { History } from '../../src/log/writer.ts';
import type { FedLog } from '../../src/pipeline/source/feed.ts';
import { frames } from '../log/stream.ts';

/** Log offsets are not bytes here: each block takes this many. */
export const BLOCK_BYTES = 100_000;

export class MemoryLog implements FedLog {
  readonly blocks: LogBlock[] = [];
  context: BlockContext = INITIAL_CONTEXT;

  append(bytes: Buffer, length: number, history: History = { epoch: 0, timeline: 1 }): void {
    const buffer = Buffer.from(bytes.subarray(0, length));
    const context = { ...this.context, ...history };
    const offset = this.blocks.length * BLOCK_BYTES;
    this.blocks.push({
      buffer,
      start: 0,
      end: length,
      offset,
      blockEnd: offset + BLOCK_BYTES,
      context,
      prologue: false,
      relationsOnly: false,
    });
    this.context = advance(context, buffer, 0, length).context;
  }
}

/** One block of each list of messages. */
export function blocksOf(...contents: readonly (readonly Buffer[])[]): LogBlock[] {
  const log = new MemoryLog();
  for (const messages of contents) {
    const bytes = frames(...messages);
    log.append(bytes, bytes.length);
  }
  return log.blocks;
}

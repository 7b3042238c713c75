// Opening a log that was left behind: finds where whole transactions end, cuts off what follows, makes the rest durable.
//
// Offsets are never used twice: after a cut the log goes on in a new segment, above everything that was written
// before. A reader that outlives the writer (another thread) is never moved to other bytes under the same offset.
import { closeSync, constants, fdatasyncSync, ftruncateSync, readSync, unlinkSync } from 'node:fs';
import { TailraceError } from '../core/errors.ts';
import { ZERO_LSN } from '../core/lsn.ts';
import { syncDirectory } from '../data-directory/directory.ts';
import { openFile } from '../data-directory/files.ts';
import { BlockCursor } from './block-cursor.ts';
import { abandonTransaction, advance } from './context.ts';
import { FILE_DEVICE, writeFully } from './device.ts';
import {
  FORMAT_VERSION,
  INITIAL_CONTEXT,
  recallBirth,
  type BlockContext,
  type LogBirth,
  type LogIdentity,
  type DecodedFileHeader,
} from './format.ts';
import { rememberHeld } from './held-file.ts';
import { readHeldRows, type HeldRows } from './held-rows.ts';
import { endOf, listSegments, readFileHeader, type SegmentFile } from './segments.ts';

export type RecoveredSegments = {
  /** What is kept, oldest first. Empty: the log begins anew at `nextOffset`. */
  readonly segments: readonly SegmentFile[];
  /** Where the stream stands at the end of what is kept: never in a transaction. */
  readonly context: BlockContext;
  /** Where the next block goes. */
  readonly nextOffset: number;
  /** The last segment cannot go on: the next block opens a new one. */
  readonly needsSegment: boolean;
  readonly cutBytes: number;
  /** Less is sound than was known to be durable. */
  readonly damaged: boolean;
  /** What was remembered of the log's beginning; undefined: nothing was. */
  readonly birth: LogBirth | undefined;
  readonly holes: readonly Hole[];
  /** What was cut off, now or before, of transactions that the log does not have whole. */
  readonly held: readonly HeldRows[];
};

/** What is missing between two segments that are kept, below the durable end: nobody looks there but who is behind, or goes back. */
export type Hole = { readonly after: string; readonly before: string; readonly bytes: number };

export type RecoveryOptions = {
  readonly directory: string;
  readonly identity: LogIdentity;
  /** As the state file remembers it. */
  readonly birth: LogBirth | undefined;
  /** Below this everything was made durable once. */
  readonly durableEnd: number;
  /** New blocks go at or above this (a reader may stand here). */
  readonly minimumEnd: number;
};

/** A place between two blocks, outside of a transaction. */
type Boundary = { readonly segment: number; readonly offset: number; readonly context: BlockContext };

type Scan = {
  /** The last boundary in the segments scanned. */
  readonly boundary: Boundary | undefined;
  /** End of the last sound block. */
  readonly soundEnd: number;
  /** The context before the first sound block. */
  readonly first: BlockContext | undefined;
};

export type Survey = {
  /** Where whole transactions end; undefined: there are none. */
  readonly boundary: Pick<Boundary, 'offset' | 'context'> | undefined;
  readonly firstOffset: number;
  /** Less is sound than was known to be durable. */
  readonly damaged: boolean;
};

/** What recovery would find, with everything left as it is. Throws as `recoverSegments`. */
export function surveySegments(options: Omit<RecoveryOptions, 'minimumEnd'>): Survey {
  const { segments, scan } = scanAll(options);
  return {
    boundary: scan.boundary,
    firstOffset: segments[0]?.startOffset ?? 0,
    damaged: scan.soundEnd < options.durableEnd,
  };
}

/** Is there a transaction in the log, whole or not? */
export const holdsTransactions = ({ boundary, firstOffset }: Survey): boolean =>
  boundary === undefined ? false : boundary.context.lastEndLsn !== ZERO_LSN || firstOffset > 0;

/** Throws LOG_IDENTITY, LOG_VERSION, and errors of the file system as they are. */
export function recoverSegments(options: RecoveryOptions): RecoveredSegments {
  const { segments, birth, holes, scanFrom, scan } = scanAll(options);
  const { boundary, soundEnd, first } = scan;
  const writtenEnd = segments.length === 0 ? 0 : endOf(segments.at(-1)!);
  const end = boundary?.offset ?? segments[0]?.startOffset ?? 0;
  // Before it is cut off: rows of it may be delivered.
  const cutOff = boundary?.offset === soundEnd ? undefined : heldRowsIn(segments, soundEnd);
  const held = rememberHeld(options.directory, boundary?.context, cutOff);
  const kept = cut(segments, boundary);
  const last = kept.at(-1);
  const nextOffset = Math.max(writtenEnd, options.durableEnd, options.minimumEnd);
  for (const segment of kept.slice(scanFrom)) makeDurable(segment, options.durableEnd);
  syncDirectory(options.directory);
  return {
    segments: kept,
    context: boundary?.context ?? cutAll(first),
    nextOffset,
    // What only a later format has stands in no file of an earlier one: the version before would read it wrongly.
    needsSegment: last === undefined || nextOffset > end || headerOf(last)?.version !== FORMAT_VERSION,
    cutBytes: bytesOf(segments) - bytesOf(kept),
    damaged: soundEnd < options.durableEnd,
    birth,
    holes: holes.filter(({ before }) => kept.some(({ path }) => path === before)),
    held,
  };
}

function heldRowsIn(segments: readonly SegmentFile[], soundEnd: number): HeldRows | undefined {
  const reading = readHeldRows(segments, soundEnd);
  for (;;) {
    const step = reading.next();
    if (step.done === true) return step.value;
  }
}

function scanAll(options: Omit<RecoveryOptions, 'minimumEnd'>): {
  readonly segments: readonly SegmentFile[];
  readonly birth: LogBirth | undefined;
  readonly holes: readonly Hole[];
  readonly scanFrom: number;
  readonly scan: Scan;
} {
  const segments = listSegments(options.directory);
  const { birth, holes } = checkHeaders(segments, options);
  // What lies below the durable end was verified when it was made durable; the last segment is always read.
  const scanFrom = Math.max(
    0,
    segments.findLastIndex((segment, index) => index === 0 || segment.startOffset <= options.durableEnd),
  );
  return { segments, birth, holes, scanFrom, scan: scanBack(segments, scanFrom) };
}

const bytesOf = (segments: readonly SegmentFile[]): number =>
  segments.reduce((sum, segment) => sum + segment.bytes, 0);

const cutAll = (first: BlockContext | undefined): BlockContext =>
  first === undefined ? INITIAL_CONTEXT : abandonTransaction(first, first);

/** The log's birth, as the state file or else a segment remembers it, and what the headers miss. Throws LOG_IDENTITY. */
function checkHeaders(
  segments: readonly SegmentFile[],
  { directory, identity, birth }: Pick<RecoveryOptions, 'directory' | 'identity' | 'birth'>,
): { readonly birth: LogBirth | undefined; readonly holes: readonly Hole[] } {
  let known = birth;
  const holes: Hole[] = [];
  for (const [index, segment] of segments.entries()) {
    const header = headerOf(segment)?.header;
    // A bad header says nothing of the identity: it is found as damage where the segment is read.
    if (header === undefined) continue;
    const differences = (['systemIdentifier', 'databaseOid', 'slot'] as const)
      .filter((part) => header.identity[part] !== identity[part])
      .map((part) => `${part} ${header.identity[part]}, now ${identity[part]}`);
    if (differences.length > 0) throw otherStream(directory, differences);
    const previous = segments[index - 1];
    const bytes = previous === undefined ? 0 : header.previousEnd - endOf(previous);
    if (bytes > 0) holes.push({ after: previous!.path, before: segment.path, bytes });
    if (header.birth === undefined) continue;
    known ??= recallBirth(header.birth);
    if (known.life !== header.birth.life) throw twoLogs(directory, segment);
  }
  return { birth: known, holes };
}

function headerOf(segment: SegmentFile): DecodedFileHeader | undefined {
  const fd = openFile(segment.path, constants.O_RDONLY);
  try {
    return readFileHeader(fd, segment.path);
  } finally {
    closeSync(fd);
  }
}

const otherStream = (directory: string, differences: readonly string[]): TailraceError =>
  new TailraceError(`the change log in ${directory} is of another stream: ${differences.join('; ')}`, {
    code: 'LOG_IDENTITY',
    kind: 'fatal',
    hint: `connect to the database and slot it belongs to, use another data directory, or move ${directory} away to begin anew: what the sinks then cannot have any more is a gap in their status`,
  });

const twoLogs = (directory: string, { path }: SegmentFile): TailraceError =>
  new TailraceError(`${directory} holds files of two logs: ${path} is not of the one in its state file`, {
    code: 'LOG_IDENTITY',
    kind: 'fatal',
    hint: `put back the whole directory from one copy, or move ${directory} away to begin anew: what the sinks then cannot have any more is a gap in their status`,
  });

/** Scans `segments` from `from` on; goes further back while no boundary is found (one transaction fills segments). */
function scanBack(segments: readonly SegmentFile[], from: number): Scan {
  const scan = scanForward(segments, from);
  if (scan.boundary !== undefined || from === 0) return scan;
  const earlier = scanBack(segments.slice(0, from), from - 1);
  const joined = earlier.soundEnd === endOf(segments[from - 1]!) && scan.first !== undefined;
  return {
    boundary: earlier.boundary,
    soundEnd: joined ? scan.soundEnd : earlier.soundEnd,
    first: earlier.first ?? scan.first,
  };
}

/** Follows the blocks from the segment `from` to the first that is not sound. */
function scanForward(segments: readonly SegmentFile[], from: number): Scan {
  let boundary: Boundary | undefined;
  let first: BlockContext | undefined;
  let soundEnd = segments[from]?.startOffset ?? 0;
  for (let index = from; index < segments.length; index++) {
    const segment = segments[index]!;
    const previous = index > from ? segments[index - 1]! : undefined;
    const cursor = openSound(segment);
    if (cursor === undefined) break;
    try {
      if (previous !== undefined && cursor.header.previousEnd !== endOf(previous)) break;
      for (;;) {
        const block = cursor.next(Infinity);
        if (block === 'end') break;
        if (block === 'bad') return { boundary, soundEnd, first };
        first ??= block.context;
        soundEnd = block.blockEnd;
        const { context } = advance(block.context, block.buffer, block.start, block.end);
        if (!context.inTransaction) boundary = { segment: index, offset: block.blockEnd, context };
      }
    } finally {
      cursor.close();
    }
  }
  return { boundary, soundEnd, first };
}

/** Undefined when the file header is bad (the crash came while the segment was made, or the disk lost it). */
function openSound(segment: SegmentFile): BlockCursor | undefined {
  try {
    return new BlockCursor(segment);
  } catch (error) {
    if (error instanceof TailraceError && error.code === 'LOG_CORRUPT') return undefined;
    throw error;
  }
}

/** Removes all that stands after `boundary`, latest first. Returns the segments kept. */
function cut(segments: readonly SegmentFile[], boundary: Boundary | undefined): SegmentFile[] {
  const last = boundary?.segment ?? -1;
  for (const segment of segments.slice(last + 1).reverse()) unlinkSync(segment.path);
  const kept = segments.slice(0, last + 1);
  const ending = kept.at(-1);
  if (boundary === undefined || ending === undefined || endOf(ending) === boundary.offset) return kept;
  const bytes = boundary.offset - ending.startOffset;
  const fd = openFile(ending.path, constants.O_RDWR);
  try {
    ftruncateSync(fd, bytes);
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
  kept[kept.length - 1] = { ...ending, bytes };
  return kept;
}

const COPY_BYTES = 1 << 20;

/**
 * Writes what stands above the durable end again, and waits for the disk: after a failed fdatasync the page cache
 * may show what the disk does not have, and would not write it again by itself.
 * https://wiki.postgresql.org/wiki/Fsync_Errors
 */
function makeDurable(segment: SegmentFile, durableEnd: number): void {
  if (endOf(segment) <= durableEnd) return;
  const fd = openFile(segment.path, constants.O_RDWR);
  try {
    const buffer = Buffer.allocUnsafeSlow(COPY_BYTES);
    let position = Math.max(0, durableEnd - segment.startOffset);
    while (position < segment.bytes) {
      const count = readSync(fd, buffer, 0, Math.min(COPY_BYTES, segment.bytes - position), position);
      if (count === 0) break;
      writeFully(FILE_DEVICE, fd, [buffer.subarray(0, count)], position);
      position += count;
    }
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

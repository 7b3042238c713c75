// Segment files: which there are, how one begins, how one is made.
import { closeSync, constants, readdirSync, readSync, lstatSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { openFile } from '../data-directory/files.ts';
import { writeFully, type LogDevice } from './device.ts';
import { corruptError, isMissing } from './errors.ts';
import {
  BLOCK_HEADER_BYTES,
  decodeBlockHeader,
  decodeFileHeader,
  encodeBlockHeader,
  encodeFileHeader,
  FILE_HEADER_FIXED_BYTES,
  MAX_FILE_HEADER_BYTES,
  parseSegmentFileName,
  segmentFileName,
  type BlockContext,
  type DecodedFileHeader,
  type SegmentHeader,
} from './format.ts';

export type SegmentFile = {
  readonly path: string;
  /** Logical offset of its first byte. */
  readonly startOffset: number;
  /** Size of the file. */
  readonly bytes: number;
};

export const endOf = (segment: SegmentFile): number => segment.startOffset + segment.bytes;

/** The segments in `directory`, oldest first. */
export function listSegments(directory: string): SegmentFile[] {
  const segments: SegmentFile[] = [];
  for (const name of namesIn(directory)) {
    const startOffset = parseSegmentFileName(name);
    if (startOffset === undefined) continue;
    const path = join(directory, name);
    // Retention may delete a segment meanwhile.
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats !== undefined) segments.push({ path, startOffset, bytes: stats.size });
  }
  return segments.sort((a, b) => a.startOffset - b.startOffset);
}

/** Empty when the writer has not made the directory yet. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** The file header; undefined: damaged. Throws LOG_VERSION. */
export function readFileHeader(fd: number, path: string): DecodedFileHeader | undefined {
  const bytes = Buffer.alloc(FILE_HEADER_FIXED_BYTES + MAX_FILE_HEADER_BYTES);
  return decodeFileHeader(bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0)), path);
}

/** The context in which a segment begins; undefined when retention has deleted it. Throws LOG_CORRUPT, LOG_VERSION. */
export function readSegmentContext(
  segment: Pick<SegmentFile, 'path' | 'startOffset'>,
): BlockContext | undefined {
  let fd: number;
  try {
    fd = openFile(segment.path, constants.O_RDONLY);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    const decoded = readFileHeader(fd, segment.path);
    const bytes = Buffer.alloc(BLOCK_HEADER_BYTES);
    const prologueOffset = segment.startOffset + (decoded?.byteLength ?? 0);
    const block =
      decoded !== undefined &&
      readSync(fd, bytes, 0, BLOCK_HEADER_BYTES, decoded.byteLength) === BLOCK_HEADER_BYTES
        ? decodeBlockHeader(bytes, 0, prologueOffset)
        : undefined;
    if (block === undefined) throw corruptError(segment.path, prologueOffset, 'the segment has no opening');
    return block.context;
  } finally {
    closeSync(fd);
  }
}

/** Makes a segment that begins in `context` with the frames `prologue`; the file stays open for appending. */
export function createSegment(options: {
  directory: string;
  device: LogDevice;
  header: SegmentHeader;
  context: BlockContext;
  prologue: Buffer;
}): { path: string; bytes: number; fd: number } {
  const { device, header, context, prologue } = options;
  const path = join(options.directory, segmentFileName(header.startOffset));
  const fd = openFile(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
  const fileHeader = encodeFileHeader(header);
  const blockHeader = Buffer.alloc(BLOCK_HEADER_BYTES);
  encodeBlockHeader(blockHeader, {
    offset: header.startOffset + fileHeader.length,
    payload: prologue,
    prologue: true,
    context,
  });
  try {
    const bytes = writeFully(device, fd, [fileHeader, blockHeader, prologue], 0);
    return { path, bytes, fd };
  } catch (error) {
    closeSync(fd);
    // It is tried again under the same name.
    unlinkSync(path);
    throw error;
  }
}

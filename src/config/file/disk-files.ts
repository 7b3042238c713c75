// Reads small files from the disk so that none can hang the service: with a limit, without waiting for ever for a pipe.
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { steadyMs } from '../../core/clock.ts';
import { FileProblem, MAX_FILE_BYTES, tooLarge } from './file-access.ts';

const CHUNK_BYTES = 64 * 1024;
/** A pipe (`-c <(sops -d …)`, a FIFO) has its writer end within this time. */
const MAX_PIPE_WAIT_MS = 30_000;
const POLL_MS = 20;

/** Rejects with FileProblem, or as node:fs does. */
export async function readFileFromDisk(path: string, maxPipeWaitMs = MAX_PIPE_WAIT_MS): Promise<Buffer> {
  // To open a FIFO waits for its writer otherwise, in a thread that nobody can end.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = await file.stat();
    if (stat.isFile()) return await readAll(file);
    if (stat.isFIFO()) return await readAll(file, { path, untilMs: steadyMs() + maxPipeWaitMs });
    throw new FileProblem(`${path} is ${stat.isDirectory() ? 'a directory' : 'a device'}, not a file`);
  } finally {
    await file.close();
  }
}

async function readAll(file: FileHandle, pipe?: { path: string; untilMs: number }): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for (;;) {
    const read = await readChunk(file);
    const isWriterAwaited = read === undefined || (read.length === 0 && length === 0);
    if (pipe !== undefined && isWriterAwaited) {
      if (steadyMs() >= pipe.untilMs)
        throw new FileProblem(`${pipe.path} is a pipe, and nothing comes of it`);
      await sleep(POLL_MS);
      continue;
    }
    if (read === undefined || read.length === 0) return Buffer.concat(chunks);
    chunks.push(read);
    length += read.length;
    if (length > MAX_FILE_BYTES) throw new FileProblem(tooLarge());
  }
}

/** Undefined: there is nothing yet. */
async function readChunk(file: FileHandle): Promise<Buffer | undefined> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  try {
    const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, null);
    return chunk.subarray(0, bytesRead);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
    throw error;
  }
}

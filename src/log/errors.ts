// The log's errors, each with its cure.
import { TailraceError } from '../core/errors.ts';
import { formatPosition, type Position } from '../core/position.ts';
import { shortageOf, type ShortageKind } from '../core/shortages.ts';
import { quoted } from '../core/shell.ts';
import { refusalCure } from '../data-directory/files.ts';

/** The reader asked for what retention has deleted. */
export class PositionNotRetainedError extends TailraceError {
  /** Everything after this position can still be read. */
  readonly firstRetained: Position;

  constructor(wanted: string, firstRetained: Position) {
    super(
      `the change log no longer holds ${wanted}; it begins after position ${formatPosition(firstRetained)}`,
      {
        code: 'LOG_POSITION_NOT_RETAINED',
        kind: 'fatal',
        hint: 'start from a later position, and raise log.retention or log.max_bytes to keep more',
      },
    );
    this.firstRetained = firstRetained;
  }
}

export function corruptError(path: string, offset: number, what: string): TailraceError {
  return new TailraceError(`${path} is damaged at log offset ${offset}: ${what}`, {
    code: 'LOG_CORRUPT',
    kind: 'fatal',
    mend: 'restart',
    hint: 'check the disk; then restore the file, or stop the service, move the directory of this log away and start again: what the slot still keeps (with slot.ack: delivered, all that is not delivered) is read again',
  });
}

/** What it remembered is not in the segments, so what is wrong with those cannot be told from what a crash leaves. */
export const stateDamaged = (path: string): TailraceError =>
  new TailraceError(`${path} is damaged: what was durable of this log is not known any more`, {
    code: 'LOG_STATE_DAMAGED',
    kind: 'fatal',
    mend: 'restart',
    hint: `check the disk; then restore the file, or stop the service, delete it (rm ${quoted(path)}) and start again: the log goes on with all of it that is sound, and what is not is read again as far as the slot goes back; what it does not go back to is a gap`,
  });

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;

export const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT';

/** What passes: nothing of what was to be written counts as written, and it may be tried again (`mend: 'retry'`). */
export const LOG_DISK_FULL = 'LOG_DISK_FULL';
const PASSING: Readonly<Record<Exclude<ShortageKind, 'device'>, string>> = {
  space: LOG_DISK_FULL,
  descriptors: 'LOG_NO_DESCRIPTORS',
  memory: 'LOG_NO_MEMORY',
};

/** An error of the file system as the operator should read it. */
export function fileError(error: unknown, path: string, doing: string): TailraceError {
  const code = codeOf(error) ?? '';
  const shortage = shortageOf(error);
  const cure = refusalCure(error);
  if (shortage !== undefined && shortage.kind !== 'device') {
    return new TailraceError(`${shortage.what}: cannot ${doing} ${path}`, {
      kind: 'retryable',
      mend: 'retry',
      cause: error,
      code: PASSING[shortage.kind],
      hint: `${shortage.cure}, and Postgres keeps its WAL meanwhile`,
    });
  }
  const base = { kind: 'fatal', mend: 'restart', cause: error } as const;
  if (['EROFS', 'EACCES', 'EPERM'].includes(code)) {
    return new TailraceError(
      `cannot ${doing} ${path}: ${cure === undefined ? `it is not writable (${code})` : (error as Error).message}`,
      {
        ...base,
        code: 'LOG_READ_ONLY',
        hint: cure ?? 'mount the data directory writable, and let the user that runs Tailrace own it',
      },
    );
  }
  return new TailraceError(`cannot ${doing} ${path}: ${error instanceof Error ? error.message : ''}`, {
    ...base,
    code: 'LOG_IO_FAILED',
    hint: `${cure ?? shortage?.cure ?? 'check the disk and the path of the data directory'}, then restart`,
  });
}

/** What a failed fdatasync covered is unknown, so the writer ends: https://wiki.postgresql.org/wiki/Fsync_Errors */
export function syncError(error: unknown, path: string): TailraceError {
  return new TailraceError(`${path} could not be made durable (${codeOf(error) ?? 'fdatasync failed'})`, {
    code: 'LOG_SYNC_FAILED',
    kind: 'fatal',
    mend: 'restart',
    cause: error,
    hint: 'check the disk, then restart: what is not durable comes again from Postgres',
  });
}

export const tooManyPartings = (directory: string): TailraceError =>
  new TailraceError(
    `the change log in ${directory} holds changes of more histories that parted from each other than can be told apart`,
    {
      code: 'LOG_PARTINGS',
      kind: 'fatal',
      mend: 'restart',
      hint: 'let the sinks settle what they hold, and log.retention pass; or stop Tailrace, move the log directory away to begin anew, and compare the consumers with the tables',
    },
  );

export const readsNumbered = (directory: string): TailraceError =>
  new TailraceError(
    `the change log in ${directory} has no numbers left for rows of backfills behind the last transaction that was committed`,
    {
      code: 'LOG_READS_NUMBERED',
      kind: 'retryable',
      hint: "commit something that is logged: SELECT pg_logical_emit_message(true, 'tailrace', '');",
    },
  );

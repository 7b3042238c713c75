// The names of the message formats, for who needs no more: a command line that only names them starts in half the time.

export const formatNames = ['sequin', 'tailrace', 'pg2sqs', 'debezium'] as const;

export type FormatName = (typeof formatNames)[number];

export const DEFAULT_FORMAT: FormatName = 'sequin';

/** Names that a later version brings: not unknown, but not here. */
export const FORMATS_NOT_YET: readonly string[] = ['wal2json'];

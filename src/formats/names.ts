// The names of the message formats, for who needs no more: a command line that only names them starts in half the time.

/** Those that say by themselves what happened. */
export const dataFormatNames = ['sequin', 'tailrace', 'pg2sqs', 'debezium', 'wal2json'] as const;

/** With those that put another one into an envelope. */
export const formatNames = [...dataFormatNames, 'cloudevents'] as const;

export type FormatName = (typeof formatNames)[number];

export type DataFormatName = (typeof dataFormatNames)[number];

export const DEFAULT_FORMAT: DataFormatName = 'sequin';

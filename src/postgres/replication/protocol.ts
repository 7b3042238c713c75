// The messages around a logical replication stream: the command, status replies, refusals as TailraceErrors.
// https://www.postgresql.org/docs/current/protocol-replication.html
import { escapeIdentifier, escapeLiteral } from 'pg';
import { TailraceError, type ErrorKind } from '../../core/errors.ts';
import { formatLsn, type Lsn } from '../../core/lsn.ts';
import { POSTGRES_EPOCH_US } from '../../pgoutput/bytes.ts';
import { connectionFault } from '../connection/fault.ts';
import type { ReplicationConnection } from '../connection/connection.ts';
import { slotInUse } from '../slot-in-use.ts';
import { SENDS_MESSAGES, STREAMS_IN_PROGRESS } from '../versions.ts';

export type StreamOptions = {
  readonly slot: string;
  readonly publication: string;
  /** An end LSN; zero: where the slot stands. */
  readonly startLsn: Lsn;
  /** Already confirmed: the first replies say it. Zero: they say nothing of it. */
  readonly confirmed: Lsn;
  /** Ask for logical messages (14+). */
  readonly messages: boolean;
  /** Ask for large transactions while they are in progress (14+). */
  readonly inProgress?: boolean;
  readonly statusIntervalMs: number;
  readonly receiveTimeoutMs: number;
  /** The server's wal_sender_timeout; 0 is off, and the watchdog with it. */
  readonly senderTimeoutMs: number;
  readonly maxMessageBytes: number;
};

/** Nothing comes on a connection, not even an answer. */
export const CONNECTION_SILENT = 'CONNECTION_SILENT';

/** The first byte of a message. */
export const BACKEND = { copyBoth: 0x57, copyDone: 0x63, errorResponse: 0x45, notice: 0x4e } as const; // W c E N

export const COPY_DONE_MESSAGE = Buffer.from([0x63, 0, 0, 0, 4]);
export const TERMINATE_MESSAGE = Buffer.from([0x58, 0, 0, 0, 4]);

export const asksForMessages = (serverVersion: number): boolean => serverVersion >= SENDS_MESSAGES;

/** Can the server send transactions in progress? */
export const streamsInProgress = (serverVersion: number): boolean => serverVersion >= STREAMS_IN_PROGRESS;

export function startCommand(options: StreamOptions): string {
  // A list of identifiers inside a string, quoted as both. A string of this grammar takes backslashes as they are, and knows
  // no E'…': https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/replication/repl_scanner.l
  const publications = `'${escapeIdentifier(options.publication).replaceAll("'", "''")}'`;
  const messages = options.messages ? `, messages 'true'` : '';
  const [protocol, streaming] = options.inProgress === true ? ['2', `, streaming 'on'`] : ['1', ''];
  return (
    `START_REPLICATION SLOT ${escapeIdentifier(options.slot)} LOGICAL ${formatLsn(options.startLsn)} ` +
    `(proto_version '${protocol}', publication_names ${publications}${messages}${streaming})`
  );
}

export function statusUpdate(flush: Lsn, nowMs: number, requestReply: boolean): Buffer {
  const message = Buffer.allocUnsafe(39);
  message[0] = 0x64; // d
  message.writeUInt32BE(38, 1);
  message[5] = 0x72; // r
  message.writeBigUInt64BE(flush, 6);
  message.writeBigUInt64BE(flush, 14);
  message.writeBigUInt64BE(flush, 22);
  message.writeBigInt64BE(BigInt(nowMs) * 1000n - POSTGRES_EPOCH_US, 30);
  message[38] = requestReply ? 1 : 0;
  return message;
}

export function queryMessage(sql: string): Buffer {
  const text = Buffer.from(`${sql}\0`);
  const head = Buffer.alloc(5);
  head[0] = 0x51; // Q
  head.writeUInt32BE(4 + text.length, 1);
  return Buffer.concat([head, text]);
}

export type ServerError = {
  readonly sqlState: string;
  readonly message: string;
  /** The function of the server that refused: texts are translated, this is not. */
  readonly routine: string;
};

/** Fields: a type byte and a text with a zero byte. https://www.postgresql.org/docs/current/protocol-error-fields.html */
export function parseError(content: Buffer): ServerError {
  const fields = content.toString('utf8').split('\0');
  const field = (type: string): string => fields.find((text) => text.startsWith(type))?.slice(1) ?? '';
  return { sqlState: field('C'), message: field('M'), routine: field('R') };
}

/** Of Postgres 13 to 18: https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/utils/cache/lsyscache.c */
const LOOKS_UP_PUBLICATION: ReadonlySet<string> = new Set(['get_publication_oid', 'GetPublicationByName']);

/** Of Postgres 13 to 18: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/replication/slot.c */
const LOOKS_UP_SLOT: ReadonlySet<string> = new Set([
  'ReplicationSlotAcquire',
  'ReplicationSlotAcquireInternal',
]);

/**
 * The server cannot convert a text to UTF-8: it is damaged, or has no equivalent. It stops at the same one each time.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html (character_not_in_repertoire, untranslatable_character)
 */
export const TEXT_UNDECODABLE = 'TEXT_UNDECODABLE';

/** Postgres 18 goes on without a publication that is missing, and warns. */
export const isPublicationMissing = ({ routine }: ServerError): boolean => routine === 'LoadPublications';

/** What START_REPLICATION or decoding refused, by SQLSTATE and routine: the texts differ from version to version, and are translated. */
export function streamFault(
  { sqlState, message, routine }: ServerError,
  connection: ReplicationConnection,
  options: StreamOptions,
): TailraceError {
  const { settings, target } = connection;
  const make = (code: string, kind: ErrorKind, hint: string): TailraceError =>
    new TailraceError(`database "${settings.name}": ${message}`, { code, kind, hint });
  switch (sqlState) {
    case '55006':
      return slotInUse(settings.name, options.slot, { said: message });
    case '42704':
      if (!LOOKS_UP_PUBLICATION.has(routine) && !LOOKS_UP_SLOT.has(routine)) break;
      return LOOKS_UP_PUBLICATION.has(routine)
        ? make(
            'DECODING_STOPPED',
            'retryable',
            `publication ${escapeIdentifier(options.publication)} did not exist when these changes were written, so they cannot be decoded: the status shows the gap that comes of it`,
          )
        : make(
            'SLOT_MISSING',
            'fatal',
            `SELECT pg_create_logical_replication_slot(${escapeLiteral(options.slot)}, 'pgoutput');`,
          );
    case '55000':
      return make(
        'SLOT_UNUSABLE',
        // Right before, it was fit to be read from: the next connection looks at what has become of it.
        'retryable',
        `slot "${options.slot}" was invalidated a moment ago, most likely: Tailrace looks again, and "tailrace doctor" says what it is`,
      );
    case '22023':
      return make('SLOT_WRONG_PLUGIN', 'fatal', `slot "${options.slot}" must use the plugin pgoutput`);
    case '22021':
    case '22P05':
      return make(
        TEXT_UNDECODABLE,
        'retryable',
        'Tailrace reads this part of the stream as the database has it, and names the columns that are no text in metadata.undecodable_columns',
      );
    default:
  }
  return connectionFault(Object.assign(new Error(message), { code: sqlState, routine }), settings, target);
}

// The messages of a transaction, as pgoutput sends them.
import { FRAME } from '../../src/pgoutput/frames.ts';
import { insertMessage, relationMessage } from '../support/pgoutput-messages.ts';
import type { Row, Transaction } from './server-state.ts';

const POSTGRES_EPOCH_US = 946_684_800_000_000n;
/** The OID of the columns' type. */
const INT4 = 23;

export function begin({ commitLsn, timeUs, xid }: Transaction): Buffer {
  const bytes = Buffer.alloc(21);
  bytes[0] = FRAME.begin;
  bytes.writeBigUInt64BE(commitLsn, 1);
  bytes.writeBigInt64BE(timeUs - POSTGRES_EPOCH_US, 9);
  bytes.writeUInt32BE(xid, 17);
  return bytes;
}

export function commit({ commitLsn, endLsn, timeUs }: Transaction): Buffer {
  const bytes = Buffer.alloc(26);
  bytes[0] = FRAME.commit;
  bytes.writeBigUInt64BE(commitLsn, 2);
  bytes.writeBigUInt64BE(endLsn, 10);
  bytes.writeBigInt64BE(timeUs - POSTGRES_EPOCH_US, 18);
  return bytes;
}

export const row = ({ oid, id, key }: Row): Buffer => insertMessage(oid, [String(id), String(key)]);

export const relation = (id: number, table: string): Buffer =>
  relationMessage({
    id,
    schema: 'public',
    table,
    identity: 'd',
    columns: [
      { name: 'id', type: INT4 },
      { name: 'key', type: INT4, identity: true },
    ],
  });

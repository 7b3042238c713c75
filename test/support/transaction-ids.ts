// Moves the transaction ids of a server that is stopped, as pg_resetwal does, so that tests meet them where they wrap around: the next
// id stands in the checkpoint record that a clean stop leaves at the end of the WAL, and in the copy of it in pg_control.
// https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/access/xlogrecord.h (XLogRecord)
// https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/catalog/pg_control.h (CheckPoint, ControlFileData)
import { chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** In pg_control: where the checkpoint record stands, on which timeline, and the next id. */
const CONTROL = { checkPoint: 32, timeline: 48, nextXid: 64 } as const;
const SEGMENT_BYTES = 16n * 1024n * 1024n;
const PAGE_BYTES = 8192n;
const RECORD = { length: 0, crc: 20, header: 24 } as const;
/** Behind the header of its data, which is two bytes long. */
const NEXT_XID = RECORD.header + 2 + 24;
/** Two bits for each transaction. */
const XACT_SEGMENT = { xids: 32 * 8192 * 4, bytes: 32 * 8192 } as const;

/**
 * `cluster`: the directory of its data, of a server that was shut down. The id, 64 bits wide, is the next one that is given out. Answers
 * whether it could be set: a checkpoint record that stands on two pages it cannot, and the server is to be started and stopped once more.
 */
export function setNextXid(cluster: string, next: bigint): boolean {
  const controlFile = join(cluster, 'global', 'pg_control');
  const control = readFileSync(controlFile);
  const lsn = control.readBigUInt64LE(CONTROL.checkPoint);
  const segment = lsn / SEGMENT_BYTES;
  const hex = (value: bigint | number): string => value.toString(16).toUpperCase().padStart(8, '0');
  const name = hex(control.readUInt32LE(CONTROL.timeline)) + hex(segment >> 8n) + hex(segment & 0xffn);
  const file = join(cluster, 'pg_wal', name);
  const wal = readFileSync(file);
  const start = Number(lsn % SEGMENT_BYTES);
  const record = wal.subarray(start, start + wal.readUInt32LE(start + RECORD.length));
  if ((lsn % PAGE_BYTES) + BigInt(record.length) > PAGE_BYTES) return false;
  if (crcOf(record) !== record.readUInt32LE(RECORD.crc)) throw new Error(`no record stands at ${lsn}`);
  record.writeBigUInt64LE(next, NEXT_XID);
  record.writeUInt32LE(crcOf(record), RECORD.crc);
  writeFileSync(file, wal);
  const end = checksumIn(control);
  control.writeBigUInt64LE(next, CONTROL.nextXid);
  control.writeUInt32LE(finish(crc32c(control.subarray(0, end))), end);
  writeFileSync(controlFile, control);
  makeStatusRoom(cluster, Number(next & 0xffff_ffffn));
  return true;
}

/** The file that says of each transaction what became of it. */
function makeStatusRoom(cluster: string, xid: number): void {
  const name = Math.floor(xid / XACT_SEGMENT.xids)
    .toString(16)
    .toUpperCase()
    .padStart(4, '0');
  const { uid, gid } = statSync(cluster);
  const file = join(cluster, 'pg_xact', name);
  try {
    writeFileSync(file, Buffer.alloc(XACT_SEGMENT.bytes), { flag: 'wx', mode: 0o600 });
    chownSync(file, uid, gid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Where the checksum of what is before it stands: at another place in each version. */
function checksumIn(control: Buffer): number {
  for (let at = CONTROL.nextXid + 8; at < control.length; at += 4)
    if (finish(crc32c(control.subarray(0, at))) === control.readUInt32LE(at)) return at;
  throw new Error('pg_control has no checksum');
}

/** Of what follows the header, then of the header up to the checksum. */
const crcOf = (record: Buffer): number =>
  finish(crc32c(record.subarray(0, RECORD.crc), crc32c(record.subarray(RECORD.header))));

const ALL_ONES = 0xffff_ffff;
const finish = (crc: number): number => (crc ^ ALL_ONES) >>> 0;

/** Castagnoli's, one bit after the other. */
function crc32c(bytes: Uint8Array, before = ALL_ONES): number {
  let crc = before;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0);
  }
  return crc;
}

// The messages around a transaction that is sent while it is in progress (protocol 2): where a part of it begins, and how it ended.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
import type { Lsn } from '../core/lsn.ts';
import { PGOUTPUT } from './bytes.ts';
import { MessageReader } from './message-reader.ts';

export type StreamStart = { readonly xid: number; readonly isFirst: boolean };
/** `subxid` is `xid` where all of it is undone. */
export type StreamAbort = { readonly xid: number; readonly subxid: number };
/** As protocol 1 has it: `begin` and `commit` are its messages. */
export type StreamCommit = {
  readonly xid: number;
  readonly commitLsn: Lsn;
  readonly begin: Buffer;
  readonly commit: Buffer;
};

export function decodeStreamStart(bytes: Buffer, start: number, end: number): StreamStart {
  const reader = new MessageReader(bytes, start, end);
  const began = { xid: reader.uint32(), isFirst: reader.uint8() === 1 };
  reader.finish();
  return began;
}

export function decodeStreamAbort(bytes: Buffer, start: number, end: number): StreamAbort {
  const reader = new MessageReader(bytes, start, end);
  const aborted = { xid: reader.uint32(), subxid: reader.uint32() };
  reader.finish();
  return aborted;
}

/** Type and xid. */
const HEAD_BYTES = 5;
/** Flags, commit LSN, end LSN, commit time: all that a Commit message has behind its type. */
const FLAGS_BYTES = 1;
const LSN_BYTES = 8;

export function decodeStreamCommit(bytes: Buffer, start: number, end: number): StreamCommit {
  const reader = new MessageReader(bytes, start, end);
  const xid = reader.uint32();
  reader.uint8(); // flags, unused so far
  const commitLsn = reader.lsn();
  reader.lsn();
  reader.timeUs();
  reader.finish();
  const rest = bytes.subarray(start + HEAD_BYTES, end);
  const commitAt = rest.subarray(FLAGS_BYTES, FLAGS_BYTES + LSN_BYTES);
  const time = rest.subarray(FLAGS_BYTES + 2 * LSN_BYTES);
  return {
    xid,
    commitLsn,
    begin: Buffer.concat([
      Buffer.from([PGOUTPUT.begin]),
      commitAt,
      time,
      bytes.subarray(start + 1, start + HEAD_BYTES),
    ]),
    commit: Buffer.concat([Buffer.from([PGOUTPUT.commit]), rest]),
  };
}

// Ledgers for tests: opened as a sink opens them, files of version 1, and a disk that fails when it is told to.
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { FollowedLog, LogLife } from '../../src/core/log-life.ts';
import { toLsn, ZERO_LSN } from '../../src/core/lsn.ts';
import type { Position } from '../../src/core/position.ts';
import { createLedger, readLedger, resumeLedger, type Cursor, type Ledger } from '../../src/store/ledger.ts';
import { LEDGER_FILES, type LedgerFiles } from '../../src/store/ledger/files.ts';
import { crc32 } from 'node:zlib';

export const LIFE: LogLife = {
  life: '6f1c3f0e-0000-4000-8000-000000000001',
  systemIdentifier: '7000000000000000001',
  databaseOid: 5,
  slot: 'tailrace',
};

/** The same, as a sink is told of it: the server has one timeline, and the log holds all since LSN 50. */
export const FOLLOWED: FollowedLog = {
  ...LIFE,
  beganAt: toLsn(50n),
  adoptedEpoch: undefined,
  history: { current: 1, switches: [], walEnd: toLsn(2n ** 62n) },
};

const START: Cursor = { position: { epoch: 0, commitLsn: ZERO_LSN, index: 0 }, endLsn: ZERO_LSN };

/** What is there goes on; else it begins before everything. */
export function openLedger(
  file: string,
  owner: { readonly database: string; readonly sink: string },
  options: { readonly log?: LogLife; readonly files?: LedgerFiles } = {},
): Ledger & { readonly restored: Cursor | undefined } {
  const { log = LIFE, files = LEDGER_FILES } = options;
  const stored = readLedger(file, owner);
  const ledger =
    stored === undefined
      ? createLedger(file, { ...owner, log }, START, files)
      : resumeLedger(stored, log, files);
  return Object.assign(ledger, { restored: stored?.restored.cursor });
}

export type Version1 = {
  readonly owner: { readonly database: string; readonly sink: string };
  readonly base?: {
    readonly cursor: Cursor;
    readonly head: Position;
    readonly unsettled: readonly Position[];
  };
  readonly records: readonly ({ readonly cursor: Cursor } | { readonly settled: readonly Position[] })[];
};

/** A ledger as version 1 wrote it. */
export function ledgerOfVersion1({ owner, base, records }: Version1): Buffer {
  const json = Buffer.from(JSON.stringify(owner));
  const header = Buffer.alloc(16);
  header.write('TRLEDGER');
  header.writeUInt32BE(1, 8);
  header.writeUInt32BE(json.length, 12);
  const payloads = [
    ...(base === undefined
      ? []
      : [
          Buffer.concat([
            Buffer.from('B'),
            cursor1(base.cursor),
            position(base.head),
            u32(base.unsettled.length),
            ...base.unsettled.map(position),
          ]),
        ]),
    ...records.map((record) =>
      'cursor' in record
        ? Buffer.concat([Buffer.from('C'), cursor1(record.cursor)])
        : Buffer.concat([
            Buffer.from('S'),
            u32(record.settled[0]!.epoch),
            u32(record.settled.length),
            ...record.settled.map((settled) => position(settled).subarray(4)),
          ]),
    ),
  ];
  return Buffer.concat([
    header,
    json,
    ...payloads.flatMap((payload) => [u32(payload.length), u32(crc32(payload)), payload]),
  ]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function position({ epoch, commitLsn, index }: Position): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE(epoch);
  bytes.writeBigUInt64BE(commitLsn, 4);
  bytes.writeUInt32BE(index, 12);
  return bytes;
}

function cursor1({ position: at, endLsn }: Cursor): Buffer {
  const end = Buffer.alloc(8);
  end.writeBigUInt64BE(endLsn);
  return Buffer.concat([position(at), end]);
}

/** What was asked of the disk, in order; and what it is to refuse. */
export type RecordedFiles = LedgerFiles & {
  readonly calls: string[];
  /** Bytes that the disk still takes. */
  room: number;
  failSync: boolean;
};

export function recordedFiles(): RecordedFiles {
  const calls: string[] = [];
  const files: RecordedFiles = {
    calls,
    room: Infinity,
    failSync: false,
    write: (fd, bytes, at) => {
      if (files.room <= 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      const taken = Math.min(bytes.length, files.room);
      files.room -= taken;
      calls.push('write');
      return LEDGER_FILES.write(fd, bytes.subarray(0, taken), at);
    },
    syncData: async (fd) => {
      if (files.failSync) throw Object.assign(new Error('input/output error'), { code: 'EIO' });
      calls.push('sync data');
      await LEDGER_FILES.syncData(fd);
    },
    sync: (fd) => {
      if (files.failSync) throw Object.assign(new Error('input/output error'), { code: 'EIO' });
      calls.push('sync');
      LEDGER_FILES.sync(fd);
    },
    rename: (from, to) => {
      calls.push(`rename ${existsSync(from) ? '' : 'nothing '}to ${basename(String(to))}`);
      LEDGER_FILES.rename(from, to);
    },
    syncNames: (fd) => {
      calls.push('sync directory');
      LEDGER_FILES.syncNames(fd);
    },
  };
  return files;
}

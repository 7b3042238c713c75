// The log's small memory: the durable end, the flush position, the stream's options, in two alternating slots.
//
// A slot is CRC-32 u32, JSON length u32, JSON. The newest valid slot counts. Only a save that was synced makes its
// slot the one to keep, so that a torn write never costs what was remembered (invariant 1).
import { createHash } from 'node:crypto';
import { closeSync, constants, existsSync, fdatasync, fstatSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { TailraceError } from '../core/errors.ts';
import { toLsn, ZERO_LSN, type Lsn } from '../core/lsn.ts';
import { NO_PARTINGS, type Partings } from '../core/partings.ts';
import { openFile } from '../data-directory/files.ts';
import { fileError, syncError } from './errors.ts';
import { FORMAT_VERSION, recallBirth, storeBirth, type LogBirth, type StoredBirth } from './format.ts';

export type LogState = {
  /** At least this much of the log is durable. */
  readonly durableEnd: number;
  readonly flushed: Lsn;
  /** Up to here every sink had settled what was flushed: it is ours to forget, whatever becomes of the log. */
  readonly settled: Lsn;
  readonly epoch: number;
  readonly timeline: number;
  /** Digest of the stream's options. */
  readonly streamOptions: string;
  /** Undefined: format version 1 wrote it. */
  readonly birth: LogBirth | undefined;
  /** Where the histories in the log parted. */
  readonly partings: Partings;
  /** Numbers of rows of backfills below this may have been given out: of those that a power cut took, somebody may remember. */
  readonly readsBelow: number;
};

export const EMPTY_STATE: LogState = {
  durableEnd: 0,
  flushed: ZERO_LSN,
  settled: ZERO_LSN,
  epoch: 0,
  timeline: 0,
  streamOptions: '',
  birth: undefined,
  partings: NO_PARTINGS,
  readsBelow: 0,
};

/** Its name in the log's directory. */
export const STATE_FILE = 'state';

/** A version that does not know of partings would deliver what is lost, and look for it on the server. */
const PARTED_FORMAT_VERSION = FORMAT_VERSION + 1;
const SLOT_BYTES = 4096;
const SLOT_HEADER_BYTES = 8;
type SlotIndex = 0 | 1;
type Slot = LogState & { readonly sequence: number; readonly format: number; readonly writtenBy: string };
/** A slot in JSON: LSNs as decimal numbers. */
type StoredSlot = Omit<Slot, 'flushed' | 'settled' | 'birth' | 'partings' | 'readsBelow'> & {
  readonly flushed: string;
  readonly settled: string;
  readonly birth?: StoredBirth | undefined;
  /** None: left out. */
  readonly partings?: readonly (readonly [epoch: number, lsn: string])[] | undefined;
  /** None: left out. */
  readonly readsBelow?: number | undefined;
};

const syncData = promisify(fdatasync);

export class StateFile {
  readonly #path: string;
  readonly #version: string;
  readonly #fd: number;
  /** What the file held when it was opened. */
  readonly found: LogState | undefined;
  /** There is something in it, and nothing that can be read: no crash leaves that behind once it was durable. */
  readonly isDamaged: boolean;
  #sequence: number;
  #keep: SlotIndex;
  #saving: Promise<void> = Promise.resolve();

  /** Opens or makes the file. `version` is Tailrace's, for whoever cannot read it. Throws TailraceError. */
  constructor(path: string, version: string) {
    this.#path = path;
    this.#version = version;
    try {
      this.#fd = openFile(path, constants.O_RDWR | constants.O_CREAT);
    } catch (error) {
      throw fileError(error, path, 'open');
    }
    const slots = ([0, 1] as const).flatMap((index) => {
      const slot = readSlot(this.#fd, index, path);
      return slot === undefined ? [] : [{ index, slot }];
    });
    const newest = slots.reduce<(typeof slots)[number] | undefined>(
      (best, next) => (best !== undefined && best.slot.sequence > next.slot.sequence ? best : next),
      undefined,
    );
    this.found = newest?.slot;
    this.isDamaged = newest === undefined && holdsAnything(this.#fd);
    this.#sequence = newest?.slot.sequence ?? 0;
    this.#keep = newest?.index ?? 1;
  }

  /** Writes the state without waiting for the disk. */
  note(state: LogState): void {
    const { birth, partings, readsBelow } = state;
    const hasParted = partings.length > 0;
    const slot: StoredSlot = {
      ...state,
      flushed: state.flushed.toString(),
      settled: state.settled.toString(),
      birth: birth && storeBirth(birth),
      partings: hasParted ? partings.map(({ epoch, lsn }) => [epoch, lsn.toString()] as const) : undefined,
      readsBelow: readsBelow === 0 ? undefined : readsBelow,
      sequence: ++this.#sequence,
      format: hasParted ? PARTED_FORMAT_VERSION : FORMAT_VERSION,
      writtenBy: this.#version,
    };
    const json = Buffer.from(JSON.stringify(slot));
    const bytes = Buffer.alloc(SLOT_BYTES);
    json.copy(bytes, SLOT_HEADER_BYTES);
    bytes.writeUInt32BE(json.length, 4);
    bytes.writeUInt32BE(crc32(bytes.subarray(4, SLOT_HEADER_BYTES + json.length)), 0);
    try {
      const start = otherSlot(this.#keep) * SLOT_BYTES;
      // A disk that is nearly full takes less than it is given.
      for (let done = 0; done < SLOT_BYTES;) {
        done += writeSync(this.#fd, bytes, done, SLOT_BYTES - done, start + done);
      }
    } catch (error) {
      throw fileError(error, this.#path, 'write');
    }
  }

  /** Writes the state and makes it durable. */
  save(state: LogState): Promise<void> {
    const save = async (): Promise<void> => {
      this.note(state);
      const written = otherSlot(this.#keep);
      try {
        await syncData(this.#fd);
      } catch (error) {
        throw syncError(error, this.#path);
      }
      this.#keep = written;
    };
    // One that found no room does not keep the next from trying.
    this.#saving = this.#saving.then(save, save);
    return this.#saving;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** What the log in `directory` remembers, looked at only; undefined: nothing, or there is no log. */
export function readState(directory: string, version: string): LogState | undefined {
  const path = join(directory, STATE_FILE);
  if (!existsSync(path)) return undefined;
  const state = new StateFile(path, version);
  state.close();
  return state.found;
}

/** Zeros: the disk knew of the bytes and not yet what they are. */
function holdsAnything(fd: number): boolean {
  const bytes = Buffer.alloc(Math.min(fstatSync(fd).size, 2 * SLOT_BYTES));
  readSync(fd, bytes, 0, bytes.length, 0);
  return bytes.some((byte) => byte !== 0);
}

const otherSlot = (index: SlotIndex): SlotIndex => (index === 0 ? 1 : 0);

function readSlot(fd: number, index: SlotIndex, path: string): Slot | undefined {
  const bytes = Buffer.alloc(SLOT_BYTES);
  readSync(fd, bytes, 0, SLOT_BYTES, index * SLOT_BYTES);
  const length = bytes.readUInt32BE(4);
  if (length === 0 || length > SLOT_BYTES - SLOT_HEADER_BYTES) return undefined;
  if (crc32(bytes.subarray(4, SLOT_HEADER_BYTES + length)) !== bytes.readUInt32BE(0)) return undefined;
  const raw = JSON.parse(bytes.toString('utf8', SLOT_HEADER_BYTES, SLOT_HEADER_BYTES + length)) as StoredSlot;
  if (raw.format > PARTED_FORMAT_VERSION) {
    throw new TailraceError(
      `${path} was written by Tailrace ${raw.writtenBy}, which is newer than this version`,
      {
        code: 'LOG_VERSION',
        kind: 'fatal',
        hint: `run Tailrace ${raw.writtenBy} or later`,
      },
    );
  }
  return {
    ...raw,
    flushed: toLsn(BigInt(raw.flushed)),
    settled: toLsn(BigInt(raw.settled)),
    birth: raw.birth && recallBirth(raw.birth),
    partings: (raw.partings ?? []).map(([epoch, lsn]) => ({ epoch, lsn: toLsn(BigInt(lsn)) })),
    readsBelow: raw.readsBelow ?? 0,
  };
}

/** The same for the same options, whatever their order. */
export function digestStreamOptions(options: Readonly<Record<string, string>>): string {
  const entries = Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(entries)).digest('hex');
}

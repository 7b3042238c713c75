// A change log in memory, as far as the source's flush looks at it: what was asked of it, in order, and a disk that obeys the test.
import { toLsn } from '../../src/core/lsn.ts';
import { INITIAL_CONTEXT } from '../../src/log/format.ts';
import type { LogWriter, Recovered } from '../../src/log/writer.ts';

type Remembered = Parameters<LogWriter['remember']>[0];

export type FakeLog = LogWriter & {
  /** What was remembered, the latest last. */
  readonly remembered: Remembered[];
  /** How often the disk was asked to make the log durable. */
  readonly syncs: number;
  /** The log grows by so many bytes; its last whole transaction ends at this LSN. */
  grow(bytes: number, lastEndLsn: bigint, inTransaction?: boolean): void;
  /** The disk takes its time: what waits for it goes on after `release`, or fails with an error. */
  hold(): { release(error?: Error): void };
};

export const RECOVERED: Recovered = {
  created: false,
  lastCommitLsn: toLsn(0n),
  lastEndLsn: toLsn(0n),
  epoch: 0,
  timeline: 1,
  cutBytes: 0,
  stateLost: false,
  holes: [],
  damaged: false,
  behind: false,
  streamOptionsChanged: false,
  flushed: toLsn(0n),
  settled: toLsn(0n),
};

/** `heard` gets the name of each call, before the disk is waited for and after. */
export function fakeLog(heard: (call: string) => void, recovered: Partial<Recovered> = {}): FakeLog {
  const found = { ...RECOVERED, ...recovered };
  let context = { ...INITIAL_CONTEXT, lastEndLsn: found.lastEndLsn };
  let writtenEnd = 0;
  let syncs = 0;
  let disk: Promise<void> = Promise.resolve();
  const remembered: Remembered[] = [];
  return {
    recovered: found,
    birth: { life: 'a life', beganAt: undefined, adoptedEpoch: undefined },
    maxBytes: Infinity,
    partings: [],
    part: () => Promise.reject(new Error('the flush parts nothing')),
    remembered,
    get context() {
      return context;
    },
    get writtenEnd() {
      return writtenEnd;
    },
    get syncs() {
      return syncs;
    },
    grow: (bytes, lastEndLsn, inTransaction = false) => {
      writtenEnd += bytes;
      context = { ...context, lastEndLsn: toLsn(lastEndLsn), inTransaction };
    },
    hold: () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      promise.catch(() => undefined);
      disk = promise;
      return {
        release: (error) => {
          disk = Promise.resolve();
          if (error === undefined) resolve();
          else reject(error);
        },
      };
    },
    readIndex: 0,
    hasNumbers: () => false,
    reserveNumbers: () => Promise.reject(new Error('the flush numbers nothing')),
    append: () => {
      throw new Error('the flush appends nothing');
    },
    held: () => Promise.resolve([]),
    sync: async () => {
      syncs++;
      const end = writtenEnd;
      heard('sync');
      await disk;
      heard('synced');
      return end;
    },
    remember: async (state) => {
      heard('remember');
      await disk;
      remembered.push(state);
      heard('remembered');
    },
    retain: () => Promise.resolve(writtenEnd),
    bytes: () => writtenEnd,
    close: () => Promise.resolve(),
  };
}

// What a pull stream keeps across restarts: who may not be given a message again yet, and what was acknowledged early.

export type StoredLease = {
  readonly id: string;
  /** Milliseconds since 1970: before it nobody else is given the message. */
  readonly visibleAtMs: number;
  /** Acknowledged while its message was not read from the log again yet. */
  readonly acked: boolean;
};

/** Of one sink. A write that returned outlives the process (kill -9), not necessarily a power cut. */
export interface LeaseStore {
  load(): StoredLease[];
  /** Adds or replaces. */
  save(ids: readonly string[], lease: Omit<StoredLease, 'id'>): void;
  remove(ids: readonly string[]): void;
  close(): void;
}

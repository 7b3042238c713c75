// How the change log uses the disk.

export type LogSettings = {
  readonly segmentBytes: number;
  readonly retentionMs: number;
  /** 0: min(10 GB, half the free disk). */
  readonly maxBytes: number;
  readonly minFreeBytes: number;
  readonly maxMessageBytes: number;
};

// A change as Tailrace's messages hold it (format `tailrace`, and `sequin` too), as far as consumers usually read it.

export type Change<Row = Readonly<Record<string, unknown>>> = {
  /** The row; of a delete under the default replica identity only its key. */
  readonly record: Row;
  /** Of an update: the previous values of what changed, as far as the replica identity tells. */
  readonly changes: Partial<Row> | null;
  readonly action: 'insert' | 'update' | 'delete' | 'read' | 'truncate';
  readonly metadata: {
    readonly table_schema: string;
    readonly table_name: string;
    /** The same for ever for the same change: what you have seen already, you can pass over. */
    readonly idempotency_key: string;
    readonly commit_timestamp: string;
    readonly commit_lsn: number;
    readonly commit_idx: number;
  };
};

/** What your function does with a change. It throws when it could not. */
export type ApplyChange = (change: Change) => Promise<void>;

// Did every committed change arrive exactly once, and in order for its row? Pure bookkeeping, kept small as it goes.

export type DemoAction = 'insert' | 'update' | 'delete';

/** `version` counts the changes of a row from 1; a delete's message does not carry it. */
export type DemoChange = {
  readonly table: string;
  readonly id: number;
  readonly action: DemoAction;
  readonly version: number | undefined;
};

export type Verdict = {
  readonly committed: number;
  readonly received: number;
  /** Committed and not received yet. */
  readonly outstanding: number;
  readonly duplicates: number;
  /** Came after a later change of the same row. */
  readonly inversions: number;
  /** Never committed, or of a row that was gone. */
  readonly unexpected: number;
};

/** What still has to come of one row, oldest first. */
type Row = { readonly pending: DemoChange[]; readonly late: DemoChange[] };

export class Accounting {
  readonly #rows = new Map<string, Row>();
  readonly #seenKeys: RecentKeys;
  #committed = 0;
  #received = 0;
  #outstanding = 0;
  #duplicates = 0;
  #inversions = 0;
  #unexpected = 0;

  /** `rememberedKeys`: how many idempotency keys back a repeat is known for certain. */
  constructor(rememberedKeys = 100_000) {
    this.#seenKeys = new RecentKeys(rememberedKeys);
  }

  /** To be called before the commit, which a message may overtake on its way back to us. */
  expect(changes: readonly DemoChange[]): void {
    for (const change of changes) {
      const key = keyOf(change);
      const row = this.#rows.get(key) ?? { pending: [], late: [] };
      this.#rows.set(key, row);
      row.pending.push(change);
      this.#committed++;
      this.#outstanding++;
    }
  }

  receive(change: DemoChange, idempotencyKey: string): void {
    this.#received++;
    if (!this.#seenKeys.add(idempotencyKey)) {
      this.#duplicates++;
      return;
    }
    const key = keyOf(change);
    const row = this.#rows.get(key);
    if (row === undefined) {
      this.#unexpected++;
      return;
    }
    if (take(row.late, change)) this.#inversions++;
    else {
      const at = row.pending.findIndex((expected) => isSame(expected, change));
      if (at === -1) {
        this.#unexpected++;
        return;
      }
      // What stands before it has been overtaken: it may still come, too late.
      row.late.push(...row.pending.splice(0, at));
      row.pending.shift();
    }
    this.#outstanding--;
    if (row.pending.length === 0 && row.late.length === 0) this.#rows.delete(key);
  }

  verdict(): Verdict {
    return {
      committed: this.#committed,
      received: this.#received,
      outstanding: this.#outstanding,
      duplicates: this.#duplicates,
      inversions: this.#inversions,
      unexpected: this.#unexpected,
    };
  }
}

export const exactlyOnce = ({ outstanding, duplicates, unexpected }: Verdict): boolean =>
  outstanding === 0 && duplicates === 0 && unexpected === 0;

export const inOrder = ({ inversions }: Verdict): boolean => inversions === 0;

const keyOf = ({ table, id }: DemoChange): string => `${table}:${id}`;

const isSame = (expected: DemoChange, change: DemoChange): boolean =>
  expected.action === change.action && (change.action === 'delete' || expected.version === change.version);

function take(changes: DemoChange[], change: DemoChange): boolean {
  const at = changes.findIndex((expected) => isSame(expected, change));
  if (at !== -1) changes.splice(at, 1);
  return at !== -1;
}

/** A set of the newest keys: two generations, the older one forgotten when the newer is full. */
class RecentKeys {
  readonly #perGeneration: number;
  #newer = new Set<string>();
  #older = new Set<string>();

  constructor(perGeneration: number) {
    this.#perGeneration = perGeneration;
  }

  /** False when the key is known. */
  add(key: string): boolean {
    if (this.#newer.has(key) || this.#older.has(key)) return false;
    if (this.#newer.size >= this.#perGeneration) {
      this.#older = this.#newer;
      this.#newer = new Set();
    }
    this.#newer.add(key);
    return true;
  }
}

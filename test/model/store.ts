// The store of the model: the real one, which knows whether anybody has written to it since, and refuses that on a full disk.
import type { Store } from '../../src/store/sqlite.ts';

/** By part of the store, what writes. */
const WRITING = {
  sinks: ['met', 'started', 'stands', 'addGap', 'rewind', 'rewound', 'giveUp'],
  gaps: ['declare', 'close', 'accept', 'acceptNamed'],
  looks: ['add', 'prove', 'forget'],
  renumbered: ['add'],
  partings: ['add', 'account'],
} as const;

export type ModelStore = Store & {
  /** Counts them. */
  readonly writes: number;
};

/** As SQLite says it: https://www.sqlite.org/rescode.html#full */
const full = (): Error =>
  Object.assign(new Error('database or disk is full'), { code: 'ERR_SQLITE_ERROR', errcode: 13 });

export function modelStore(store: Store, isFull: () => boolean): ModelStore {
  let writes = 0;
  const before = (): void => {
    if (isFull()) throw full();
    writes++;
  };
  return {
    ...store,
    sinks: guarded(store.sinks, WRITING.sinks, before),
    gaps: guarded(store.gaps, WRITING.gaps, before),
    looks: guarded(store.looks, WRITING.looks, before),
    renumbered: guarded(store.renumbered, WRITING.renumbered, before),
    partings: guarded(store.partings, WRITING.partings, before),
    get writes() {
      return writes;
    },
  };
}

/** Says so `before` one of these methods is called. */
function guarded<Part extends object>(part: Part, writing: readonly string[], before: () => void): Part {
  return new Proxy(part, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...all: unknown[]): unknown => {
        if (writing.includes(String(name))) before();
        return Reflect.apply(value, target, all);
      };
    },
  });
}

/** Is it for want of room that something failed? */
export function isDiskFull(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code, errcode } = cause as { code?: unknown; errcode?: unknown };
    if (code === 'ENOSPC' || errcode === 13) return true;
  }
  return false;
}

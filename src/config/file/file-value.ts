// A configuration as one value in the shape of tailrace.yaml, whose parts know where they were written: every language
// that a configuration may have (YAML, pg2sqs' file and variables) yields one, and all that follows reads only this.
import type { Fault } from './faults.ts';

export type Path = readonly (string | number)[];

export type FileValue = {
  /** As it was named; `environment` where there is none. */
  readonly file: string;
  /** Absolute: where relative paths of files begin. */
  readonly directory: string;
  /** Mappings, lists, strings, numbers, booleans; `undefined` where nothing is written. */
  readonly value: unknown;
  readonly faults: readonly Fault[];
  /** What was passed over, one line each. */
  readonly notes: readonly string[];
  /** A fault at the value of this path (or at its key), or at the nearest thing around it that exists. */
  fault(path: Path, message: string, at?: 'key' | 'value'): Fault;
  /** A fault within the text at this path, `offset` UTF-16 units from its start. */
  faultWithin(path: Path, message: string, offset: number): Fault;
  /** What this path is called where it was written: `sinks[users].destination.group_id`, `PG2SQS_T_0_Q_GROUPID`. */
  nameOf(path: Path): string;
  /** The text of a scalar: `007` where the value is 7. */
  text(path: Path): string | undefined;
  /**
   * The other reading of a scalar. YAML says that `12345` is a number and `"5432"` a text; only the schema knows what is
   * wanted (a password, a port), and what a variable holds has no YAML type at all.
   */
  otherReading(path: Path): string | number | boolean | undefined;
};

/** The list at this top-level key; empty where there is none. */
export function listOf(file: FileValue, key: string): readonly unknown[] {
  const value = valueAt(file.value, [key]);
  return Array.isArray(value) ? value : [];
}

export function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at;
}

/** Sets what stands at `path` in `root`; the mappings and lists around it are made. */
export function setAt(root: object, path: Path, value: unknown): void {
  let at = root as Record<string | number, unknown>;
  for (const [depth, step] of path.slice(0, -1).entries()) {
    if (!Object.hasOwn(at, step)) define(at, step, typeof path[depth + 1] === 'number' ? [] : {});
    at = at[step] as Record<string | number, unknown>;
  }
  define(at, path.at(-1)!, value);
}

/** Sets an own key, `__proto__` too. */
export function define(target: object, key: string | number, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

/** `sinks[users].tables[public.users]`: list items by their name where they have one. */
export function formatPath(path: Path, root?: unknown): string {
  let text = '';
  let value = root;
  for (const step of path) {
    value = valueAt(value, [step]);
    if (typeof step === 'number') {
      const name =
        typeof value === 'object' && value !== null ? (value as { name?: unknown }).name : undefined;
      text += `[${typeof name === 'string' ? name : step}]`;
    } else {
      text += text === '' ? step : `.${step}`;
    }
  }
  return text;
}

// pg2sqs' settings written as a tailrace.yaml would write them: each value remembers the setting that it comes from.
import type { Fault } from '../file/faults.ts';
import { formatPath, setAt, valueAt, type FileValue, type Path } from '../file/file-value.ts';

/** Where something was written, or should have been. */
export type Place = { faultHere(message: string): Fault };

/** Writes what the setting `name` says. `undefined` writes nothing: the schema's default stands, or the fault is told there. */
export type Put = (path: Path, value: unknown, name: string) => void;

/** A duration as tailrace.yaml spells it. */
export const inMs = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : `${ms}ms`;

export class Translation {
  readonly #root: Record<string, unknown> = {};
  readonly #places = new Map<string, Place>();

  /** Without a place, what is around it has one. */
  put(path: Path, value: unknown, place?: Place): void {
    if (value !== undefined) setAt(this.#root, path, value);
    if (place !== undefined) this.#places.set(keyOf(path), place);
  }

  /** Writes below `base`, by the names of settings. */
  putFrom(reader: { placeOf(name: string): Place }, base: Path): Put {
    return (path, value, name) => this.put([...base, ...path], value, reader.placeOf(name));
  }

  /** The translation as the reading of any other file. */
  fileValue(source: Pick<FileValue, 'file' | 'directory' | 'faults' | 'notes'>): FileValue {
    const fault = (path: Path, message: string): Fault => {
      for (let length = path.length; length > 0; length--) {
        const place = this.#places.get(keyOf(path.slice(0, length)));
        if (place === undefined) continue;
        const rest = formatPath(path.slice(length));
        return place.faultHere(rest === '' ? message : `${rest}: ${message}`);
      }
      return { file: source.file, path: formatPath(path), message };
    };
    return {
      ...source,
      value: this.#root,
      fault,
      faultWithin: fault,
      nameOf: (path) => fault(path, '').path,
      text: (path) => {
        const value = valueAt(this.#root, path);
        return typeof value === 'string' ? value : undefined;
      },
      // The settings were read as what the schema wants.
      otherReading: () => undefined,
    };
  }
}

const keyOf = (path: Path): string => JSON.stringify(path);

// Reads pg2sqs' flat settings as durations, numbers and words.
import type { Fault } from '../file/faults.ts';
import { parseGoDuration } from './go-duration.ts';
import type { Place } from './translation.ts';
import { missingSetting, type Pg2sqsSettings } from './variables.ts';
import { MAX_TIMER_MS } from '../units.ts';

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);

/** Typed access; whatever is wrong becomes a fault, and nothing is read. What is not written has no value here: defaults are the schema's. */
export class Pg2sqsReader {
  readonly settings: Pg2sqsSettings;
  readonly faults: Fault[];
  readonly #file: string | undefined;

  /** `file`: where most of the settings stand; undefined: in variables. */
  constructor(settings: Pg2sqsSettings, faults: Fault[], file: string | undefined) {
    this.settings = settings;
    this.faults = faults;
    this.#file = file;
  }

  text(name: string): string | undefined {
    return this.settings.get(name)?.text;
  }

  required(name: string): string {
    const text = this.text(name);
    if (text === undefined) this.faults.push(missingSetting(name, this.#file));
    return text ?? '';
  }

  /** Of a setting that stands nowhere: that it is missing, whatever is said of it. */
  placeOf(name: string): Place {
    return this.settings.get(name) ?? { faultHere: () => missingSetting(name, this.#file) };
  }

  /** Milliseconds. */
  duration(
    name: string,
    { bareUnit, least = 0 }: { bareUnit: 'ms' | 's'; least?: number },
  ): number | undefined {
    const parse = (text: string): number | undefined => {
      const ms = parseGoDuration(text, bareUnit);
      return ms !== undefined && ms >= least && ms <= MAX_TIMER_MS ? ms : undefined;
    };
    const more = least > 0 ? ' above 0' : '';
    return this.#parsed(name, parse, `a duration${more} is expected: 500ms, 35s, 2m`);
  }

  number(
    name: string,
    { least, most, whole }: { least: number; most?: number; whole: boolean },
  ): number | undefined {
    const parse = (text: string): number | undefined => {
      const value = (whole ? /^\d+$/ : /^\d+(\.\d+)?$/).test(text) ? Number(text) : Number.NaN;
      return value >= least && value <= (most ?? Number.MAX_SAFE_INTEGER) ? value : undefined;
    };
    const range = most === undefined ? `from ${least}` : `from ${least} to ${most}`;
    return this.#parsed(name, parse, `a ${whole ? 'whole ' : ''}number ${range} is expected`);
  }

  boolean(name: string): boolean | undefined {
    return this.#parsed(name, (text) => BOOLEANS.get(text.toLowerCase()), 'true or false is expected');
  }

  word<W extends string>(name: string, words: readonly W[]): W | undefined {
    const parse = (text: string): W | undefined => words.find((word) => word === text.toLowerCase());
    return this.#parsed(name, parse, `${words.join(' or ')} is expected`);
  }

  #parsed<V>(name: string, parse: (text: string) => V | undefined, expected: string): V | undefined {
    const setting = this.settings.get(name);
    if (setting === undefined) return undefined;
    const value = parse(setting.text.trim());
    if (value === undefined) this.faults.push(setting.faultHere(expected));
    return value;
  }
}

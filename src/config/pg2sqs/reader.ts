// Reads pg2sqs' flat settings as durations, numbers and words.
import type { Fault } from '../file/faults.ts';
import { parseGoDuration } from './go-duration.ts';
import { missingSetting, type Pg2sqsSettings } from './variables.ts';
import { MAX_TIMER_MS } from '../units.ts';

/** Typed access; whatever is wrong becomes a fault, and the fallback stands. */
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

  /** Milliseconds. */
  duration<T>(name: string, options: { bareUnit: 'ms' | 's'; fallback: T; least?: number }): number | T {
    const parse = (text: string): number | undefined => {
      const ms = parseGoDuration(text, options.bareUnit);
      return ms !== undefined && ms >= (options.least ?? 0) && ms <= MAX_TIMER_MS ? ms : undefined;
    };
    const more = (options.least ?? 0) > 0 ? ' above 0' : '';
    return this.#parsed(name, {
      parse,
      expected: `a duration${more} is expected: 500ms, 35s, 2m`,
      ...options,
    });
  }

  number<T>(
    name: string,
    options: { least: number; most?: number; whole: boolean; fallback: T },
  ): number | T {
    const { least, most = Number.MAX_SAFE_INTEGER, whole } = options;
    const parse = (text: string): number | undefined => {
      const value = (whole ? /^\d+$/ : /^\d+(\.\d+)?$/).test(text) ? Number(text) : Number.NaN;
      return value >= least && value <= most ? value : undefined;
    };
    const range = options.most === undefined ? `from ${least}` : `from ${least} to ${most}`;
    return this.#parsed(name, {
      parse,
      expected: `a ${whole ? 'whole ' : ''}number ${range} is expected`,
      ...options,
    });
  }

  boolean(name: string): boolean {
    const words: Readonly<Record<string, boolean>> = { true: true, '1': true, false: false, '0': false };
    const parse = (text: string): boolean | undefined => words[text.toLowerCase()];
    return this.#parsed(name, { parse, expected: 'true or false is expected', fallback: false });
  }

  word<W extends string>(name: string, words: readonly [W, ...W[]]): W {
    const parse = (text: string): W | undefined => words.find((word) => word === text.toLowerCase());
    return this.#parsed(name, { parse, expected: `${words.join(' or ')} is expected`, fallback: words[0] });
  }

  #parsed<V, T>(
    name: string,
    options: { parse: (text: string) => V | undefined; expected: string; fallback: T },
  ): V | T {
    const setting = this.settings.get(name);
    if (setting === undefined) return options.fallback;
    const value = options.parse(setting.text.trim());
    if (value === undefined) this.faults.push(setting.faultHere(options.expected));
    return value ?? options.fallback;
  }
}

// What was found of a queue or a topic: looked for once for all callers, and again when it is gone or is to be checked.
import type { CheckOptions } from '../sink.ts';
import { isMissing } from './errors.ts';

export type LookOptions = {
  readonly create: boolean;
  /** Attributes that may not be read are an error. */
  readonly strict: boolean;
};

export type FindingOptions<Found> = {
  /** Throws RequestError. */
  readonly look: (signal: AbortSignal, options: LookOptions) => Promise<Found>;
  readonly createIfNotExists: boolean;
  /** What there is to say of one that does not exist and will be made. */
  readonly toBeMade: string;
};

export class Finding<Found> {
  readonly #options: FindingOptions<Found>;
  #found: Promise<Found> | undefined;
  #known: Found | undefined;

  constructor(options: FindingOptions<Found>) {
    this.#options = options;
  }

  /** Without waiting for it; undefined: it is not known yet. */
  get known(): Found | undefined {
    return this.#known;
  }

  /** Looks once for all callers. Throws RequestError; the next call looks again. */
  find(signal: AbortSignal): Promise<Found> {
    const { look, createIfNotExists: create } = this.#options;
    this.#found ??= this.#keep(look(signal, { create, strict: false }));
    return this.#found;
  }

  #keep(looking: Promise<Found>): Promise<Found> {
    const found = looking.then(
      (known) => {
        // It may have been forgotten meanwhile.
        if (this.#found === found) this.#known = known;
        return known;
      },
      (error: unknown) => {
        if (this.#found === found) this.#found = undefined;
        throw error;
      },
    );
    return found;
  }

  /** Whoever comes next looks for it. */
  forget(): void {
    this.#found = this.#known = undefined;
  }

  /** Looks again, now. Attributes that may not be read are worth a report, but no reason to call a running sink ill. */
  async check(signal: AbortSignal, options: CheckOptions): Promise<void> {
    const { look, createIfNotExists, toBeMade } = this.#options;
    const create = options.create && createIfNotExists;
    try {
      const known = await look(signal, { create, strict: !options.create });
      this.#known = known;
      this.#found = Promise.resolve(known);
    } catch (error) {
      if (!createIfNotExists || options.toBeMade === undefined || !isMissing(error)) throw error;
      options.toBeMade(toBeMade);
    }
  }
}

// The ARNs of an account's topics by their names: SNS has no call that tells the one of a name, so the topics are listed, once for all
// that look for theirs. A page is asked for by one of them at a time; what it brings, and where the next one begins, is everybody's.
// A topic that is deleted keeps its ARN here: it is the same when it is made again.
import { steadyMs } from '../../core/clock.ts';
import { errorFamily, RequestError, type ErrorFamily } from '../aws/errors.ts';
import { Refusal } from '../aws/questions.ts';
import { parseTopicArn } from './arn.ts';

export type Page = { readonly arns: readonly string[]; readonly next: string | undefined };
/** One page of ListTopics. Throws RequestError. */
export type ReadPage = (token: string | undefined) => Promise<Page>;

/** Of a hundred topics each. https://docs.aws.amazon.com/sns/latest/api/API_ListTopics.html */
const MAX_PAGES = 1000;
const MAX_NAMES = MAX_PAGES * 100;
/** What a listing that ended so shortly ago has not seen is missing; what was missing before is so for longer, up to the most. */
export const FRESH_MS = 1000;
export const MAX_FRESH_MS = 30_000;
/** At least so long for each page: a third of the 30 a second that an account may ask for. */
export const FRESH_MS_PER_PAGE = 100;
/** A listing that nobody has gone on with for so long begins anew: how long its token holds is not said. */
export const UNFINISHED_MS = 30_000;

/** What says nothing against the page: it is asked for again. */
const PASSING: ReadonlySet<ErrorFamily | undefined> = new Set(['throttled', 'service', 'timeout', 'network']);

export type Looking = {
  readonly name: string;
  /** It was missing when it was looked for last. */
  readonly again: boolean;
};

/** `missing`: there is none; `unknown`: there are more topics than are looked through. */
export type Found = { readonly arn: string } | 'missing' | 'unknown';

type Listing = {
  readonly arns: Map<string, string>;
  token: string | undefined;
  pages: number;
  /** When it began, or its last page came. */
  atMs: number;
};

type Ended = {
  readonly isWhole: boolean;
  readonly atMs: number;
  /** How long it tells of what is looked for the first time, and of what was missing before. */
  readonly freshMs: number;
  readonly freshAgainMs: number;
};

export class TopicNames {
  readonly #tellsMissing: boolean;
  readonly #nowMs: () => number;
  #arns = new Map<string, string>();
  #listing: Listing | undefined;
  #page: Promise<void> | undefined;
  #ended: Ended | undefined;
  /** Grows with each listing that finds nobody's. */
  #freshMs = FRESH_MS;
  readonly #refusal: Refusal;

  /** `tellsMissing`: what a listing has not seen is missing for a while; else whoever looks for it lists again. */
  constructor({ tellsMissing, nowMs = steadyMs }: { tellsMissing: boolean; nowMs?: () => number }) {
    this.#tellsMissing = tellsMissing;
    this.#nowMs = nowMs;
    this.#refusal = new Refusal(nowMs);
  }

  /** Throws what `read` throws; what was listed until then is known, and whoever looks next goes on at that page. */
  async find({ name, again }: Looking, read: ReadPage): Promise<Found> {
    const known = this.#known(name);
    if (known !== undefined) return { arn: known };
    if (this.#isFresh(again)) return this.#notFound();
    const endedBefore = this.#ended;
    while (this.#ended === endedBefore) {
      await this.#readOne(read);
      const arn = this.#known(name);
      if (arn === undefined) continue;
      this.#freshMs = FRESH_MS;
      return { arn };
    }
    return this.#notFound();
  }

  /** It was made. */
  learn(name: string, arn: string): void {
    this.#listing?.arns.set(name, arn);
    this.#keep(name, arn);
  }

  #known(name: string): string | undefined {
    return this.#listing?.arns.get(name) ?? this.#arns.get(name);
  }

  #keep(name: string, arn: string): void {
    if (this.#arns.size >= MAX_NAMES) this.#arns.clear();
    this.#arns.set(name, arn);
  }

  #isFresh(again: boolean): boolean {
    if (this.#ended === undefined || !this.#tellsMissing) return false;
    const { atMs, freshMs, freshAgainMs } = this.#ended;
    return this.#nowMs() - atMs < (again ? freshAgainMs : freshMs);
  }

  #notFound(): 'missing' | 'unknown' {
    return this.#ended!.isWhole ? 'missing' : 'unknown';
  }

  async #readOne(read: ReadPage): Promise<void> {
    if (this.#page !== undefined) {
      try {
        return await this.#page;
      } catch (error) {
        if (error instanceof RequestError) throw error;
        // Who asked for it has stopped: somebody else asks.
        return;
      }
    }
    this.#refusal.throwIfRecent();
    this.#page = this.#next(read).finally(() => (this.#page = undefined));
    await this.#page;
  }

  async #next(read: ReadPage): Promise<void> {
    const listing = this.#begun();
    let page: Page;
    try {
      page = await read(listing.token);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.#refusal.note(error);
      // It may be the token that is refused.
      if (!PASSING.has(errorFamily(error.code, error.status))) this.#abandon(listing);
      throw error;
    }
    for (const arn of page.arns) {
      const name = parseTopicArn(arn)?.name;
      if (name !== undefined) listing.arns.set(name, arn);
    }
    listing.pages++;
    listing.atMs = this.#nowMs();
    listing.token = page.next;
    const isWhole = page.next === undefined || page.next === '';
    if (isWhole || listing.pages === MAX_PAGES) this.#end(listing, isWhole);
  }

  /** The one to go on with. */
  #begun(): Listing {
    const nowMs = this.#nowMs();
    if (this.#listing !== undefined && nowMs - this.#listing.atMs > UNFINISHED_MS)
      this.#abandon(this.#listing);
    this.#listing ??= { arns: new Map(), token: undefined, pages: 0, atMs: nowMs };
    return this.#listing;
  }

  #abandon({ arns }: Listing): void {
    for (const [name, arn] of arns) this.#keep(name, arn);
    this.#listing = undefined;
  }

  #end({ arns, pages, atMs }: Listing, isWhole: boolean): void {
    const leastMs = pages * FRESH_MS_PER_PAGE;
    this.#ended = {
      isWhole,
      atMs,
      freshMs: Math.max(FRESH_MS, leastMs),
      freshAgainMs: Math.max(this.#freshMs, leastMs),
    };
    this.#freshMs = Math.min(MAX_FRESH_MS, this.#freshMs * 2);
    this.#arns = arns;
    this.#listing = undefined;
  }
}

// Finds the message at fault where a request was refused for one of its messages (scope `batch`): halves it until the
// culprit is alone. One bad message must not fail its batch mates, nor be sent with them for ever.
import type { DeliveryError, Outcome } from '../../core/errors.ts';
import type { Message } from '../../core/message.ts';
import { MISSING_OUTCOME } from './delivery-errors.ts';

/** `unknown`: a stop ended the request, and nothing is known of the message. */
export type Answer = Outcome | 'unknown';

/** Does the sink leave it to us to find the culprit? */
export function blamesBatch(answers: readonly Answer[]): boolean {
  for (const answer of answers) {
    if (isBlame(answer)) return true;
  }
  return false;
}

/**
 * `answers` blame the batch. Sends its parts with `send` (which does not throw), one after the other, until every message
 * has an answer of its own: none has scope `batch` any more.
 */
export async function isolate(
  batch: readonly Message[],
  answers: readonly Answer[],
  send: (part: readonly Message[]) => Promise<readonly Answer[]>,
): Promise<readonly Answer[]> {
  const search = new Search(batch);
  const parts = search.note([...batch.keys()], answers);
  for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
    const free = search.freeOf(part);
    if (free.length === 0) continue;
    const said = await send(free.map((index) => batch[index]!));
    parts.unshift(...search.note(free, said));
  }
  return search.known;
}

/** What is known of a batch so far. Messages are named by their index in it. */
class Search {
  readonly known: Answer[];
  readonly #batch: readonly Message[];
  readonly #failedGroups = new Set<string | Message>();
  /** Where the route or the sink has failed, nothing more is tried: everything left has this answer. */
  #end: Answer | undefined;

  constructor(batch: readonly Message[]) {
    this.#batch = batch;
    this.known = batch.map(() => MISSING_OUTCOME);
  }

  /** Takes note of what was said of the messages of one request; returns the parts in which the culprit may be. */
  note(sent: readonly number[], said: readonly Answer[]): number[][] {
    const suspects: number[] = [];
    let blame: DeliveryError | undefined;
    sent.forEach((index, at) => {
      const answer = said[at] ?? MISSING_OUTCOME;
      if (isBlame(answer)) {
        suspects.push(index);
        blame = answer;
      } else this.#settle(index, answer);
    });
    if (blame === undefined) return [];
    if (suspects.length === 1) {
      this.#settle(suspects[0]!, { ...blame, scope: 'message' });
      return [];
    }
    const middle = suspects.length >> 1;
    return [suspects.slice(0, middle), suspects.slice(middle)];
  }

  /** Which of them may be sent. Invariant 4: what follows a failed message in its group waits for it, however that failed. */
  freeOf(part: readonly number[]): number[] {
    return part.filter((index) => {
      if (this.#end !== undefined) this.known[index] = this.#end;
      else if (this.#failedGroups.has(groupOf(this.#batch[index]!))) this.known[index] = HELD_BACK;
      else return true;
      return false;
    });
  }

  #settle(index: number, answer: Answer): void {
    this.known[index] = answer;
    if (answer === 'delivered') return;
    this.#failedGroups.add(groupOf(this.#batch[index]!));
    if (isEnd(answer)) this.#end ??= answer;
  }
}

const isBlame = (answer: Answer): answer is DeliveryError =>
  typeof answer === 'object' && answer.scope === 'batch';

const isEnd = (answer: Exclude<Answer, 'delivered'>): boolean =>
  answer === 'unknown' || answer.kind === 'fatal' || answer.scope === 'route' || answer.scope === 'sink';

/** Of messages without a group, each is a group of its own. */
const groupOf = (message: Message): string | Message => (message.group === '' ? message : message.group);

const HELD_BACK: DeliveryError = {
  kind: 'retryable',
  scope: 'group',
  code: 'HELD_BACK',
  hint: 'an earlier message of its group was refused; this one waits for it',
};

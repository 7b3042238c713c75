// What one sink handed over in the lives of a service that is killed: each change once, and what was repeated after which kill.
import { Replica, type ChangeMessage } from './workload.ts';

/** What was handed over in one life, and again in a later one. */
export type Repeats = { messages: number; readonly requests: Set<number> };

/** Where a message has its place in the order of its row, and who was given it last. */
type Place = { readonly index: number; life: number; request: number };
/** `next`: the index that the next message of the row must have. */
type Row = { length: number; next: number; life: number };

const MAX_FAULTS = 10;

export class Deliveries {
  /** What the messages make: each change once, in the order in which it first came. */
  readonly replica = new Replica();
  /** Whatever a kill does not excuse. */
  readonly faults: string[] = [];
  /** By the life that a kill ended. */
  readonly #repeats = new Map<number, Repeats>();
  readonly #places = new Map<string, Place>();
  readonly #rows = new Map<string, Row>();
  /** How many messages of one row a request may carry, and so how far a row may go back after a kill. */
  readonly #rowMessagesPerRequest: number;
  #requests = 0;

  constructor({ rowMessagesPerRequest }: { readonly rowMessagesPerRequest: number }) {
    this.#rowMessagesPerRequest = rowMessagesPerRequest;
  }

  /** Idempotency keys of the changes. */
  get keys(): ReadonlySet<string> {
    return new Set(this.#places.keys());
  }

  repeatsOf(life: number): Repeats {
    return this.#repeats.get(life) ?? { messages: 0, requests: new Set() };
  }

  /** The figures, in one line. */
  describe(): string {
    const all = [...this.#repeats.values()];
    const most = Math.max(0, ...all.map(({ messages }) => messages));
    const requests = Math.max(0, ...all.map(({ requests }) => requests.size));
    const inRequests = requests === most ? '' : ` of ${requests} requests`;
    return `${this.replica.repeats} repeats after ${all.length} kills, at most ${most} messages${inRequests} by one kill`;
  }

  /** A request of the service's `life`. */
  take(messages: readonly ChangeMessage[], life: number): void {
    const request = ++this.#requests;
    for (const message of messages) {
      this.replica.apply(message);
      this.#place(message, { life, request });
    }
  }

  #place(message: ChangeMessage, { life, request }: { life: number; request: number }): void {
    const { table_name: table, idempotency_key: key } = message.metadata;
    const name = `${table} ${String(message.record['id'])}`;
    const row = this.#rows.get(name) ?? { length: 0, next: 0, life };
    this.#rows.set(name, row);
    const place = this.#places.get(key);
    if (place === undefined) {
      if (row.next < row.length) this.#fault(message, 'comes before what had to be repeated first');
      this.#places.set(key, { index: row.length, life, request });
      row.next = ++row.length;
    } else {
      this.#count(place);
      if (place.life === life) this.#fault(message, 'comes twice in one life');
      if (place.index > row.next) this.#fault(message, 'comes again, and one before it did not');
      // Only what was in one request can be unsettled: the next change of a row waits for the answer.
      const isBack = place.index < row.next;
      if (isBack && (row.life === life || row.length - place.index > this.#rowMessagesPerRequest)) {
        this.#fault(message, 'comes again after a later one');
      }
      row.next = place.index + 1;
      place.life = life;
      place.request = request;
    }
    row.life = life;
  }

  #count(place: Place): void {
    const repeats = this.repeatsOf(place.life);
    this.#repeats.set(place.life, repeats);
    repeats.messages++;
    repeats.requests.add(place.request);
  }

  #fault({ action, record, metadata }: ChangeMessage, what: string): void {
    const { table_name: table, idempotency_key: key } = metadata;
    if (this.faults.length < MAX_FAULTS) {
      this.faults.push(`${key}: ${action} of ${table} ${String(record['id'])} ${what}`);
    }
  }
}

// What queues got of one table through column rules, a template of groups and routes that rows decide and leave: each change once, in the
// queue, the group and the words that its row says, in the order of its row and of its group; of a service that is killed, what came again after which kill.
import { createHmac } from 'node:crypto';

/** How the table is declared, and what the checks below know of it. */
export const RULED = {
  columns:
    'id int primary key, account int not null, region int not null, version bigint not null, mail text not null, phone text not null, note text, doc jsonb not null',
  mask_key: 'a key for the proof',
  rules:
    '{ name: public.t, exclude_columns: [note], rename: { version: v }, mask: { mail: hash, phone: { last: 4 } }, flatten: { doc: true }, add: { source: proof, label: "${meta.table}/${row.id}/${row.version}/${row.phone}" } }',
  group: '"account-${row.account}"',
  queue: '"proof-r${row.region}.fifo"',
  /** Stands in what is masked or left out, and nowhere else. */
  planted: 'planted',
} as const;

/** Columns of a row as the writers make them, `id` and `version` being expressions of SQL. */
export const ruledValues = (id: string, version: string): string =>
  `'planted' || ${id} || '@example.com', 'planted' || (${version} % 10000 + 10000), 'planted', jsonb_build_object('v', ${version}, 'deep', jsonb_build_object('list', jsonb_build_array(${id})))`;

export type RuledMessage = {
  readonly queue: string;
  readonly group: string;
  readonly dedup: string;
  readonly body: string;
};

type Body = {
  readonly record: Readonly<Record<string, unknown>> & {
    readonly id: number;
    readonly account: number;
    readonly region: number;
    readonly v: number;
  };
  readonly action: string;
  readonly metadata: {
    readonly commit_lsn: number;
    readonly commit_idx: number;
    readonly moved?: 'in' | 'out';
  };
};

export type RuledFigures = {
  readonly messages: number;
  /** Changes: a row that moved to another queue is two messages. */
  readonly changes: number;
  readonly moves: number;
  /** Most messages, and most requests, that came again after one kill, and all messages that did: the queues drop them. */
  readonly repeats: {
    readonly messages: number;
    readonly mostMessages: number;
    readonly mostRequests: number;
  };
  /** The first few of what no kill excuses. */
  readonly faults: readonly string[];
};

type Repeats = { messages: number; readonly requests: Set<string> };
type HandedOver = { life: number; request: string };
type Place = { readonly lsn: number; readonly index: number; readonly isOut: boolean };
type Row = { readonly version: number; readonly region: number };

const MAX_FAULTS = 10;

export class RuledAccounting {
  /** The life of the service that hands over now: a kill ends one. */
  life = 0;
  #messages = 0;
  #changes = 0;
  #ins = 0;
  #outs = 0;
  /** By deduplication id, the life in which it came last, and the request. */
  readonly #handedOver = new Map<string, HandedOver>();
  readonly #places = new Set<string>();
  readonly #groups = new Map<string, Place>();
  readonly #rows = new Map<number, Row>();
  readonly #repeats = new Map<number, Repeats>();
  readonly #faults: string[] = [];

  accept(message: RuledMessage, request: string): void {
    this.#messages++;
    const { dedup, body } = message;
    const before = this.#handedOver.get(dedup);
    if (before !== undefined) return this.#again(dedup, before, request);
    this.#handedOver.set(dedup, { life: this.life, request });
    const parsed = JSON.parse(body) as Body;
    const wrong = differenceOf(message, parsed);
    if (wrong !== undefined) this.#fault(`${wrong}: ${message.queue} ${message.group} got ${body}`);
    this.#place(message, parsed);
    this.#apply(parsed);
  }

  figures(): RuledFigures {
    const all = [...this.#repeats.values()];
    const most = (count: (repeats: Repeats) => number): number => Math.max(0, ...all.map(count));
    return {
      messages: this.#messages,
      changes: this.#changes,
      moves: this.#outs,
      repeats: {
        messages: all.reduce((sum, { messages }) => sum + messages, 0),
        mostMessages: most(({ messages }) => messages),
        mostRequests: most(({ requests }) => requests.size),
      },
      faults:
        this.#ins === this.#outs
          ? this.#faults
          : [...this.#faults, `${this.#outs} rows left a queue, ${this.#ins} entered one`],
    };
  }

  /** How many rows are otherwise than the table has them. */
  differences(table: ReadonlyMap<number, Row>): number {
    let different = 0;
    for (const [id, { version, region }] of this.#rows) {
      const row = table.get(id);
      if (row?.version !== version || row.region !== region) different++;
    }
    for (const id of table.keys()) if (!this.#rows.has(id)) different++;
    return different;
  }

  /** Only what was in flight when the service was killed may come again, and in another life. */
  #again(dedup: string, before: HandedOver, request: string): void {
    if (before.life === this.life) this.#fault(`${dedup} comes twice in one life`);
    const repeats = this.#repeats.get(before.life) ?? { messages: 0, requests: new Set() };
    this.#repeats.set(before.life, repeats);
    repeats.messages++;
    repeats.requests.add(before.request);
    before.life = this.life;
    before.request = request;
  }

  #place({ group }: RuledMessage, { metadata }: Body): void {
    const { commit_lsn: lsn, commit_idx: index, moved } = metadata;
    const key = `${lsn}/${index}/${moved === 'out' ? 'out' : ''}`;
    if (this.#places.has(key)) this.#fault(`the change at ${key} has two deduplication ids`);
    this.#places.add(key);
    if (moved === 'out') this.#outs++;
    else this.#changes++;
    if (moved === 'in') this.#ins++;
    const now = { lsn, index, isOut: moved === 'out' };
    const last = this.#groups.get(group);
    if (last !== undefined && !isAfter(now, last)) this.#fault(`${key} comes after a later one of ${group}`);
    this.#groups.set(group, now);
  }

  #apply({ record, action, metadata }: Body): void {
    const { id, v: version, region } = record;
    const row = this.#rows.get(id);
    const where = `${action} of ${id}, version ${version}`;
    if (action === 'delete') {
      // What leaves a queue is the row as it was there.
      if (row?.version !== version || row.region !== region)
        this.#fault(`${where} is not of the row as it was`);
      if (metadata.moved !== 'out') this.#rows.delete(id);
      return;
    }
    const isNew = action === 'insert' && metadata.moved === undefined;
    if (isNew !== (row === undefined)) this.#fault(`${where}: the row is ${isNew ? '' : 'not '}there`);
    if (row !== undefined && version <= row.version)
      this.#fault(`${where} comes after version ${row.version}`);
    if (row !== undefined && (row.region === region) === (metadata.moved === 'in'))
      this.#fault(`${where} says of its move what is not so`);
    this.#rows.set(id, { version, region });
  }

  #fault(what: string): void {
    if (this.#faults.length < MAX_FAULTS) this.#faults.push(what);
  }
}

const isAfter = (now: Place, last: Place): boolean => {
  if (now.lsn !== last.lsn) return now.lsn > last.lsn;
  return now.index === last.index ? last.isOut && !now.isOut : now.index > last.index;
};

const hashes = new Map<number, string>();

/** Of the address that the row with this id has for ever. */
function hashedMail(id: number): string {
  let hashed = hashes.get(id);
  if (hashed === undefined) {
    hashed = createHmac('sha256', RULED.mask_key).update(`planted${id}@example.com`).digest('hex');
    hashes.set(id, hashed);
  }
  return hashed;
}

/** What the rules, the template of groups and the route did not do as they are declared. */
function differenceOf({ queue, group, body }: RuledMessage, { record }: Body): string | undefined {
  const { id, account, region, v: version } = record;
  const phone = `***${String((version % 10_000) + 10_000).slice(-4)}`;
  const expected = `{"id":${id},"account":${account},"region":${region},"v":${version},"mail":"${hashedMail(id)}","phone":"${phone}","doc_v":${version},"doc_deep_list":[${id}],"source":"proof","label":"t/${id}/${version}/${phone}"}`;
  if (!body.startsWith(`{"record":${expected},`)) return `not ${expected}`;
  if (body.includes(RULED.planted)) return 'shows what is masked';
  if (queue !== `proof-r${region}.fifo`) return 'another queue';
  return group === `account-${account}` ? undefined : 'another group';
}

// A message on its way through one sink: what the sink sees of it, and its place among the others.
import type { MessageAction, Moved, Part, SettledPart, TransactionContext } from '../../core/change.ts';
import type { DeliveryError } from '../../core/errors.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { idempotencyKey, partKey, writeIdempotencyKey } from '../../core/idempotency.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Message, RowFacts } from '../../core/message.ts';
import type { Position } from '../../core/position.ts';
import type { TableName } from '../../core/selection.ts';
import type { Arena, Arenas } from './arena.ts';
import { OUTSIDE, type GroupPlace } from './groups.ts';
import type { RouteQueue } from './route-queue.ts';
import type { TableBarriers, TableStretch } from './table-order.ts';

/** What all changes of one transaction share in one sink. */
export type PendingTransaction = TransactionContext & {
  /** The part of the idempotency key that they share. */
  readonly key: string;
  /** The sink skips the changes from here on; how many there were so far. */
  readonly skip?: { changes: number } | undefined;
  /** Log offset where it begins; undefined: reading began inside it. */
  readonly beganAt?: number | undefined;
  /** Log offset of the block with the transaction's first marker: what is read again from there on is marked as now. */
  readonly markedFrom?: number | undefined;
  /** It is none: these are rows that a backfill has read, and all that they show was committed before this. */
  readonly readUpTo?: Lsn | undefined;
};

/**
 * waiting: something before it is not settled yet · ready: in its route's queue · sending: in a request ·
 * backing-off: failed, its timer runs · settled
 */
export type PendingState = 'waiting' | 'ready' | 'sending' | 'backing-off' | 'settled';

/** What a state may turn into. Anything else is a fault of ours: a message sent twice at once, or never. */
const MAY_BECOME: Readonly<Record<PendingState, readonly PendingState[]>> = {
  waiting: ['ready', 'sending', 'settled'],
  ready: ['sending', 'settled'],
  sending: ['settled', 'waiting', 'backing-off'],
  'backing-off': ['waiting', 'settled'],
  settled: [],
};

/** What the messages of one table share in one sink. Who makes them (the intake, the replays) may know more of them. */
export type MessagePlan = {
  readonly schema: string;
  readonly table: string;
  /** Does the sink keep the order of groups? */
  readonly grouped: boolean;
  readonly barriers: TableBarriers<Pending>;
};

/** A change that is sent as several messages (`key_changes: split`, `ddl: events`, a transaction's first): each settles by itself, the change with the last. */
export class SplitChange {
  #unsettled: number;
  #last: Pending | undefined;
  readonly #settledParts: SettledPart[];

  /** `settledParts`: settled before the restart, so that only the others are sent. */
  constructor(messages: number, settledParts: readonly SettledPart[] = []) {
    this.#unsettled = messages;
    this.#settledParts = [...settledParts];
  }

  /** So many more messages are of it. */
  add(messages: number, settledParts: readonly SettledPart[] = []): void {
    this.#unsettled += messages;
    this.#settledParts.push(...settledParts);
  }

  get isSettled(): boolean {
    return this.#unsettled === 0;
  }
  /** While the change is not settled, the parts of it that are. */
  get settledParts(): readonly SettledPart[] {
    return this.#settledParts;
  }

  /** One of them is settled. */
  settle(message: Pending): void {
    this.#unsettled--;
    if (this.#unsettled === 0) this.#last = message;
    else this.#settledParts.push(message.settledAs);
  }

  /** Is it the message that settled the change? */
  isSettledBy(message: Pending): boolean {
    return this.#last === message;
  }
}

/** Of a message that is made: what few have may be left out. */
type PendingFields = Pick<
  Pending,
  'transaction' | 'index' | 'plan' | 'action' | 'routeQueue' | 'group' | 'offset' | 'frameLength'
> & { readonly rawBytes: number } & Partial<Pick<Pending, 'split' | 'part' | 'moved' | 'readKey'>>;

type RareFields = Pick<PendingFields, 'rawBytes' | 'split' | 'part' | 'moved' | 'readKey'>;

const isRare = ({ rawBytes, split, part, moved, readKey }: RareFields): boolean =>
  rawBytes > 0 || split !== undefined || part !== undefined || moved !== undefined || readKey !== undefined;

/** What few messages have: the others share one. Thousands are on their way, and each is read again when no processor's cache has it any more. */
class Rarities {
  /** Of a row too large for the log to keep whole: its size. Else 0. Such a row cannot be rendered. */
  readonly rawBytes: number;
  /** Shared by the messages of one change. */
  readonly split: SplitChange | undefined;
  /** Which of them this is; undefined: the row itself. */
  readonly part: Part | undefined;
  /** Of an update that is sent as a delete (`out`) or an insert (`in`). */
  readonly moved: Moved | undefined;
  /** Of a row that a backfill has read: its own part of the idempotency key. */
  readonly readKey: string | undefined;
  /** Read with the message where the sink wants it. */
  row: RowFacts | undefined;
  /** There is nothing to send: the row was too large to be kept, its format has no words for it, or the dead letter was discarded meanwhile. */
  lacksPayload: boolean;
  /** Bytes of its key are no text: who it is about cannot be said, so it goes to the dead letters. */
  isKeyUndecodable = false;
  /** A step of the sink has decided that it goes to the dead letters, in its place among the others. */
  refusal: DeliveryError | undefined;
  /** Of a TRUNCATE that its format has no words for: the partition that was emptied, and no more than that. */
  emptied: TableName | undefined;
  /** Failures of requests that had it, while others got through: no attempts, but each wait is longer than the last. */
  failedRequests = 0;
  /** Of a dead letter that is sent again: its id in the store. Else 0. */
  letterId = 0;
  /** Of a change that a rewind of rows sends again: which rewind. Else 0. */
  rowRewind = 0;
  secondPlace: GroupPlace<Pending> | undefined;

  constructor({ rawBytes, split, part, moved, readKey }: RareFields = { rawBytes: 0 }) {
    this.rawBytes = rawBytes;
    this.split = split;
    this.part = part;
    this.moved = moved;
    this.readKey = readKey;
    this.lacksPayload = rawBytes > 0;
  }
}

/** What nearly all have. */
const NONE = Object.freeze(new Rarities());

const NO_BYTES = Buffer.alloc(0);

export class Pending implements Message, GroupPlace<Pending> {
  readonly transaction: PendingTransaction;
  readonly index: number;
  readonly plan: MessagePlan;
  readonly action: MessageAction;
  readonly routeQueue: RouteQueue<Pending>;
  readonly group: string;
  /** Log offset and length of the raw message: enough to render it again. Of a dead letter: 0, and its payload's length. */
  readonly offset: number;
  readonly frameLength: number;

  /** Only the log offset is kept: there are no bytes, and no arena. */
  #isParked = true;
  /** The rendered message. */
  buffer: Buffer = NO_BYTES;
  start = 0;
  end = 0;
  #escapes = 0;
  #arena: Arena | undefined;
  /** As it was last counted there (room.ts). */
  countedBytes = 0;

  #state: PendingState = 'waiting';
  attempts = 0;
  /** How many unsettled messages must settle before this one may go. */
  waitsOn = 0;
  /** Its place in its group (`GroupPlace`). */
  hash = 0;
  previous: GroupPlace<Pending> | undefined;
  next: GroupPlace<Pending> | undefined;
  members = OUTSIDE;
  last: GroupPlace<Pending> | undefined;
  nextAtPlace: GroupPlace<Pending> | undefined;
  stretch: TableStretch<Pending> | undefined;
  /** Neighbours among all unsettled messages of the sink, in log order. */
  before: Pending | undefined;
  after: Pending | undefined;
  #rarities: Rarities = NONE;

  constructor(what: PendingFields) {
    this.transaction = what.transaction;
    this.index = what.index;
    this.plan = what.plan;
    this.action = what.action;
    this.routeQueue = what.routeQueue;
    this.group = what.group;
    this.offset = what.offset;
    this.frameLength = what.frameLength;
    if (isRare(what)) this.#rarities = new Rarities(what);
  }

  /** Its own, to be written to. */
  get #own(): Rarities {
    return (this.#rarities = this.#rarities === NONE ? new Rarities() : this.#rarities);
  }
  get rawBytes(): number {
    return this.#rarities.rawBytes;
  }
  get split(): SplitChange | undefined {
    return this.#rarities.split;
  }
  get part(): Part | undefined {
    return this.#rarities.part;
  }
  get moved(): Moved | undefined {
    return this.#rarities.moved;
  }
  get readKey(): string | undefined {
    return this.#rarities.readKey;
  }
  get row(): RowFacts | undefined {
    return this.#rarities.row;
  }
  set row(row: RowFacts | undefined) {
    if (row !== this.row) this.#own.row = row;
  }
  get lacksPayload(): boolean {
    return this.#rarities.lacksPayload;
  }
  set lacksPayload(lacks: boolean) {
    if (lacks !== this.lacksPayload) this.#own.lacksPayload = lacks;
  }
  get isKeyUndecodable(): boolean {
    return this.#rarities.isKeyUndecodable;
  }
  set isKeyUndecodable(is: boolean) {
    if (is !== this.isKeyUndecodable) this.#own.isKeyUndecodable = is;
  }
  get refusal(): DeliveryError | undefined {
    return this.#rarities.refusal;
  }
  set refusal(refusal: DeliveryError | undefined) {
    if (refusal !== this.refusal) this.#own.refusal = refusal;
  }
  get emptied(): TableName | undefined {
    return this.#rarities.emptied;
  }
  set emptied(emptied: TableName | undefined) {
    if (emptied !== this.emptied) this.#own.emptied = emptied;
  }
  get failedRequests(): number {
    return this.#rarities.failedRequests;
  }
  set failedRequests(count: number) {
    if (count !== this.failedRequests) this.#own.failedRequests = count;
  }
  get letterId(): number {
    return this.#rarities.letterId;
  }
  set letterId(id: number) {
    if (id !== this.letterId) this.#own.letterId = id;
  }
  get rowRewind(): number {
    return this.#rarities.rowRewind;
  }
  set rowRewind(rewind: number) {
    if (rewind !== this.rowRewind) this.#own.rowRewind = rewind;
  }
  /** In another group, whose messages it waits for, too. */
  get secondPlace(): GroupPlace<Pending> | undefined {
    return this.#rarities.secondPlace;
  }
  set secondPlace(place: GroupPlace<Pending> | undefined) {
    if (place !== this.secondPlace) this.#own.secondPlace = place;
  }

  get message(): Pending {
    return this;
  }

  get position(): Position {
    const { epoch, commitLsn } = this.transaction;
    return { epoch, commitLsn, index: this.index };
  }
  get route(): string {
    return this.routeQueue.id;
  }
  get schema(): string {
    return this.plan.schema;
  }
  get table(): string {
    return this.plan.table;
  }
  get commitTimeUs(): bigint | undefined {
    return this.letterId === 0 ? this.transaction.commitTimeUs : undefined;
  }
  /** Does the cursor wait for it? Not for what is sent again beside the log's own course. */
  get isOfTheLog(): boolean {
    return this.letterId === 0 && this.rowRewind === 0;
  }
  get repeat(): string | undefined {
    return this.rowRewind === 0 ? undefined : `w${this.rowRewind}`;
  }
  get idempotencyKey(): string {
    if (this.readKey !== undefined) return `${this.transaction.key}-${this.readKey}`;
    const key = idempotencyKey(this.transaction.key, this.index);
    return this.part === undefined ? key : partKey(key, this.part);
  }
  writeKey(writer: ByteWriter): void {
    if (this.readKey !== undefined || this.part !== undefined) writer.latin1(this.idempotencyKey);
    else writeIdempotencyKey(this.transaction.key, this.index, writer);
  }

  get groupId(): string | undefined {
    if (!this.plan.grouped) return this.idempotencyKey;
    return this.routeQueue.route.groupTemplate === undefined ? undefined : this.group;
  }

  get state(): PendingState {
    return this.#state;
  }
  get isParked(): boolean {
    return this.#isParked;
  }
  /** Bytes of memory. */
  get byteLength(): number {
    return this.end - this.start;
  }
  get jsonBytes(): number {
    return this.end - this.start - this.#escapes;
  }

  /** What of its change is settled with it. */
  get settledAs(): SettledPart {
    return this.part ?? 'row';
  }

  /** Of the messages of one change those that are settled already. */
  get settledParts(): readonly SettledPart[] | undefined {
    return this.split?.settledParts;
  }

  /** The only way from one state to another. */
  become(next: PendingState): void {
    if (!MAY_BECOME[this.#state].includes(next)) {
      throw new Error(`a message that is ${this.#state} cannot become ${next}: ${this.idempotencyKey}`);
    }
    this.#state = next;
    if (next === 'settled') this.split?.settle(this);
  }

  /** Is its change settled, and by this message? Of several the last one settles it. */
  get settlesChange(): boolean {
    return this.#state === 'settled' && (this.split === undefined || this.split.isSettledBy(this));
  }

  /** What was written to the arena from `start` on is this message; `escapes`: as the writer counted them before it. */
  rendered(arena: Arena, start: number, escapes: number): void {
    const { writer } = arena;
    this.#isParked = false;
    this.#arena = arena;
    this.#escapes = writer.escapes - escapes;
    this.buffer = writer.buffer;
    this.start = start;
    this.end = writer.length;
  }

  /** Gives a message that stays for long bytes of its own: it would hold a whole arena. Not while a request may read them. */
  own(arenas: Arenas): void {
    if (this.#arena === undefined) return;
    const { buffer, start, end } = this;
    this.buffer = Buffer.from(buffer.subarray(start, end));
    this.start = 0;
    this.end = end - start;
    arenas.leave(this.#arena);
    this.#arena = undefined;
  }

  /** Drops the payload; while the message is not settled it can be rendered again from the log. */
  drop(arenas: Arenas): void {
    if (this.#arena !== undefined) arenas.leave(this.#arena);
    this.#arena = undefined;
    this.#isParked = true;
    this.row = undefined;
    this.#escapes = 0;
    this.buffer = NO_BYTES;
    this.start = 0;
    this.end = 0;
  }
}

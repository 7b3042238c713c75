// What a source says of itself: its condition and counters, kept by the runner, read by status and metrics.
import { formatLsn, maxLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import type { Acknowledging } from '../../core/ack.ts';
import type { TailraceError } from '../../core/errors.ts';
import type { Gap } from '../../core/gaps.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type {
  Condition,
  DatabaseStatus,
  StallCause,
  StandbyStatus,
  StreamedTable,
} from '../../core/status.ts';

/** `status` names the last of them; the store has all. */
const MAX_JOINED_TABLES = 20;

/** Mutable: the runner writes, `status` reads. */
export class SourceState {
  readonly #settings: DatabaseSettings;
  readonly #now: () => number;
  #condition: Condition;
  state: 'connecting' | 'streaming' | 'waiting' | 'drained' | 'stopped' = 'connecting';
  host: string | undefined;
  acknowledging: Acknowledging;
  walEnd: Lsn = ZERO_LSN;
  logged: Lsn = ZERO_LSN;
  durable: Lsn = ZERO_LSN;
  flushed: Lsn = ZERO_LSN;
  logBytes = 0;
  transactions = 0;
  streamedTransactions = 0;
  spooledBytes = 0;
  changes = 0;
  receivedBytes = 0;
  unprovedShapes = 0;
  reconnects = 0;
  stall: StallCause | undefined;
  stallsHealed = 0;
  gaps: readonly Gap[] = [];
  /** From preflight: they last until the next connection. */
  notices: readonly string[] = [];
  /** The same of what is worth knowing, and no fault. */
  notes: readonly string[] = [];
  /** Of the tables: they are looked at again while the source streams. */
  tableNotices: readonly string[] = [];
  tables = 0;
  standbys: readonly StandbyStatus[] | undefined;
  #joined: readonly StreamedTable[] = [];
  /** What is wrong now, by code; an alarm degrades the source. */
  readonly #alarms = new Map<string, TailraceError>();

  constructor(settings: DatabaseSettings, now: () => number) {
    this.#settings = settings;
    this.#now = now;
    this.acknowledging = settings.slot.ack === 'durable' ? 'durable' : 'delivered';
    this.#condition = { health: 'degraded', reason: 'connects to the database', since: this.#since() };
  }

  /** Streaming: healthy but for the alarms. */
  streams(): void {
    this.state = 'streaming';
    this.#settle();
  }

  /** Not streaming, for this reason. A fault that needs somebody halts, one that passes by itself degrades. */
  waits(error: TailraceError): void {
    this.state = 'waiting';
    this.#become({
      health: error.mend === 'retry' ? 'degraded' : 'halted',
      reason: error.message,
      ...(error.hint === undefined ? {} : { cure: error.hint }),
    });
  }

  /** Not streaming, because that is wanted. */
  drained(error: TailraceError): void {
    this.waits(error);
    this.state = 'drained';
  }

  stops(): void {
    this.state = 'stopped';
    this.#become({ health: 'halted', reason: 'stopped' });
  }

  /** Raises or clears an alarm; answers whether that is news. */
  alarm(code: string, error: TailraceError | undefined): boolean {
    const news = this.#alarms.has(code) !== (error !== undefined);
    if (error === undefined) this.#alarms.delete(code);
    else this.#alarms.set(code, error);
    if (news && this.state === 'streaming') this.#settle();
    return news;
  }

  /** The same, and warns of one that is new. */
  raise(code: string, error: TailraceError | undefined, warn: (error: TailraceError) => void): void {
    if (this.alarm(code, error) && error !== undefined) warn(error);
  }

  /** What the first alarm among these says; undefined: none of them is raised. */
  troubleAmong(codes: readonly string[]): string | undefined {
    return codes.map((code) => this.#alarms.get(code)?.message).find((message) => message !== undefined);
  }

  addStreamed(tables: readonly StreamedTable[]): void {
    this.#joined = [...this.#joined, ...tables].slice(-MAX_JOINED_TABLES);
  }

  #settle(): void {
    const [alarm] = this.#alarms.values();
    if (alarm === undefined) return this.#become({ health: 'healthy' });
    this.#become({
      health: 'degraded',
      reason: alarm.message,
      ...(alarm.hint === undefined ? {} : { cure: alarm.hint }),
    });
  }

  #become(condition: Omit<Condition, 'since'>): void {
    const { health, reason, since } = this.#condition;
    const same = health === condition.health && reason === condition.reason;
    this.#condition = { ...condition, since: same ? since : this.#since() };
  }

  #since(): string {
    return new Date(this.#now()).toISOString();
  }

  status(): DatabaseStatus {
    const settings = this.#settings;
    const walEnd = maxLsn(this.walEnd, this.logged);
    return {
      ...this.#condition,
      name: settings.name,
      state: this.state,
      ...(this.host === undefined ? {} : { host: this.host }),
      slot: settings.slot.name,
      publication: settings.publication.name,
      ack: settings.slot.ack,
      acknowledging: this.acknowledging,
      walEnd: formatLsn(walEnd),
      loggedEnd: formatLsn(this.logged),
      durableEnd: formatLsn(this.durable),
      flushed: formatLsn(this.flushed),
      retainedBytes: walEnd > this.flushed ? Number(walEnd - this.flushed) : 0,
      logBytes: this.logBytes,
      transactions: this.transactions,
      streamedTransactions: this.streamedTransactions,
      spooledBytes: this.spooledBytes,
      changes: this.changes,
      receivedBytes: this.receivedBytes,
      unprovedShapes: this.unprovedShapes,
      reconnects: this.reconnects,
      ...(this.stall === undefined ? {} : { stall: this.stall }),
      stallsHealed: this.stallsHealed,
      gaps: this.gaps,
      warnings: [
        ...this.notices,
        ...this.tableNotices,
        // Gaps have a list of their own.
        ...[...this.#alarms].filter(([code]) => code !== 'GAP').map(([, alarm]) => alarm.message),
      ],
      notes: this.notes,
      tables: this.tables,
      joinedTables: this.#joined,
      ...(this.standbys === undefined ? {} : { standbys: this.standbys }),
    };
  }
}

// Nothing is delivered that the named standbys have not replayed: each is asked how far it is, and the sinks are let go up to there.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Boundaries,
  behindBytes,
  isReplayed,
  type Boundary,
  type ReplayPoint,
} from '../../../core/barrier.ts';
import { steadyMs } from '../../../core/clock.ts';
import { TailraceError } from '../../../core/errors.ts';
import { readLsn, ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import { parseTimelineHistory, type TimelineSwitch } from '../../../core/timeline.ts';
import type { LogSignals } from '../../../log/signals.ts';
import {
  closeConnection,
  connectReplication,
  type ReplicationConnection,
} from '../../../postgres/connection/connection.ts';
import { connectionFault } from '../../../postgres/connection/fault.ts';
import { withoutName } from '../../../postgres/connection/hosts.ts';
import { identifySystem } from '../../../postgres/connection/identify-system.ts';
import { formatTarget, type Target } from '../../../postgres/connection/target.ts';
import { BARRIER_OTHER_CLUSTER, barrierOfOtherCluster } from '../../../postgres/preflight/barrier.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import type { SourceState } from '../status.ts';
import { Still } from './progress.ts';

/** Between two questions while something waits: twice as long each time that nothing was let go. */
const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 100;
/** A standby that does not answer is asked again. */
const RECONNECT_MS = 1_000;
/** An answer takes a moment, or the connection is dead. */
const ANSWER_LIMIT_MS = 10_000;
/** One that was passed over is asked whether it has caught up, where nothing else asks. */
const CAUGHT_UP_MS = 1_000;
/** What waits longer is told. */
const TELL_AFTER_MS = 5_000;

type Asked = {
  readonly target: Target;
  connection: ReplicationConnection | undefined;
  /** The last answer; undefined: none yet, or none any more. */
  point: ReplayPoint | undefined;
  fault: TailraceError | undefined;
  askAgainMs: number;
  /** Of the timeline in the last answer. */
  history: { readonly timeline: number; readonly switches: readonly TimelineSwitch[] } | undefined;
  moved: Still<Lsn>;
  stillForMs: number;
  passedOver: boolean;
};

export type BarrierPorts = {
  readonly settings: DatabaseSettings;
  readonly signals: Pick<LogSignals, 'release' | 'partings'>;
  readonly state: SourceState;
  readonly warn: (error: TailraceError) => void;
};

/** Lives as long as the source: what waits is let go with or without a server to read from. */
export class Barrier {
  readonly #ports: BarrierPorts;
  readonly #standbys: readonly Asked[];
  readonly #boundaries = new Boundaries();
  readonly #timeoutMs: number;
  #systemIdentifier: string | undefined;
  #wake: (() => void) | undefined;
  #waitsSinceMs: number | undefined;
  /** What was let go last: whoever has that has all. */
  #released: Boundary | undefined;

  constructor(barrier: NonNullable<DatabaseSettings['barrier']>, ports: BarrierPorts) {
    this.#ports = ports;
    this.#timeoutMs = barrier.timeoutMs ?? Infinity;
    this.#standbys = barrier.hosts.map((target) => ({
      target,
      connection: undefined,
      point: undefined,
      fault: undefined,
      askAgainMs: 0,
      history: undefined,
      moved: new Still<Lsn>(),
      stillForMs: 0,
      passedOver: false,
    }));
  }

  /** What comes is of this cluster. Before it is known nothing is let go. */
  follows(systemIdentifier: string): void {
    this.#systemIdentifier = systemIdentifier;
  }

  /** The log ends with a whole transaction there. */
  add(boundary: Boundary): void {
    this.#boundaries.add(boundary);
    this.#wake?.();
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const wake = (): void => this.#wake?.();
    signal.addEventListener('abort', wake);
    let pauseMs = FIRST_PAUSE_MS;
    try {
      while (!signal.aborted) {
        const isIdle = this.#boundaries.size === 0;
        if (isIdle && !this.#standbys.some(({ passedOver }) => passedOver)) {
          this.#tell();
          await new Promise<void>((resolve) => (this.#wake = resolve));
          this.#wake = undefined;
          // While nothing waited nobody was asked.
          for (const standby of this.#standbys) standby.moved = new Still();
          pauseMs = FIRST_PAUSE_MS;
          continue;
        }
        if (!isIdle) this.#waitsSinceMs ??= steadyMs();
        await Promise.all(this.#standbys.map((standby) => this.#ask(standby)));
        pauseMs = this.#letGo() ? FIRST_PAUSE_MS : Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
        this.#tell();
        await sleep(isIdle ? CAUGHT_UP_MS : pauseMs, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      signal.removeEventListener('abort', wake);
      await Promise.all(this.#standbys.map((standby) => disconnect(standby)));
    }
  }

  #letGo(): boolean {
    const { signals } = this.#ports;
    const partings = signals.partings();
    const released = this.#released;
    for (const standby of this.#standbys) {
      const { point, fault } = standby;
      // Whoever has all that was let go without it counts again.
      const isThere = fault === undefined && point !== undefined;
      if (!standby.passedOver) {
        standby.passedOver = this.#boundaries.size > 0 && standby.stillForMs >= this.#timeoutMs;
      } else if (released !== undefined && isThere && isReplayed(released, point, partings)) {
        standby.passedOver = false;
        standby.moved = new Still();
      }
    }
    const counted = this.#standbys.filter(({ passedOver }) => !passedOver);
    // One that did not answer has nothing.
    const points = counted.map(({ point }) => point ?? { timeline: 0, switches: [], lsn: ZERO_LSN });
    const freed = this.#boundaries.release(points, partings);
    if (freed === undefined) return false;
    this.#released = freed;
    signals.release(freed.offset);
    this.#waitsSinceMs = this.#boundaries.size === 0 ? undefined : steadyMs();
    return true;
  }

  /** Never rejects. */
  async #ask(standby: Asked): Promise<void> {
    const { settings } = this.#ports;
    const nowMs = steadyMs();
    if (standby.connection === undefined && nowMs < standby.askAgainMs) {
      standby.stillForMs = standby.moved.forMs(standby.point?.lsn ?? ZERO_LSN, nowMs);
      return;
    }
    try {
      standby.connection ??= await connectReplication(settings, standby.target);
      standby.point = await answered(this.#readPoint(standby), settings, standby.target);
      standby.fault = undefined;
    } catch (error) {
      standby.fault = connectionFault(error, settings, standby.target);
      // What it had it has: its WAL does not go back while it is away. Another cluster never had anything.
      if (standby.fault.code === BARRIER_OTHER_CLUSTER) standby.point = undefined;
      standby.askAgainMs = nowMs + RECONNECT_MS;
      await disconnect(standby);
    }
    standby.stillForMs = standby.moved.forMs(standby.point?.lsn ?? ZERO_LSN, steadyMs());
  }

  /** In this order: on the timeline that it says afterwards it was then, or came to it since. */
  async #readPoint(standby: Asked): Promise<ReplayPoint> {
    const { client } = standby.connection!;
    const where = await client.query<{ lsn: string | null }>(
      `select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end::text as lsn`,
    );
    const { systemIdentifier, timeline } = await identifySystem(standby.connection!);
    if (systemIdentifier !== this.#systemIdentifier)
      throw barrierOfOtherCluster(this.#ports.settings.name, standby.target);
    if (standby.history?.timeline !== timeline) {
      const history =
        timeline > 1
          ? (await client.query<{ content: string }>(`TIMELINE_HISTORY ${timeline}`)).rows[0]?.content
          : undefined;
      standby.history = { timeline, switches: parseTimelineHistory(timeline, history ?? '').switches };
    }
    return { ...standby.history, lsn: readLsn(where.rows[0]?.lsn ?? '') };
  }

  #tell(): void {
    const { settings, state, warn } = this.#ports;
    const { last = this.#released } = this.#boundaries;
    const passed = this.#standbys.filter(({ passedOver }) => passedOver);
    state.raise('BARRIER_PASSED', passed.length === 0 ? undefined : passedOver(settings, passed, last), warn);
    const stranger = this.#standbys.find(({ fault }) => fault?.code === BARRIER_OTHER_CLUSTER);
    state.raise(BARRIER_OTHER_CLUSTER, stranger?.fault, warn);
    const waitsForMs = this.#waitsSinceMs === undefined ? 0 : steadyMs() - this.#waitsSinceMs;
    const isLate = this.#boundaries.size > 0 && last !== undefined && waitsForMs >= TELL_AFTER_MS;
    const culprits = isLate ? this.#standbys.filter((standby) => isAwaited(standby, last)) : [];
    state.raise('BARRIER_HELD', culprits.length === 0 ? undefined : held(settings, culprits, last), warn);
  }
}

const isAwaited = ({ point, passedOver }: Asked, last: Boundary): boolean =>
  !passedOver && (point === undefined || behindBytes(last, point) > 0);

async function disconnect(standby: Asked): Promise<void> {
  const { connection } = standby;
  standby.connection = undefined;
  if (connection !== undefined) await closeConnection(connection.client);
}

/** A connection that a network swallows gives no error. */
async function answered<T>(work: Promise<T>, { name }: DatabaseSettings, target: Target): Promise<T> {
  const done = new AbortController();
  const limit = sleep(ANSWER_LIMIT_MS, undefined, { signal: done.signal, ref: false }).then(() => {
    throw new TailraceError(
      `database "${name}": ${formatTarget(target)} did not answer for ${ANSWER_LIMIT_MS / 1000} s`,
      { code: 'CONNECTION_SILENT', kind: 'retryable' },
    );
  });
  work.catch(() => undefined);
  limit.catch(() => undefined);
  try {
    return await Promise.race([work, limit]);
  } finally {
    done.abort();
  }
}

const describe = (settings: DatabaseSettings, { target, point, fault }: Asked, last?: Boundary): string => {
  const at = formatTarget(target);
  if (fault !== undefined) return `${at} (${withoutName(settings.name, fault.message)})`;
  if (point === undefined || last === undefined) return at;
  return `${at} (${behindBytes(last, point)} bytes behind)`;
};

const held = (settings: DatabaseSettings, culprits: readonly Asked[], last: Boundary | undefined) =>
  new TailraceError(
    `database "${settings.name}": changes wait until they are replayed by ${culprits.map((standby) => describe(settings, standby, last)).join(', ')} (barrier)`,
    {
      code: 'BARRIER_HELD',
      kind: 'retryable',
      hint: 'start that standby, and its replay (SELECT pg_wal_replay_resume();); barrier_timeout says how long one that stands still is waited for',
    },
  );

const passedOver = (settings: DatabaseSettings, passed: readonly Asked[], last: Boundary | undefined) =>
  new TailraceError(
    `database "${settings.name}": changes are delivered that are not replayed yet by ${passed.map((standby) => describe(settings, standby, last)).join(', ')} (barrier_timeout): a failover to it may take back what consumers have`,
    {
      code: 'BARRIER_PASSED',
      kind: 'retryable',
      hint: 'start that standby, and its replay (SELECT pg_wal_replay_resume();), or take it out of barrier; it counts again once it has caught up',
    },
  );

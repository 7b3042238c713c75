// One queue of the endpoint: what it accepted, when, and who waits for it.
import { wallClockMs } from '../clock.ts';
import { QueueAccounting } from './accounting.ts';
import { LatencyRecord } from './latency-record.ts';
import type { QueueMode, QueueReport } from './protocol.ts';

/** A queue that accepts nothing new for so long will not: a bench that waits for a lost change would never end. */
const STANDSTILL_MS = 300_000;

const TIMELINE_MS = 100;

export class BenchQueue {
  mode: QueueMode = 'serving';
  requests = 0;
  throttled = 0;
  cut = 0;
  readonly #timeline: number[] = [];
  readonly #cpuAtReset: NodeJS.CpuUsage;
  readonly #accounting = new QueueAccounting();
  /** Commit time from which on latencies are kept. */
  #sampleFromMs = Infinity;
  #latency = new LatencyRecord();
  readonly #waiting: { accepted: number; answer: () => void }[] = [];
  #first = { acceptedMs: Number.NaN, commitMs: Number.NaN };
  #last = { acceptedMs: Number.NaN, commitMs: Number.NaN };
  /** When the last of those waited for was reached. */
  #cpuUs: number | undefined;

  constructor(cpuAtReset: NodeJS.CpuUsage) {
    this.#cpuAtReset = cpuAtReset;
  }

  /** Begins a new measurement of latencies, of changes committed at or after this time. */
  sample(fromMs: number): void {
    this.#sampleFromMs = fromMs;
    this.#latency = new LatencyRecord();
  }

  /** `body`: as it stands in the request, or unescaped. `afterMs`: it is accepted so much later than now. */
  accept(group: string, dedup: string, body: string, afterMs = 0): void {
    const commitMs = this.#accounting.accept(group, dedup, body);
    if (commitMs === undefined) return;
    const acceptedMs = wallClockMs() + afterMs;
    this.#last.acceptedMs = Math.max(acceptedMs, this.#last.acceptedMs || 0);
    const sinceFirstMs = Math.max(0, acceptedMs - (this.#first.acceptedMs || acceptedMs));
    this.#timeline[Math.floor(sinceFirstMs / TIMELINE_MS)] = this.#accounting.accepted;
    this.#last.commitMs = commitMs;
    if (!(acceptedMs >= this.#first.acceptedMs)) this.#first = { acceptedMs, commitMs };
    if (commitMs >= this.#sampleFromMs) this.#latency.add(acceptedMs - commitMs);
    const { accepted: count } = this.#accounting;
    if (!this.#waiting.some(({ accepted }) => count >= accepted)) return;
    if (afterMs === 0) this.#answerWaiting();
    else setTimeout(() => this.#answerWaiting(), afterMs);
  }

  /** Resolves once so many changes were accepted, or when nothing new comes any more. */
  async reached(accepted: number): Promise<void> {
    let seen = this.#accounting.accepted;
    const watch = setInterval(() => {
      if (this.#accounting.accepted === seen) this.#answerWaiting(Infinity);
      seen = this.#accounting.accepted;
    }, STANDSTILL_MS);
    await new Promise<void>((answer) => {
      this.#waiting.push({ accepted, answer });
      this.#answerWaiting();
    });
    clearInterval(watch);
  }

  report(): QueueReport {
    return {
      ...this.#accounting.figures(),
      requests: this.requests,
      throttled: this.throttled,
      cut: this.cut,
      timeline: Array.from(this.#timeline, (_, i) => this.#timeline[i] ?? 0),
      firstAcceptedMs: this.#first.acceptedMs,
      lastAcceptedMs: this.#last.acceptedMs,
      firstCommitMs: this.#first.commitMs,
      lastCommitMs: this.#last.commitMs,
      cpuUs: this.#cpuUs ?? this.#cpuSinceReset(),
      latency: this.#latency.figures(),
    };
  }

  #cpuSinceReset(): number {
    const { user, system } = process.cpuUsage(this.#cpuAtReset);
    return user + system;
  }

  #answerWaiting(reached = this.#accounting.accepted): void {
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      const { accepted, answer } = this.#waiting[i]!;
      if (reached < accepted) continue;
      this.#waiting.splice(i, 1);
      this.#cpuUs = this.#cpuSinceReset();
      answer();
    }
  }
}

// One queue of the endpoint: what it accepted, when, and who waits for it.
import { wallClockMs } from '../clock.ts';
import { QueueAccounting } from './accounting.ts';
import { LatencyRecord } from './latency-record.ts';
import type { QueueMode, QueueReport } from './protocol.ts';

export class BenchQueue {
  mode: QueueMode = 'serving';
  requests = 0;
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

  accept(group: string, dedup: string, body: string): void {
    const commitMs = this.#accounting.accept(group, dedup, body);
    if (commitMs === undefined) return;
    const acceptedMs = wallClockMs();
    this.#last.acceptedMs = acceptedMs;
    this.#last.commitMs = commitMs;
    if (this.#accounting.accepted === 1) this.#first = { acceptedMs, commitMs };
    if (commitMs >= this.#sampleFromMs) this.#latency.add(acceptedMs - commitMs);
    if (this.#waiting.length > 0) this.#answerWaiting();
  }

  /** Resolves once so many changes were accepted. */
  reached(accepted: number): Promise<void> {
    return new Promise((answer) => {
      this.#waiting.push({ accepted, answer });
      this.#answerWaiting();
    });
  }

  report(): QueueReport {
    return {
      ...this.#accounting.figures(),
      requests: this.requests,
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

  #answerWaiting(): void {
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      const { accepted, answer } = this.#waiting[i]!;
      if (this.#accounting.accepted < accepted) continue;
      this.#waiting.splice(i, 1);
      this.#cpuUs = this.#cpuSinceReset();
      answer();
    }
  }
}

// Consumers of a pull stream as users write them: they fetch, work, acknowledge, and fail in all the ways that workers do.
import type { ServiceProcess } from './service.ts';
import type { ChangeMessage } from './workload.ts';

export type PulledMessage = { readonly ack_id: string; readonly data: ChangeMessage };

/** Speaks to one stream; throws when nobody answers or the answer is no 200. */
export class PullClient {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(apiUrl: string, stream: string, { token }: { readonly token?: string } = {}) {
    this.#url = `${apiUrl}/api/http_pull_consumers/${stream}`;
    this.#headers = {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    };
  }

  async receive(
    options: { readonly batchSize?: number; readonly waitFor?: string } = {},
    signal?: AbortSignal,
  ): Promise<PulledMessage[]> {
    const { batchSize = 1, waitFor } = options;
    const body = { batch_size: batchSize, ...(waitFor === undefined ? {} : { wait_for: waitFor }) };
    const answer = (await this.#post('receive', body, signal)) as { data: PulledMessage[] };
    return answer.data;
  }

  async ack(...messages: readonly PulledMessage[]): Promise<void> {
    await this.#post('ack', { ack_ids: messages.map(({ ack_id: id }) => id) });
  }

  async nack(...messages: readonly PulledMessage[]): Promise<void> {
    await this.#post('nack', { ack_ids: messages.map(({ ack_id: id }) => id) });
  }

  async #post(verb: string, body: unknown, signal?: AbortSignal): Promise<unknown> {
    const response = await fetch(`${this.#url}/${verb}`, {
      method: 'POST',
      headers: this.#headers,
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${verb}: ${response.status} ${text}`);
    return JSON.parse(text);
  }
}

export type WorkerPlan = {
  readonly count: number;
  readonly random: () => number;
  /** Where the service is now; undefined while it is down. */
  client(): PullClient | undefined;
  /** The work: called before the acknowledgement. `client` is the one that the message came from. */
  process(message: ChangeMessage, client: PullClient): void;
  /** The acknowledgement of so many messages was answered. */
  acknowledged?(count: number, client: PullClient): void;
};

/** What happened, for a test to judge. */
export type WorkerLog = {
  received: number;
  /** Given back, left to time out, or lost with a worker that died: each may come once more. */
  failed: number;
  /** Acknowledgements that got no answer. */
  unanswered: number;
  /** Messages that came again although their acknowledgement had been answered. */
  readonly returned: string[];
};

/** Share of the messages that a worker gives back, or forgets until they time out. */
const NACKED = 0.1;
const FORGOTTEN = 0.01;
/** Share of the requests after which a worker dies, with what it has. */
const DEATHS = 0.02;
const MAX_BATCH = 40;

/** Runs `count` workers until `signal` aborts. */
export async function runWorkers(plan: WorkerPlan, signal: AbortSignal): Promise<WorkerLog> {
  const log: WorkerLog = { received: 0, failed: 0, unanswered: 0, returned: [] };
  const answered = new Set<string>();
  const work = async (): Promise<void> => {
    const client = plan.client();
    // The service is down: a worker looks again soon.
    if (client === undefined) return void (await new Promise((done) => setTimeout(done, 20)));
    const batchSize = 1 + Math.floor(plan.random() * MAX_BATCH);
    const messages = await client.receive({ batchSize, waitFor: '2s' }, signal);
    log.received += messages.length;
    for (const { data } of messages) {
      const key = data.metadata.idempotency_key;
      if (answered.has(key)) log.returned.push(key);
    }
    if (plan.random() < DEATHS) return void (log.failed += messages.length);
    const done: PulledMessage[] = [];
    const back: PulledMessage[] = [];
    for (const message of messages) {
      const chance = plan.random();
      if (chance < NACKED) back.push(message);
      else if (chance < NACKED + FORGOTTEN) log.failed++;
      else done.push(message);
    }
    for (const { data } of done) plan.process(data, client);
    log.failed += back.length;
    if (back.length > 0) await client.nack(...back);
    if (done.length === 0) return;
    log.unanswered += done.length;
    await client.ack(...done);
    log.unanswered -= done.length;
    plan.acknowledged?.(done.length, client);
    // A service that was killed and came back in between may have let the lease end: only its own answers count.
    if (plan.client() === client) for (const { data } of done) answered.add(data.metadata.idempotency_key);
  };
  const worker = async (): Promise<void> => {
    while (!signal.aborted) await work().catch(() => undefined);
  };
  await Promise.all(Array.from({ length: plan.count }, worker));
  return log;
}

/** Workers of a service that is killed and started again, and what each of its lives left them with. */
export type WorkersOverLives = {
  /** By life: messages that were worked on, and whose acknowledgement had no answer. */
  readonly unanswered: readonly number[];
  /** What happened, once `signal` has aborted. */
  readonly ended: Promise<WorkerLog>;
  /** The service was started: they find it as soon as its API listens, if it comes to that. */
  follow(service: ServiceProcess, life: number): void;
};

export function workersOverLives(
  plan: {
    readonly count: number;
    readonly random: () => number;
    readonly stream: string;
    readonly token: string;
    process(message: ChangeMessage, life: number): void;
  },
  signal: AbortSignal,
): WorkersOverLives {
  let followed: ServiceProcess | undefined;
  let client: PullClient | undefined;
  const lives = new Map<PullClient, number>();
  const unanswered: number[] = [];
  const add = (life: number, count: number): void =>
    void (unanswered[life] = (unanswered[life] ?? 0) + count);
  const ended = runWorkers(
    {
      count: plan.count,
      random: plan.random,
      client: () => client,
      process(message, from) {
        const life = lives.get(from)!;
        add(life, 1);
        plan.process(message, life);
      },
      acknowledged: (count, from) => add(lives.get(from)!, -count),
    },
    signal,
  );
  const follow = async (service: ServiceProcess, life: number): Promise<void> => {
    client = undefined;
    followed = service;
    const url = await service.apiUrl();
    if (followed !== service) return;
    client = new PullClient(url, plan.stream, { token: plan.token });
    lives.set(client, life);
  };
  return {
    unanswered,
    ended,
    // A service may be killed before its API listens.
    follow: (service, life) => void follow(service, life).catch(() => undefined),
  };
}

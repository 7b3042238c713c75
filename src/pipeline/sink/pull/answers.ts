// What consumers ask of a pull sink, answered by its runner, or by what is on disk while the sink is paused.
import { setTimeout as sleep } from 'node:timers/promises';
import { wallMs } from '../../../core/clock.ts';
import { TailraceError } from '../../../core/errors.ts';
import type { PullPort } from '../../../sinks/sink.ts';
import { leaseFileOf, openLeaseStore } from '../../../store/leases.ts';
import type { SinkAnswer, SinkRequest } from '../requests.ts';

export type PullRequest = Extract<SinkRequest, { readonly type: 'receive' | 'ack' | 'nack' }>;

export async function answerPull(
  pull: PullPort,
  request: PullRequest,
  signal: AbortSignal,
): Promise<SinkAnswer<PullRequest>> {
  switch (request.type) {
    case 'receive': {
      const messages = await pull.receive(request, signal);
      return messages === undefined ? NO_MESSAGES : { reply: { messages }, transfer: [messages.buffer] };
    }
    case 'ack':
      await pull.ack(request.ids);
      return DONE;
    case 'nack':
      await pull.nack(request.ids);
      return DONE;
    default:
      return request satisfies never;
  }
}

/**
 * Of a sink that is paused: there is nothing to receive, but workers may finish what they have. `signal` aborts the wait
 * for messages, also when the sink goes on. Call it only while no runner has the leases.
 */
export async function answerPullPaused(
  ledgerFile: string,
  request: PullRequest,
  signal: AbortSignal,
): Promise<SinkAnswer<PullRequest>> {
  if (request.type === 'receive') {
    await sleep(request.waitMs, undefined, { signal }).catch(() => undefined);
    return NO_MESSAGES;
  }
  const leases = openLeaseStore(leaseFileOf(ledgerFile));
  try {
    const asked = new Set(request.ids);
    const known = leases.load().flatMap(({ id }) => (asked.has(id) ? [id] : []));
    if (request.type === 'nack') leases.remove(known);
    else leases.save(known, { visibleAtMs: wallMs(), acked: true });
  } finally {
    leases.close();
  }
  return DONE;
}

const NO_MESSAGES: SinkAnswer<PullRequest> = { reply: { messages: undefined } };
const DONE: SinkAnswer<PullRequest> = { reply: {} };

export const notPulled = (sink: string): TailraceError =>
  new TailraceError(`the sink "${sink}" is not one to pull from`, { code: 'NOT_PULLED', kind: 'rejected' });

export const NOT_RUNNING = 'SINK_NOT_RUNNING';

/** It will run in a moment, or once its database is there. */
export const notRunning = (sink: string): TailraceError =>
  new TailraceError(`the sink "${sink}" does not run yet`, {
    code: NOT_RUNNING,
    kind: 'retryable',
    hint: 'ask again; `tailrace status` says what it waits for',
  });

export const halted = (sink: string, reason: string | undefined): TailraceError =>
  new TailraceError(`the sink "${sink}" is halted: ${reason ?? 'for a reason not known'}`, {
    code: 'SINK_HALTED',
    kind: 'retryable',
    hint: '`tailrace status` names the cure; ask again then',
  });

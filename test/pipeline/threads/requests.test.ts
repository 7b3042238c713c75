import { once } from 'node:events';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { aborted } from '../../../src/core/abort.ts';
import { TailraceError } from '../../../src/core/errors.ts';
import {
  answerRequests,
  ThreadRequests,
  type Answer,
  type ReplyMessage,
  type RequestAnswerer,
} from '../../../src/pipeline/threads/requests.ts';
import { waitFor } from '../../support/wait.ts';

const ports: MessagePort[] = [];
afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

/** Both sides, with the boundary that threads have: everything is cloned or transferred. */
function channel(handle: (to: string, request: string, signal: AbortSignal) => Promise<Answer>): {
  requests: ThreadRequests<string>;
  answerer: RequestAnswerer<string>;
} {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  const requests = new ThreadRequests<string>((message) => port1.postMessage(message));
  port1.on('message', (message: ReplyMessage) => requests.settle(message));
  const answerer = answerRequests<string>(
    (message, transfer) => port2.postMessage(message, [...transfer]),
    handle,
  );
  port2.on('message', (message: Parameters<typeof answerer.accept>[0]) => answerer.accept(message));
  return { requests, answerer };
}

test('each question gets its own answer, in whatever order they come', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { requests } = channel(async (to, request) => {
    if (request === 'slow') await promise;
    return { reply: `${to}: ${request}` };
  });
  const slow = requests.ask('users', 'slow');
  expect(await requests.ask('orders', 'quick')).toBe('orders: quick');
  resolve();
  expect(await slow).toBe('users: slow');
});

test('an error arrives with its code and cure, and one that nobody foresaw as an internal one', async () => {
  const { requests } = channel(async (_to, request) => {
    if (request === 'unknown') throw new Error('surprise');
    throw new TailraceError('no', { code: 'NO', kind: 'retryable', hint: 'ask later' });
  });
  const error: unknown = await requests.ask('users', 'known').catch((error: unknown) => error);
  expect(error).toBeInstanceOf(TailraceError);
  expect(error).toMatchObject({ message: 'no', code: 'NO', kind: 'retryable', hint: 'ask later' });
  await expect(requests.ask('users', 'unknown')).rejects.toMatchObject({
    code: 'INTERNAL',
    message: 'surprise',
  });
});

test('an aborted question is cancelled where it is answered, and rejects with the reason', async () => {
  let cancelled = false;
  let asked = false;
  const { requests } = channel(async (_to, _request, signal) => {
    asked = true;
    await aborted(signal);
    cancelled = true;
    return { reply: 'too late' };
  });
  const controller = new AbortController();
  const question = requests.ask('users', 'wait', controller.signal);
  await waitFor(() => asked, 'the question to arrive');
  controller.abort(new Error('the client has gone'));
  await expect(question).rejects.toThrow('the client has gone');
  await waitFor(() => cancelled, 'the answering side to hear of it');
  await expect(requests.ask('users', 'wait', controller.signal)).rejects.toThrow('the client has gone');
});

test('bytes of an answer move, they are not copied', async () => {
  let sent: ArrayBuffer | undefined;
  const { requests } = channel(async () => {
    const bytes = new TextEncoder().encode('row');
    sent = bytes.buffer;
    return { reply: bytes, transfer: [bytes.buffer] };
  });
  const bytes = (await requests.ask('users', 'bytes')) as Uint8Array;
  expect(new TextDecoder().decode(bytes)).toBe('row');
  expect(sent!.byteLength).toBe(0);
});

test('when the answering thread ends, everything outstanding and everything later is rejected', async () => {
  const { requests } = channel(async (_to, _request, signal) => {
    await aborted(signal);
    return { reply: undefined };
  });
  const questions = [requests.ask('users', 'a'), requests.ask('users', 'b')];
  requests.end(new TailraceError('ended', { code: 'ENDED', kind: 'retryable' }));
  for (const question of [...questions, requests.ask('users', 'c')]) {
    await expect(question).rejects.toMatchObject({ code: 'ENDED' });
  }
});

test('closing ends long questions at once, with the answer that they give then', async () => {
  let asked = 0;
  const { requests, answerer } = channel(async (_to, _request, signal) => {
    asked++;
    await aborted(signal);
    return { reply: [] };
  });
  const question = requests.ask('users', 'wait');
  await waitFor(() => asked === 1, 'the question to arrive');
  await answerer.close();
  expect(await question).toEqual([]);
  expect(await requests.ask('users', 'after')).toEqual([]);
});

test('a port that closes with the question on its way leaves nobody waiting once the thread is said to have ended', async () => {
  const { requests } = channel(async () => ({ reply: 'never' }));
  const port = ports.at(-1)!;
  const closed = once(port, 'close');
  port.close();
  await closed;
  const question = requests.ask('users', 'lost');
  requests.end(new TailraceError('ended', { code: 'ENDED', kind: 'retryable' }));
  await expect(question).rejects.toMatchObject({ code: 'ENDED' });
});

test('a question that cannot be cloned is refused, and holds no place among those without an answer', async () => {
  const requests = new ThreadRequests<unknown>((message) => void structuredClone(message));
  for (let i = 0; i < 10_001; i++) {
    const refusal = requests.ask('users', () => {});
    await expect(refusal).rejects.toThrow('could not be cloned');
  }
});

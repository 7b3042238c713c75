// An HTTP proxy in front of an SQS or SNS emulator that breaks things on the wire, and knows what the emulator accepted.
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { ServerFault } from '../sink-suite.ts';
import { sqsWire } from './sqs-wire.ts';

export type BatchEntry = {
  readonly Id: string;
  readonly MessageBody: string;
  readonly MessageGroupId?: string;
  readonly MessageDeduplicationId?: string;
};

export type ProxiedRequest = {
  /** `SendMessageBatch`, `GetQueueUrl`, … */
  readonly action: string;
  /** The name of the queue or topic; empty when the request names none. */
  readonly queue: string;
  /** Of a batch; empty for other actions. */
  readonly entries: readonly BatchEntry[];
};

export type ErrorFault = {
  readonly kind: 'error';
  readonly status: number;
  readonly code: string;
  readonly message?: string;
};

export type Fault =
  /** Entries are refused here; the others go on to the emulator. */
  | {
      readonly kind: 'entries';
      readonly refuse: (entry: BatchEntry, index: number) => boolean;
      readonly senderFault: boolean;
      readonly code?: string;
    }
  /** The whole request is refused: throttling (400 ThrottlingException), 500 InternalError, 403 AccessDenied, … */
  | ErrorFault
  /** The connection is reset, before the emulator sees the request or after it has stored it. */
  | { readonly kind: 'reset'; readonly when: 'before' | 'after' }
  /** No answer, ever. */
  | { readonly kind: 'hang' }
  /** An answer that comes byte by byte and has no end. */
  | { readonly kind: 'trickle' }
  /** 200 with a body that is no answer; the emulator sees nothing. */
  | { readonly kind: 'malformed'; readonly body: string }
  /** The emulator's answer, changed. */
  | { readonly kind: 'rewrite'; readonly rewrite: (reply: BatchReply) => BatchReply };

export type BatchReply = {
  Successful?: { Id: string }[];
  Failed?: { Id: string; SenderFault: boolean; Code: string; Message?: string }[];
};

/** A service's batches, as SQS' own entries and outcomes say them. */
export type Wire = {
  readonly contentType: string;
  readonly batchAction: string;
  read(headers: IncomingMessage['headers'], payload: Buffer): ProxiedRequest;
  /** The same request with these of its entries only. */
  withEntries(payload: Buffer, entries: readonly BatchEntry[]): Buffer;
  readReply(payload: Buffer): BatchReply;
  writeReply(reply: BatchReply): string;
  writeError(fault: ErrorFault): string;
};

export type AcceptedMessage = {
  readonly queue: string;
  readonly body: string;
  readonly group: string | undefined;
  readonly dedup: string | undefined;
};

export type FaultProxy = {
  readonly url: string;
  /** Every request asks it: what shall go wrong? Undefined: nothing. */
  decide: ((request: ProxiedRequest) => Fault | undefined) | undefined;
  /** The next `times` batch requests fail like this (before `decide` is asked). */
  failNext(fault: Fault, times?: number): void;
  /** No more faults; requests that hang are answered no more, new ones are. */
  heal(): void;
  /** Milliseconds that every request waits before it goes on. */
  latencyMs: number;
  /** Ends every connection and refuses new ones, until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
  /** Batch requests and entries seen; entries that the emulator said to have accepted. */
  readonly counts: { requests: number; entries: number; accepted: number; hanging: number };
  /** What the emulator accepted, in that order. A FIFO queue deduplicates: a repeat counts here, not in the queue. */
  readonly accepted: readonly AcceptedMessage[];
  /** Empties `accepted`: for runs that would not fit into memory. */
  forget(): void;
  stop(): Promise<void>;
};

/** Between two bytes of an answer that trickles. */
const TRICKLE_MS = 50;

export async function startFaultProxy(upstream: string, wire: Wire = sqsWire): Promise<FaultProxy> {
  const target = new URL(upstream);
  const planned: Fault[] = [];
  const accepted: AcceptedMessage[] = [];
  const counts = { requests: 0, entries: 0, accepted: 0, hanging: 0 };

  const forward = (request: IncomingMessage, payload: Buffer): Promise<{ status: number; body: Buffer }> =>
    new Promise((done, fail) => {
      const headers = { ...request.headers, 'content-length': String(payload.length) };
      const onward = httpRequest(
        { host: target.hostname, port: target.port, path: request.url, method: request.method, headers },
        (answer) =>
          void buffer(answer).then((body) => done({ status: answer.statusCode ?? 500, body }), fail),
      );
      onward.on('error', fail);
      onward.end(payload);
    });

  const sendBatch = async (
    request: IncomingMessage,
    payload: Buffer,
    { queue, entries }: ProxiedRequest,
  ): Promise<{ status: number; body: string; reply: BatchReply }> => {
    if (entries.length === 0) {
      const reply: BatchReply = { Successful: [], Failed: [] };
      return { status: 200, reply, body: wire.writeReply(reply) };
    }
    const { status, body } = await forward(request, payload);
    if (status !== 200) return { status, reply: {}, body: body.toString() };
    const reply = wire.readReply(body);
    for (const { Id } of reply.Successful ?? []) {
      const entry = entries.find((entry) => entry.Id === Id)!;
      counts.accepted++;
      accepted.push({
        queue,
        body: entry.MessageBody,
        group: entry.MessageGroupId,
        dedup: entry.MessageDeduplicationId,
      });
    }
    return { status, reply, body: body.toString() };
  };

  const answer = (response: ServerResponse, status: number, body: string): void =>
    void response.writeHead(status, { 'content-type': wire.contentType }).end(body);

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const payload = await buffer(request);
    const seen = wire.read(request.headers, payload);
    const { entries } = seen;
    const isBatch = seen.action === wire.batchAction;
    if (isBatch) {
      counts.requests++;
      counts.entries += entries.length;
    }
    if (proxy.latencyMs > 0) await new Promise((done) => setTimeout(done, proxy.latencyMs));
    const fault = (isBatch ? planned.shift() : undefined) ?? proxy.decide?.(seen);
    switch (fault?.kind) {
      case 'error':
        response.setHeader(
          'x-amzn-query-error',
          `${fault.code};${fault.status < 500 ? 'Sender' : 'Receiver'}`,
        );
        return answer(response, fault.status, wire.writeError(fault));
      case 'malformed':
        return answer(response, 200, fault.body);
      case 'hang':
        return hang(request);
      case 'trickle': {
        hang(request);
        response.writeHead(200, { 'content-type': wire.contentType });
        const timer = setInterval(() => response.write(' '), TRICKLE_MS);
        return void request.socket.once('close', () => clearInterval(timer));
      }
      case 'reset':
        if (fault.when === 'after') await sendBatch(request, payload, seen);
        return void request.socket.resetAndDestroy();
      case 'entries': {
        const refused = entries.filter(fault.refuse);
        const rest = entries.filter((entry) => !refused.includes(entry));
        const { status, reply } = await sendBatch(request, wire.withEntries(payload, rest), {
          ...seen,
          entries: rest,
        });
        const failures = refused.map(({ Id }) => ({
          Id,
          SenderFault: fault.senderFault,
          Code: fault.code ?? (fault.senderFault ? 'InvalidMessageContents' : 'InternalError'),
          Message: 'refused by the proxy',
        }));
        return answer(
          response,
          status,
          wire.writeReply({ ...reply, Failed: [...(reply.Failed ?? []), ...failures] }),
        );
      }
      case 'rewrite': {
        const { status, reply } = await sendBatch(request, payload, seen);
        return answer(response, status, wire.writeReply(fault.rewrite(reply)));
      }
      case undefined: {
        if (isBatch) {
          const { status, body } = await sendBatch(request, payload, seen);
          return answer(response, status, body);
        }
        const { status, body } = await forward(request, payload);
        return answer(response, status, body.toString());
      }
    }
  };

  const hang = (request: IncomingMessage): void => {
    counts.hanging++;
    request.socket.once('close', () => counts.hanging--);
  };

  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    serve(request, response).catch(() => request.socket.destroy());
  });
  const listen = (port: number): Promise<void> =>
    new Promise((done, fail) => server.once('error', fail).listen(port, '127.0.0.1', done));
  const close = async (): Promise<void> => {
    const closed = new Promise((done) => server.close(done));
    server.closeAllConnections();
    await closed;
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;

  const proxy: FaultProxy = {
    url: `http://127.0.0.1:${port}`,
    decide: undefined,
    failNext(fault, times = 1) {
      for (let i = 0; i < times; i++) planned.push(fault);
    },
    heal() {
      planned.length = 0;
      proxy.decide = undefined;
    },
    latencyMs: 0,
    down: close,
    up: () => listen(port),
    counts,
    accepted,
    forget: () => void (accepted.length = 0),
    stop: () => (server.listening ? close() : Promise.resolve()),
  };
  return proxy;
}

/** A fault of the suite, as SQS and SNS have it. */
export function asFault(fault: ServerFault): Fault {
  switch (fault.kind) {
    case 'refuse':
      return {
        kind: 'entries',
        refuse: (_, index) => index === fault.index,
        senderFault: fault.lasting,
      };
    case 'unavailable':
      return { kind: 'error', status: 503, code: 'ServiceUnavailable' };
    case 'denied':
      return { kind: 'error', status: 403, code: 'AccessDenied', message: 'not authorized' };
    case 'garbage':
      return { kind: 'malformed', body: '<html>It works!</html>' };
    case 'hang':
    case 'trickle':
    case 'reset':
      return fault;
    default:
      return fault satisfies never;
  }
}

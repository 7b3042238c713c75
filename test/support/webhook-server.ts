// An HTTP endpoint for webhooks that a test controls: it remembers what it took, and breaks on the wire when told to.
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';

export type WebhookRequest = {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** As it came, before any decompression. */
  readonly bytes: Buffer;
  readonly body: string;
  /** The texts of the messages: of `data`, or the body itself. */
  readonly messages: readonly string[];
};

export type WebhookFault =
  /** An answer instead of the endpoint's own; it takes nothing, but for a 2xx with `takes`. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      /** Which messages it takes all the same; default: none. */
      readonly takes?: (message: string, index: number) => boolean;
    }
  /** No answer, ever. */
  | { readonly kind: 'hang' }
  /** The answer begins, and comes byte by byte for ever. */
  | { readonly kind: 'trickle' }
  /** A chunked 200 that ends in the middle; the messages are taken or not. */
  | { readonly kind: 'truncate'; readonly takes: boolean }
  | { readonly kind: 'reset'; readonly when: 'before' | 'after' };

export type WebhookServer = {
  readonly url: string;
  readonly requests: readonly WebhookRequest[];
  /** Texts of the messages taken, in their order, repeats too. */
  readonly taken: readonly string[];
  /** Every request asks it what shall go wrong; undefined: nothing. */
  decide: ((request: WebhookRequest) => WebhookFault | undefined) | undefined;
  failNext(fault: WebhookFault): void;
  /** Requests that are not answered, or not to their end. */
  readonly hanging: number;
  /** Connections opened so far. */
  readonly connections: number;
  /** Ends every connection and refuses new ones, until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
  /** Empties `requests` and `taken`: for runs that would not fit into memory. */
  forget(): void;
  stop(): Promise<void>;
};

const TRICKLE_MS = 20;

/** On a free port of the loopback; with `tls`, over https. */
export async function startWebhookServer(
  options: { readonly tls?: ServerOptions } = {},
): Promise<WebhookServer> {
  const requests: WebhookRequest[] = [];
  const taken: string[] = [];
  const planned: WebhookFault[] = [];
  let hanging = 0;
  let connections = 0;

  const hang = (response: ServerResponse): void => {
    hanging++;
    response.once('close', () => hanging--);
  };

  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await readRequest(incoming);
    requests.push(request);
    const fault = planned.shift() ?? server.decide?.(request);
    switch (fault?.kind) {
      case undefined:
        taken.push(...request.messages);
        return void response.writeHead(200).end();
      case 'answer':
        taken.push(...request.messages.filter(fault.takes ?? (() => false)));
        return void response.writeHead(fault.status, fault.headers).end(fault.body);
      case 'hang':
        return hang(response);
      case 'trickle': {
        hang(response);
        response.writeHead(200, { 'content-type': 'application/json' }).write('{');
        const timer = setInterval(() => response.write(' '), TRICKLE_MS);
        return void response.once('close', () => clearInterval(timer));
      }
      case 'truncate':
        if (fault.takes) taken.push(...request.messages);
        response.writeHead(200).write('{"batchItem');
        return void setImmediate(() => incoming.socket.destroy());
      case 'reset':
        if (fault.when === 'after') taken.push(...request.messages);
        return void incoming.socket.resetAndDestroy();
    }
  };

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response).catch(() => request.socket.destroy());
  };
  const http = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener);
  http.on('connection', () => connections++);
  const listen = (port: number): Promise<void> =>
    new Promise((done, fail) => http.once('error', fail).listen(port, '127.0.0.1', done));
  const close = async (): Promise<void> => {
    const closed = new Promise((done) => http.close(done));
    http.closeAllConnections();
    await closed;
  };
  await listen(0);
  const { port } = http.address() as AddressInfo;

  const server: WebhookServer = {
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    requests,
    taken,
    decide: undefined,
    failNext: (fault) => void planned.push(fault),
    get hanging() {
      return hanging;
    },
    get connections() {
      return connections;
    },
    down: close,
    up: () => listen(port),
    forget() {
      requests.length = 0;
      taken.length = 0;
    },
    stop: () => (http.listening ? close() : Promise.resolve()),
  };
  return server;
}

async function readRequest(incoming: IncomingMessage): Promise<WebhookRequest> {
  const bytes = await buffer(incoming);
  const isCompressed = incoming.headers['content-encoding'] === 'gzip';
  const body = (isCompressed ? gunzipSync(bytes) : bytes).toString();
  return { path: incoming.url ?? '', headers: incoming.headers, bytes, body, messages: messagesIn(body) };
}

const BATCH = /^\{"data":\[(.*)\]\}$/s;

/** The messages as they were written: parsing would lose digits and escapes. */
function messagesIn(body: string): readonly string[] {
  const list = BATCH.exec(body)?.[1];
  if (list === undefined) return [body];
  JSON.parse(body);
  const messages: string[] = [];
  let depth = 0;
  let start = 0;
  let inString = false;
  for (let at = 0; at < list.length; at++) {
    const character = list[at]!;
    if (inString) {
      if (character === '\\') at++;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') depth--;
    else if (character === ',' && depth === 0) {
      messages.push(list.slice(start, at));
      start = at + 1;
    }
  }
  return [...messages, list.slice(start)];
}

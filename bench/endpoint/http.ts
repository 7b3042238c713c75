// HTTP/1.1 for requests whose length is known, and no more: Node's own server would be half of the endpoint's work,
// which shares two cores with what is measured. Hot file. https://www.rfc-editor.org/rfc/rfc9112
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

/** What the endpoint shows to clients that speak TLS; PEM. */
export type ServerCertificate = { readonly cert: string; readonly key: string };

export type BenchRequest = {
  /** The request's head as it came, latin1. */
  readonly head: string;
  readonly body: string;
};

/** Answers with JSON; ASCII only. */
export type Reply = {
  readonly send: (status: number, json: string) => void;
  /** Leaves the request without an answer, until the connection is cut. */
  readonly socket: Socket;
};

const HEAD_END = '\r\n\r\n';
const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  503: 'Service Unavailable',
};

/** Listens on a free port of the loopback, with a certificate over TLS; returns the URL. */
export async function startHttpServer(
  serve: (request: BenchRequest, reply: Reply) => void,
  certificate?: ServerCertificate,
): Promise<string> {
  const converse = (socket: Socket): void => conversation(socket, serve);
  const server: Server =
    certificate === undefined
      ? createServer({ noDelay: true }, converse)
      : createTlsServer({ ...certificate, noDelay: true }, converse);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
}

function conversation(socket: Socket, serve: (request: BenchRequest, reply: Reply) => void): void {
  let pending: Buffer | undefined;
  const reply: Reply = {
    socket,
    send: (status, json) => {
      socket.write(
        `HTTP/1.1 ${status} ${REASONS[status]!}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: ${json.length}\r\n\r\n${json}`,
        'latin1',
      );
    },
  };
  socket.on('error', () => undefined); // a client that ends cuts its connections
  socket.on('data', (chunk: Buffer) => {
    const bytes = pending === undefined ? chunk : Buffer.concat([pending, chunk]);
    pending = undefined;
    let at = 0;
    while (at < bytes.length) {
      const headEnd = bytes.indexOf(HEAD_END, at);
      const head = headEnd === -1 ? '' : bytes.toString('latin1', at, headEnd);
      const bodyStart = headEnd + HEAD_END.length;
      const bodyEnd = bodyStart + contentLengthOf(head);
      if (headEnd === -1 || bodyEnd > bytes.length) {
        pending = bytes.subarray(at);
        return;
      }
      serve({ head, body: bytes.toString('utf8', bodyStart, bodyEnd) }, reply);
      at = bodyEnd;
    }
  });
}

const contentLengthOf = (head: string): number => Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);

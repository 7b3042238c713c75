// Stand-ins at Postgres' wire: a server that answers what a test tells it to, and a proxy that can fall silent.
import { connect as dial, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export type WireServer = {
  readonly port: number;
  close(): Promise<void>;
};

async function listen(server: Server, sockets: Set<Socket>): Promise<WireServer> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

/** A backend message: type, length, content. */
export function backendMessage(type: string, content: Uint8Array): Buffer {
  const message = Buffer.alloc(5 + content.length);
  message.write(type, 'latin1');
  message.writeUInt32BE(4 + content.length, 1);
  message.set(content, 5);
  return message;
}

/** `routine`: the function of the server that refused. */
export const errorResponse = (sqlState: string, text: string, routine = ''): Buffer =>
  backendMessage('E', Buffer.from(`SFATAL\0VFATAL\0C${sqlState}\0M${text}\0R${routine}\0\0`));

const READY = backendMessage('Z', Buffer.from('I'));
const ASKS_IN_CLEAR = backendMessage('R', Buffer.from([0, 0, 0, 3]));
const PASSWORD_MESSAGE = 0x70;
const AUTHENTICATED = Buffer.concat([backendMessage('R', Buffer.alloc(4)), READY]);

/**
 * Answers each simple query with what `answer` says, and ReadyForQuery after it. `onStartup` may refuse the start-up
 * packet.
 */
export async function startFakeServer(behaviour: {
  readonly onStartup?: (parameters: string) => Buffer | undefined;
  readonly answer?: (query: string, socket: Socket) => Buffer;
  /** Asks for a password in clear, and is told it. */
  readonly onPassword?: (password: string) => unknown;
}): Promise<WireServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', (startup: Buffer) => {
      const refusal = behaviour.onStartup?.(startup.toString('latin1', 8));
      if (refusal !== undefined) {
        socket.end(refusal);
        return;
      }
      socket.write(behaviour.onPassword === undefined ? AUTHENTICATED : ASKS_IN_CLEAR);
      socket.on('data', (bytes: Buffer) => {
        if (bytes[0] === PASSWORD_MESSAGE) {
          behaviour.onPassword?.(bytes.toString('utf8', 5, bytes.length - 1));
          socket.write(AUTHENTICATED);
        }
        if (bytes[0] !== 0x51) return;
        const query = bytes.toString('utf8', 5, bytes.length - 1);
        socket.write(Buffer.concat([behaviour.answer?.(query, socket) ?? Buffer.alloc(0), READY]));
      });
    });
  });
  return listen(server, sockets);
}

export type WireProxy = WireServer & {
  /** Connections made so far. */
  readonly connections: number;
  /** From now on nothing passes, and nobody is told. */
  silence(): void;
  /** A connection falls silent once the server has sent this many bytes on it. */
  silenceAfter(byteCount: number): void;
  /** New connections pass again. */
  restore(): void;
  /** `act` is waited for before the next bytes of a client that say `text` go on. */
  holdUntil(text: string, act: () => Promise<unknown>): void;
  /** Hands the server's bytes on in pieces of this many. */
  chop(byteCount: number): void;
};

/** A TCP proxy in front of a real server. */
export async function startWireProxy(target: { host: string; port: number }): Promise<WireProxy> {
  const sockets = new Set<Socket>();
  let silent = false;
  let pieceBytes = Infinity;
  /** Of the server, on one connection. */
  let allowedBytes = Infinity;
  let connections = 0;
  let held: { readonly text: string; act(): Promise<unknown> } | undefined;
  const server = createServer({ allowHalfOpen: true }, (client) => {
    connections++;
    const upstream = dial({ ...target, allowHalfOpen: true });
    // A connection that was cut stays so, as behind a firewall that has forgotten it.
    let cut = false;
    let sentBytes = 0;
    const pipe = (from: Socket, to: Socket, chopped: boolean): void => {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => undefined);
      from.on('close', () => {
        if (!cut) to.destroy();
      });
      from.on('end', () => {
        cut ||= silent;
        if (!cut) to.end();
      });
      from.on('data', (bytes: Buffer) => {
        if (chopped) sentBytes += bytes.length;
        cut ||= silent || sentBytes > allowedBytes;
        if (cut) return;
        if (!chopped && held !== undefined && bytes.includes(held.text)) {
          const hold = held;
          held = undefined;
          from.pause();
          void hold.act().finally(() => {
            to.write(bytes);
            from.resume();
          });
          return;
        }
        const size = chopped ? pieceBytes : bytes.length;
        for (let at = 0; at < bytes.length; at += size) to.write(bytes.subarray(at, at + size));
      });
    };
    pipe(client, upstream, false);
    pipe(upstream, client, true);
  });
  const listening = await listen(server, sockets);
  return {
    ...listening,
    get connections() {
      return connections;
    },
    silence: () => (silent = true),
    silenceAfter: (byteCount) => (allowedBytes = byteCount),
    restore: () => {
      silent = false;
      allowedBytes = Infinity;
    },
    holdUntil: (text, act) => (held = { text, act }),
    chop: (byteCount) => (pieceBytes = byteCount),
  };
}

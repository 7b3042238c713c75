// Connections to Postgres: ordinary ones and for replication, pinned so that one codec reads both, and plain ones for the user's SQL.
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, DatabaseError, type ClientConfig } from 'pg';
import { connectionFault, protocolFault } from './fault.ts';
import { guardMessages } from './framing.ts';
import { Login, type PgInternals } from './login.ts';
import { pinSession, PINNED_OPTIONS } from './session.ts';
import { formatTarget, type Target } from './target.ts';
import { TLS_MISSING } from './tls-fault.ts';
import { tlsOptions } from './tls.ts';
import type { DatabaseSettings } from '../settings.ts';

export { formatTarget, type Target };

const CONNECT_TIMEOUT_MS = 15_000;
const KEEP_ALIVE_DELAY_MS = 30_000;
/** Of hashing a password, as `scram_iterations` says (16+): seconds of one thread, not ours. Who asks for more means harm. */
const MOST_SCRAM_ROUNDS = 5_000_000;
/** A catalog query that takes longer is on a dead connection. */
const QUERY_TIMEOUT_MS = 60_000;
/** A connection that is not closed by then is cut: its other end may be gone. */
const CLOSE_TIMEOUT_MS = 2_000;
/** One read from the socket takes at most this much. */
const READ_BUFFER_BYTES = 256 * 1024;

/** The name under which Postgres shows our connections (`pg_stat_replication`, `synchronous_standby_names`). */
export const applicationName = (settings: DatabaseSettings): string => `tailrace:${settings.name}`;

/** A connection in replication mode, on which walsender commands and simple queries run. */
export type ReplicationConnection = {
  readonly client: Client;
  readonly settings: DatabaseSettings;
  readonly target: Target;
  /** Takes the socket away from `pg`: from now on every byte goes to `receive`. Only while no query runs. */
  takeOver(receive: (bytes: Uint8Array) => void): Socket;
};

/** An ordinary connection; a query on it may take as long as it takes. Rejects with TailraceError. */
export async function connectOrdinary(settings: DatabaseSettings, target: Target): Promise<Client> {
  return (await connect(settings, target, {})).client;
}

/** An ordinary connection on which no answer takes long. Rejects with TailraceError. */
export async function connectAsking(settings: DatabaseSettings, target: Target): Promise<Client> {
  return (await connect(settings, target, { query_timeout: QUERY_TIMEOUT_MS })).client;
}

/**
 * Works in a session of the role as it is for everybody else, with its own search_path and the like: for SQL of the user's
 * (`init_sql`), and for what makes it run (event triggers). Rejects as `work` does, or with TailraceError.
 */
export async function inPlainSession<Result>(
  settings: DatabaseSettings,
  target: Target,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const { client } = await connect(settings, target, { session: 'plain' });
  try {
    return await work(client);
  } finally {
    await closeConnection(client);
  }
}

/** Ends a connection, whatever state it is in. Never rejects. */
export async function closeConnection(client: Client): Promise<void> {
  const ended = client.end().catch(() => undefined);
  const waiting = new AbortController();
  await Promise.race([
    ended,
    sleep(CLOSE_TIMEOUT_MS, undefined, { signal: waiting.signal, ref: false }).catch(() => undefined),
  ]);
  waiting.abort();
  (client as unknown as PgInternals).connection.stream.destroy();
}

/**
 * A connection in replication mode, bound to the database. `ownEncoding`: text comes as the database has it, unconverted; `name`: under which
 * Postgres shows it.
 * Rejects with TailraceError.
 */
export async function connectReplication(
  settings: DatabaseSettings,
  target: Target,
  ownEncoding = false,
  name = applicationName(settings),
): Promise<ReplicationConnection> {
  const { client, tap } = await connect(settings, target, {
    replication: 'database',
    application_name: name,
    ownEncoding,
    query_timeout: QUERY_TIMEOUT_MS,
    // Walsender commands describe their columns loosely: take every value as the text it is.
    types: { getTypeParser: () => String },
  });
  return { client, settings, target, takeOver: (receive) => takeOver(client, tap, receive) };
}

function takeOver(client: Client, tap: Tap, receive: (bytes: Uint8Array) => void): Socket {
  const socket = (client as unknown as PgInternals).connection.stream;
  socket.removeAllListeners('data');
  tap.receive = receive;
  // Under TLS the bytes come as 'data' events of the TLS socket, else through the tap.
  if (!tap.used) socket.on('data', receive);
  socket.resume();
  return socket;
}

type Attempt = ClientConfig & {
  /** `true`: bound to no database, so that nothing that a role or a database sets holds. */
  readonly replication?: 'database' | 'true';
  /** `pinned` unless said. */
  readonly session?: 'pinned' | 'plain';
  readonly ownEncoding?: boolean;
};

async function connect(
  settings: DatabaseSettings,
  target: Target,
  options: Attempt,
): Promise<{ client: Client; tap: Tap }> {
  const { mode } = settings.tls;
  // As in libpq, nobody speaks TLS over a socket of this machine.
  const isSocket = target.host.startsWith('/');
  try {
    return await connectOnce(settings, target, options, mode !== 'disable' && !isSocket);
  } catch (error) {
    const fault = connectionFault(error, settings, target);
    if (mode !== 'prefer' || fault.code !== TLS_MISSING) throw fault;
  }
  try {
    return await connectOnce(settings, target, options, false);
  } catch (error) {
    throw connectionFault(error, settings, target);
  }
}

async function connectOnce(
  settings: DatabaseSettings,
  target: Target,
  options: Attempt,
  tls: boolean,
): Promise<{ client: Client; tap: Tap }> {
  const tap: Tap = { used: false, receive: () => undefined };
  const { session = 'pinned', ownEncoding = false, ...others } = options;
  const login = new Login(settings, target, tls);
  const config: ClientConfig & Pick<Attempt, 'replication'> & { readonly scramMaxIterations: number } = {
    ...others,
    host: target.host,
    port: target.port,
    user: settings.username,
    // A function, so that pg never looks into PGPASSWORD or a password file instead.
    password: () => login.password(),
    database: settings.database,
    ssl: tls ? await tlsOptions(settings.tls) : false,
    // Written in any case, so that pg does not read PGSSLNEGOTIATION.
    sslnegotiation: login.isDirect ? 'direct' : 'postgres',
    scramMaxIterations: MOST_SCRAM_ROUNDS,
    enableChannelBinding: tls && settings.authentication?.channelBinding !== 'disable',
    application_name: others.application_name ?? applicationName(settings),
    ...(session === 'pinned' && { options: PINNED_OPTIONS }),
    connectionTimeoutMillis: connectTimeoutMs(settings),
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    stream: () =>
      boundFor(target, tls || options.replication === undefined ? new Socket() : tappedSocket(tap)),
  };
  const client = new Client(config);
  guardMessages(client, (words) => protocolFault(words, settings, target));
  // A connection that dies while idle: whoever uses it next sees the error.
  client.on('error', () => undefined);
  login.watch(client);
  try {
    await client.connect();
    login.refuseUnwanted();
    if (session === 'pinned') {
      const serverMoney = (): Promise<string | undefined> => moneyOfServer(settings, target, tls);
      await pinSession(client, { settings, ownEncoding, serverMoney });
    }
    sayWhatBreaks(client, settings, target);
    return { client, tap };
  } catch (error) {
    await closeConnection(client);
    if (login.passedOver === undefined) throw error;
    throw connectionFault(error, settings, target, login.passedOver);
  }
}

/** A command that gives the password runs while the server waits for it. */
const connectTimeoutMs = ({ password }: DatabaseSettings): number =>
  typeof password === 'object' && password.from === 'command'
    ? CONNECT_TIMEOUT_MS + password.timeoutMs
    : CONNECT_TIMEOUT_MS;

/** lc_monetary where no role's setting holds: a session without a database has none. Undefined: it may not be opened. */
async function moneyOfServer(
  settings: DatabaseSettings,
  target: Target,
  tls: boolean,
): Promise<string | undefined> {
  try {
    const { client } = await connectOnce(settings, target, { replication: 'true', session: 'plain' }, tls);
    try {
      const { rows } = await client.query<{ lc_monetary: string }>('SHOW lc_monetary');
      return rows[0]?.lc_monetary;
    } finally {
      await closeConnection(client);
    }
  } catch (error) {
    // A role that may not replicate, or a pg_hba.conf that names no replication: the files may tell.
    if (error instanceof DatabaseError) return undefined;
    throw error;
  }
}

/**
 * A query that the server did not answer breaks with an error of `pg` that has no code: from here on that is the
 * connection's fault, as a TailraceError. What the server refused (`DatabaseError`) goes on as it is.
 */
function sayWhatBreaks(client: Client, settings: DatabaseSettings, target: Target): void {
  const query = client.query.bind(client) as (...args: unknown[]) => Partial<Pick<Promise<unknown>, 'catch'>>;
  client.query = ((...args: unknown[]) => {
    const asked = query(...args);
    // What speaks the protocol by itself (Submittable) may hear of its errors by itself, too.
    if (asked.catch === undefined) return asked;
    return asked.catch((error: unknown) => {
      throw error instanceof DatabaseError ? error : connectionFault(error, settings, target);
    });
  }) as typeof client.query;
}

/** Goes to the target's address, whatever its name has come to mean since; TLS still asks for the name. */
function boundFor({ address }: Target, socket: Socket): Socket {
  if (address === undefined) return socket;
  const connect = socket.connect.bind(socket) as (port: number, host: string) => Socket;
  socket.connect = ((port: number) => connect(port, address)) as typeof socket.connect;
  return socket;
}

type Tap = { used: boolean; receive: (bytes: Uint8Array) => void };

/**
 * A socket that reads into one buffer of ours and hands each read to the tap; `pause` then stops the reading itself,
 * which 'data' events do only once their queue is full. Until the tap is taken over, `pg` gets its 'data' events.
 * https://nodejs.org/api/net.html#new-netsocketoptions (onread)
 */
function tappedSocket(tap: Tap): Socket {
  const socket = new Socket({
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
      callback: (byteCount, buffer) => {
        tap.receive(buffer.subarray(0, byteCount));
        return true;
      },
    },
  });
  tap.used = true;
  tap.receive = (bytes) => void socket.emit('data', Buffer.from(bytes));
  return socket;
}

/** The process of the server that serves this connection. */
export async function backendPid(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: string | number }>('select pg_backend_pid() as pid');
  return Number(rows[0]?.pid);
}

// One backend of a pretended Postgres, at the wire: start-up, simple and extended queries, and a walsender's stream.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
import type { Socket } from 'node:net';
import { int32, int64, text, uint16, uint8 } from './pgoutput-messages.ts';
import { backendMessage, errorResponse } from './postgres-wire.ts';

/** A value of a row: its JavaScript type says how it looks on the wire. */
export type WireValue = string | number | boolean | null | object;
export type WireRow = Readonly<Record<string, WireValue>>;
/** What a statement gives: rows, or the SQLSTATE and text of an error. */
export type WireAnswer = readonly WireRow[] | { readonly sqlState: string; readonly message: string };

/** Type OIDs, by which `pg` reads the texts. */
const OID = { boolean: 16, text: 25, json: 114, float8: 701 } as const;

function oidOf(value: WireValue): number {
  if (typeof value === 'boolean') return OID.boolean;
  if (typeof value === 'number') return OID.float8;
  return typeof value === 'string' || value === null ? OID.text : OID.json;
}

function textOf(value: WireValue): Buffer | undefined {
  if (value === null) return undefined;
  if (typeof value === 'boolean') return Buffer.from(value ? 't' : 'f');
  return Buffer.from(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

function rowDescription(row: WireRow | undefined): Buffer {
  const columns = Object.entries(row ?? {});
  const fields = columns.map(([name, value]) =>
    Buffer.concat([
      text(name),
      int32(0),
      uint16(0),
      int32(oidOf(value)),
      uint16(0xffff),
      int32(-1),
      uint16(0),
    ]),
  );
  return backendMessage('T', Buffer.concat([uint16(columns.length), ...fields]));
}

function dataRow(row: WireRow): Buffer {
  const values = Object.values(row).map((value) => {
    const bytes = textOf(value);
    return bytes === undefined ? int32(-1) : Buffer.concat([int32(bytes.length), bytes]);
  });
  return backendMessage('D', Buffer.concat([uint16(values.length), ...values]));
}

const READY = backendMessage('Z', Buffer.from('I'));
const COMPLETE = backendMessage('C', text('SELECT'));
const PARSED = backendMessage('1', Buffer.alloc(0));
const BOUND = backendMessage('2', Buffer.alloc(0));
const COPY_DONE = backendMessage('c', Buffer.alloc(0));
const COPY_BOTH = backendMessage('W', Buffer.from([0, 0, 0]));

const isError = (answer: WireAnswer): answer is Exclude<WireAnswer, readonly WireRow[]> =>
  'sqlState' in answer;

/** The stream of one START_REPLICATION. */
export class Walsender {
  /** As it was sent. */
  readonly command: string;
  /** The flush LSN of each status reply. */
  readonly replies: bigint[] = [];
  /** The client has said CopyDone, and then goodbye. */
  done = false;
  ended = false;
  readonly #socket: Socket;

  constructor(command: string, socket: Socket) {
    this.command = command;
    this.#socket = socket;
  }

  /** pgoutput messages, each as WAL data, in one packet. */
  send(...messages: readonly Buffer[]): void {
    const data = messages.map((message) =>
      backendMessage('d', Buffer.concat([Buffer.from('w'), int64(0n), int64(0n), int64(0n), message])),
    );
    this.#socket.write(Buffer.concat(data));
  }

  keepalive(walEnd: bigint, replyRequested = false): void {
    const content = [Buffer.from('k'), int64(walEnd), int64(0n), uint8(replyRequested ? 1 : 0)];
    this.#socket.write(backendMessage('d', Buffer.concat(content)));
  }

  /** What `write` sends comes in one packet. */
  together(write: () => void): void {
    this.#socket.cork();
    write();
    this.#socket.uncork();
  }

  /** The server ends the stream, as on a shutdown. */
  end(): void {
    this.#socket.write(COPY_DONE);
  }

  fail(sqlState: string, message: string, routine?: string): void {
    this.#socket.write(errorResponse(sqlState, message, routine));
  }

  /** A message of the client, while the stream runs. */
  take(type: string, content: Buffer): void {
    if (type === 'd' && content[0] === 0x72) this.replies.push(content.readBigUInt64BE(9));
    else if (type === 'c') {
      this.done = true;
      this.end();
    } else if (type === 'X') this.ended = true;
  }
}

export type BackendPorts = {
  readonly answer: (sql: string, parameters: readonly (string | null)[], pid: number) => WireAnswer;
  readonly onStream: (stream: Walsender) => void;
};

export class FakeBackend {
  readonly pid: number;
  readonly #socket: Socket;
  readonly #ports: BackendPorts;
  #input = Buffer.alloc(0);
  #startedUp = false;
  #statement = '';
  #parameters: (string | null)[] = [];
  #walsender: Walsender | undefined;
  #held: Buffer[] | undefined;
  /** In replication mode, that is. */
  isWalsender = false;

  constructor(socket: Socket, pid: number, ports: BackendPorts) {
    this.pid = pid;
    this.#socket = socket;
    this.#ports = ports;
    // Small answers in a row, each at once.
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => this.#receive(bytes));
  }

  /** Cuts the connection, as `pg_terminate_backend` does. */
  terminate(): void {
    this.#socket.end(errorResponse('57P01', 'terminating connection due to administrator command'));
  }

  /** From now on its answers wait. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const bytes of held) this.#socket.write(bytes);
  }

  #write(bytes: Buffer): void {
    if (this.#held === undefined) this.#socket.write(bytes);
    else this.#held.push(bytes);
  }

  #receive(bytes: Buffer): void {
    this.#input = Buffer.concat([this.#input, bytes]);
    for (;;) {
      const headBytes = this.#startedUp ? 5 : 4;
      if (this.#input.length < headBytes) return;
      const end = headBytes - 4 + this.#input.readUInt32BE(headBytes - 4);
      if (this.#input.length < end) return;
      const message = this.#input.subarray(0, end);
      this.#input = this.#input.subarray(end);
      if (this.#startedUp) this.#take(String.fromCharCode(message[0]!), message.subarray(5));
      else this.#startUp(message.subarray(4).toString('latin1'));
    }
  }

  #startUp(parameters: string): void {
    this.#startedUp = true;
    this.isWalsender = parameters.includes('replication\0');
    const key = backendMessage('K', Buffer.concat([int32(this.pid), int32(0)]));
    this.#write(Buffer.concat([backendMessage('R', int32(0)), key, READY]));
  }

  #take(type: string, content: Buffer): void {
    if (this.#walsender !== undefined) return this.#walsender.take(type, content);
    switch (type) {
      case 'Q':
        return this.#query(content.toString('utf8', 0, content.length - 1));
      case 'P': {
        const [, sql = ''] = content.toString('utf8').split('\0');
        this.#statement = sql;
        this.#write(PARSED);
        return;
      }
      case 'B':
        this.#parameters = boundParameters(content);
        this.#write(BOUND);
        return;
      case 'E':
        this.#write(this.#answer(this.#statement, this.#parameters));
        return;
      case 'S':
        this.#write(READY);
        return;
      case 'X':
        this.#socket.end();
        return;
      // A Describe is answered with the rows.
      default:
    }
  }

  #query(sql: string): void {
    if (sql.startsWith('START_REPLICATION')) {
      const answer = this.#ports.answer(sql, [], this.pid);
      if (isError(answer)) {
        this.#write(errorResponse(answer.sqlState, answer.message));
        return;
      }
      this.#walsender = new Walsender(sql, this.#socket);
      this.#write(COPY_BOTH);
      this.#ports.onStream(this.#walsender);
      return;
    }
    this.#write(Buffer.concat([this.#answer(sql, []), READY]));
  }

  #answer(sql: string, parameters: readonly (string | null)[]): Buffer {
    const answer = this.#ports.answer(sql, parameters, this.pid);
    if (isError(answer)) return errorResponse(answer.sqlState, answer.message);
    return Buffer.concat([rowDescription(answer[0]), ...answer.map(dataRow), COMPLETE]);
  }
}

/** Bind: portal, statement, parameter formats, parameters, result formats. */
function boundParameters(content: Buffer): (string | null)[] {
  let at = content.indexOf(0, content.indexOf(0) + 1) + 1;
  at += 2 + 2 * content.readUInt16BE(at);
  const parameters: (string | null)[] = [];
  let left = content.readUInt16BE(at);
  at += 2;
  for (; left > 0; left--) {
    const length = content.readInt32BE(at);
    at += 4;
    parameters.push(length < 0 ? null : content.toString('utf8', at, at + length));
    at += Math.max(0, length);
  }
  return parameters;
}

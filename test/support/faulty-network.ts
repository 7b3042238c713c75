// A network between a service and a Postgres server that fails in the ways networks do: one fault at a time, on connections of one kind.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export const NETWORK_FAULTS = [
  // Both ends learn of it.
  'cut',
  // One end goes without a word to the other: the other still believes in it.
  'reset',
  'reset in a message',
  'client gone',
  'server gone',
  // Nobody learns anything.
  'swallow to client',
  'swallow to server',
  'swallow both',
  // For a while.
  'delay',
  'drip',
  'refuse',
] as const;
export type NetworkFault = (typeof NETWORK_FAULTS)[number];

/** `side`: those that are not for replication. */
export type Which = 'all' | 'replication' | 'side';

export type FaultyNetwork = {
  readonly port: number;
  /** Connections that there are now. */
  count(which: Which): number;
  /** What lasts for a while ends when the answer is called. */
  fail(fault: NetworkFault, which: Which): () => void;
  close(): Promise<void>;
};

const DELAY_MS = 300;
const DRIP_BYTES = 2_000;
const DRIP_INTERVAL_MS = 20;
/** Of what comes next, so much goes through before a reset. */
const TORN_BYTES = 77;

type Pair = {
  readonly client: Socket;
  readonly server: Socket;
  replication: boolean;
  readonly toClient: Way;
  readonly toServer: Way;
};

/** One direction of one connection. */
class Way {
  readonly #from: Socket;
  readonly #to: Socket;
  #swallows = false;
  #slow: 'delay' | 'drip' | undefined;
  #torn: (() => void) | undefined;
  #waiting: Buffer[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
    from.on('data', (bytes: Buffer) => this.#came(bytes));
    from.on('error', () => undefined);
    from.on('end', () => {
      if (!this.#swallows) to.end();
    });
    from.on('close', () => {
      clearTimeout(this.#timer);
      if (!this.#swallows) to.destroy();
    });
    to.on('drain', () => from.resume());
  }

  #came(bytes: Buffer): void {
    if (this.#swallows) return;
    if (this.#torn !== undefined) {
      this.#to.write(bytes.subarray(0, TORN_BYTES), this.#torn);
      this.#swallows = true;
      return;
    }
    if (this.#slow !== undefined || this.#waiting.length > 0) {
      this.#waiting.push(bytes);
      this.#from.pause();
      this.#later();
      return;
    }
    if (!this.#to.write(bytes)) this.#from.pause();
  }

  #later(): void {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        const bytes = Buffer.concat(this.#waiting);
        const size = this.#slow === 'drip' ? DRIP_BYTES : bytes.length;
        this.#waiting = bytes.length > size ? [bytes.subarray(size)] : [];
        if (!this.#swallows && this.#to.writable) this.#to.write(bytes.subarray(0, size));
        if (this.#waiting.length > 0) this.#later();
        else this.#from.resume();
      },
      this.#slow === 'drip' ? DRIP_INTERVAL_MS : DELAY_MS,
    );
  }

  /** For ever, and neither does the end of it come through. */
  swallow(): void {
    this.#swallows = true;
    this.#from.resume();
  }

  slow(how: 'delay' | 'drip' | undefined): void {
    this.#slow = how;
  }

  /** The next bytes are the last ones, and not all of them come. */
  tear(then: () => void): void {
    this.#torn = then;
  }
}

export async function startFaultyNetwork(target: {
  readonly host: string;
  readonly port: number;
}): Promise<FaultyNetwork> {
  const pairs = new Set<Pair>();
  let refuses = false;
  const listener = createServer({ allowHalfOpen: true }, (client) => {
    if (refuses) {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ ...target, allowHalfOpen: true });
    const toServer = new Way(client, server);
    const pair: Pair = { client, server, replication: false, toServer, toClient: new Way(server, client) };
    pairs.add(pair);
    client.once('data', (bytes: Buffer) => (pair.replication = bytes.includes('replication\0')));
    client.once('close', () => pairs.delete(pair));
  });
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
  const chosen = (which: Which): Pair[] =>
    [...pairs].filter(({ replication }) => which === 'all' || replication === (which === 'replication'));

  const failOne = (fault: Exclude<NetworkFault, 'refuse'>, pair: Pair): void => {
    const { client, server, toClient, toServer } = pair;
    switch (fault) {
      case 'cut':
        client.destroy();
        return;
      case 'reset':
        toServer.swallow();
        client.resetAndDestroy();
        return;
      case 'reset in a message':
        toClient.tear(() => client.resetAndDestroy());
        return;
      case 'client gone':
        toServer.swallow();
        server.end();
        return;
      case 'server gone':
        toClient.swallow();
        client.end();
        return;
      case 'swallow to client':
        toClient.swallow();
        return;
      case 'swallow to server':
        toServer.swallow();
        return;
      case 'swallow both':
        toClient.swallow();
        toServer.swallow();
        return;
      case 'delay':
      case 'drip':
        toClient.slow(fault);
        toServer.slow(fault);
        return;
      default:
        fault satisfies never;
    }
  };

  return {
    port: (listener.address() as AddressInfo).port,
    count: (which) => chosen(which).length,
    fail: (fault, which) => {
      const failing = chosen(which);
      if (fault === 'refuse') {
        refuses = true;
        for (const { client } of failing) client.destroy();
      } else for (const pair of failing) failOne(fault, pair);
      return () => {
        refuses = false;
        for (const { toClient, toServer } of failing)
          for (const way of [toClient, toServer]) way.slow(undefined);
      };
    },
    close: async () => {
      for (const { client, server } of pairs) for (const socket of [client, server]) socket.destroy();
      await new Promise<void>((done) => listener.close(() => done()));
    },
  };
}

// A network between a client and a Postgres server that swallows what goes through it, one way or both, and tells nobody.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** From the server to us, from us to it, or both. */
export type Swallowed = 'to client' | 'to server' | 'both';

export type TcpProxy = {
  readonly port: number;
  /**
   * From now on the connections that there are swallow this for ever, or those of them that are for replication. New ones are sound.
   * Answers how many they are.
   */
  swallow(what: Swallowed, which?: 'all' | 'replication'): number;
};

type Pair = { readonly client: Socket; readonly server: Socket; replication: boolean };

/** Goes with the test. Without TLS only: the start-up packet says what a connection is for. */
export async function startTcpProxy(target: {
  readonly host: string;
  readonly port: number;
}): Promise<TcpProxy> {
  const pairs = new Set<Pair>();
  const listener = createServer((client) => {
    const server = connect(target.port, target.host);
    const pair: Pair = { client, server, replication: false };
    pairs.add(pair);
    client.once('data', (bytes: Buffer) => (pair.replication = bytes.includes('replication\0')));
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
    }
  });
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
  onTestFinished(async () => {
    for (const { client, server } of pairs) {
      client.destroy();
      server.destroy();
    }
    await new Promise<void>((done) => listener.close(() => done()));
  });
  return {
    port: (listener.address() as AddressInfo).port,
    swallow: (what, which = 'all') => {
      const chosen = [...pairs].filter(({ replication }) => which === 'all' || replication);
      for (const { client, server } of chosen) {
        if (what !== 'to server') blacken(server, client);
        if (what !== 'to client') blacken(client, server);
      }
      return chosen.length;
    },
  };
}

/** What comes is taken and goes nowhere, and neither does the end of it: neither side learns that the other has gone. */
function blacken(from: Socket, to: Socket): void {
  from.unpipe(to);
  from.removeAllListeners('close');
  from.removeAllListeners('end');
  from.on('data', () => undefined);
  from.resume();
}

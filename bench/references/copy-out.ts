// `COPY (…) TO STDOUT` by node-postgres, its bytes counted and thrown away: as fast as one connection reads rows.
import type { Client } from 'pg';

/** pg's own connection, below its client. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY */
type Connection = {
  on(event: 'copyData', listener: (message: { readonly chunk: Buffer }) => void): void;
};

/** Resolves with the bytes of the rows. */
export async function copyOut(client: Client, select: string): Promise<number> {
  let bytes = 0;
  const { connection } = client as unknown as { readonly connection: Connection };
  connection.on('copyData', ({ chunk }) => (bytes += chunk.length));
  await client.query(`copy (${select}) to stdout`);
  return bytes;
}

// What a pretended primary answers to the few statements that the proof of belonging and the looks ask of it.
import { formatLsn, toLsn } from '../../src/core/lsn.ts';
import { ACTIONS, type ServerState } from './server-state.ts';

/** The rows, as `pg` would have them. */
export function answer(state: ServerState, sql: string, parameters: readonly unknown[]): unknown[] {
  const lsn = formatLsn(toLsn(state.walEnd));
  if (/with recursive pub as/.test(sql)) return [look(state, String(parameters[0]), lsn)];
  if (sql.endsWith('as lsn')) return [{ lsn }];
  // A transaction of the model commits as soon as it begins.
  if (/as xids from pg_locks/.test(sql)) return [{ xids: [] }];
  if (/pg_xact_status/.test(sql)) return [{ state: stateOf(state, Number(parameters[0])) }];
  if (/from pg_class where oid = any/.test(sql)) {
    const oids = new Set(state.tables.values());
    return (parameters[0] as number[]).filter((oid) => oids.has(oid)).map((oid) => ({ oid }));
  }
  if (/pg_drop_replication_slot/.test(sql)) {
    state.slot = undefined;
    return [{}];
  }
  throw new Error(`the pretended server does not know: ${sql}`);
}

function stateOf({ wal }: ServerState, xid: number): string | null {
  return wal.some((transaction) => transaction.xid === xid) ? 'committed' : 'aborted';
}

function look(state: ServerState, name: string, walAfter: string): unknown {
  const { nextXid, startedAt, address, tables, publications } = state;
  const publication = publications.get(name);
  const named = [...tables].filter(([, oid]) => publication?.members.has(oid));
  const lines = named.map(([table, oid]) => {
    const member = publication!.members.get(oid)!;
    return {
      oid,
      schema: 'public',
      table,
      member: `${member.oid}:${member.xmin}`,
      entry: '0',
      shape: String(oid),
    };
  });
  const version = publication && `${publication.oid}:${publication.xmin}`;
  return {
    snapshot: `${nextXid}:${nextXid}:`,
    walAfter,
    startedAtUs: String(startedAt),
    address: `10.0.0.${address}:5432`,
    fold: JSON.stringify([version, lines]),
    publication:
      publication === undefined
        ? null
        : {
            oid: publication.oid,
            version,
            ...Object.fromEntries(ACTIONS.map((action) => [action, publication.publishes.includes(action)])),
          },
    tables: lines,
  };
}

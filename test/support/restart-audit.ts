// What was committed on a real server, by a table that is restored with it, against what each sink received and what was declared.
import type { Client } from 'pg';
import { parseLsn, ZERO_LSN, type Lsn } from '../../src/core/lsn.ts';

export const AUDITED = ['a', 'b', 'c'] as const;
export const AUDITED_SINKS = { queue: ['a', 'b', 'c'], hook: ['a'], stream: ['a', 'b'] } as const;
export type AuditedSink = keyof typeof AUDITED_SINKS;
export const AUDITED_SINK_NAMES = Object.keys(AUDITED_SINKS) as AuditedSink[];

export type DeclaredGap = {
  readonly from: string;
  /** Null: it goes on. */
  readonly to: string | null;
  /** `schema.table`; null: any. */
  readonly tables: readonly string[] | null;
  /** Null: of every sink. */
  readonly sink: string | null;
  readonly reason: string;
};

type AuditRow = { id: number; tbl: string; lsn: string; captured: boolean };

export async function createAuditedTables(client: Client): Promise<void> {
  for (const table of AUDITED) await createAuditedTable(client, table);
  // The sequence must not go back with a restored server: ids are given out by the test.
  await client.query(
    'create table audit (id int primary key, tbl text, oid oid, lsn pg_lsn, captured boolean)',
  );
}

export const createAuditedTable = (client: Client, table: string): Promise<unknown> =>
  client.query(`create table ${table} (id int primary key)`);

/** One transaction of some rows of one table, with its own record. Rejects where nobody can say whether it was committed. */
export async function writeAudited(
  client: Client,
  {
    table,
    ids,
    publication,
  }: { readonly table: string; readonly ids: readonly number[]; readonly publication: string },
): Promise<void> {
  await client.query('begin');
  try {
    await client.query(
      `insert into audit select id, $2::text, $2::text::regclass, pg_current_wal_insert_lsn(), exists (
         select from pg_publication_tables where pubname = $3 and schemaname = 'public' and tablename = $2::text)
       from unnest($1::int[]) id`,
      [ids, table, publication],
    );
    await client.query(`insert into ${table} select id from unnest($1::int[]) id`, [ids]);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

export class RestartAudit {
  readonly #received = new Map(AUDITED_SINK_NAMES.map((sink) => [sink, new Set<number>()]));
  readonly gaps = new Map<string, DeclaredGap & { readonly until: number }>();
  repeats = 0;

  received(sink: AuditedSink, id: number): void {
    const ids = this.#received.get(sink)!;
    if (ids.has(id)) this.repeats++;
    ids.add(id);
  }

  has(sink: AuditedSink, id: number): boolean {
    return this.#received.get(sink)!.has(id);
  }

  /**
   * Every version of a gap counts: the store that has it may be lost. None explains what is written after it was declared:
   * a server that was set back gives its LSNs to other rows. One that had no end yet goes on while it is declared.
   */
  declared(key: string, gap: DeclaredGap, until: number): void {
    const version = `${key} ${gap.from} ${gap.to ?? ''}`;
    if (gap.to !== null && this.gaps.has(version)) return;
    this.gaps.set(version, { ...gap, until });
  }

  /** What is due by the server's own record, never came, and lies in no gap. */
  async faults(client: Client): Promise<string[]> {
    const { rows } = await client.query<AuditRow>(
      `select id, tbl, lsn::text, captured or exists (
         select from audit earlier where earlier.oid = audit.oid and earlier.id < audit.id and earlier.captured) as captured
       from audit order by id`,
    );
    const faults: string[] = [];
    for (const sink of AUDITED_SINK_NAMES) {
      const ids = this.#received.get(sink)!;
      const due = rows.filter(
        ({ tbl, captured }) => captured && AUDITED_SINKS[sink].some((table) => table === tbl),
      );
      for (const row of due) {
        if (ids.has(row.id) || this.#explains(sink, row, rows)) continue;
        faults.push(`${sink}: row ${row.id} of ${row.tbl} at ${row.lsn} never came, and no gap names it`);
      }
    }
    return faults;
  }

  #explains(sink: AuditedSink, { id, tbl, lsn }: AuditRow, rows: readonly AuditRow[]): boolean {
    const begun = read(lsn);
    // Its commit lies before the beginning of a later transaction.
    const later = rows.find((row) => row.id > id && read(row.lsn) > begun);
    const ended = later === undefined ? MAX_LSN : read(later.lsn);
    return [...this.gaps.values()].some(
      (gap) =>
        (gap.sink === null || gap.sink === sink) &&
        id <= gap.until &&
        (gap.tables === null || gap.tables.includes(`public.${tbl}`)) &&
        read(gap.from) <= ended &&
        (gap.to === null || read(gap.to) >= begun),
    );
  }

  describeReceived(): string {
    return AUDITED_SINK_NAMES.map((sink) => `${sink}: ${[...this.#received.get(sink)!].join(' ')}`).join(
      '\n',
    );
  }

  describe(): string {
    return [...this.gaps.values()]
      .map(
        ({ from, to, tables, sink, reason, until }) =>
          `gap ${from}..${to ?? ''} of ${tables?.join() ?? 'all'} ${sink ?? ''}: ${reason} (by row ${until})`,
      )
      .join('\n');
  }
}

const MAX_LSN = (2n ** 63n) as Lsn;
const read = (text: string): Lsn => parseLsn(text) ?? ZERO_LSN;

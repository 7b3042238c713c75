// What a service under restarts says is missing: its list of gaps, those of its sinks, and the lines of its log.
import type { RestartAudit } from './restart-audit.ts';
import type { ServiceProcess } from './service.ts';

const DATABASE = 'shop';

type ListedGap = {
  readonly id: number;
  readonly from: string;
  readonly to: string | null;
  readonly tables: string[] | null;
  readonly sink: string | null;
  readonly since: string;
  readonly reason: string;
  readonly accepted_at: string | null;
};

async function gapsAt(url: string): Promise<ListedGap[]> {
  const reply = await fetch(`${url}/api/databases/${DATABASE}/gaps?limit=1000`);
  return ((await reply.json()) as { gaps: ListedGap[] }).gaps;
}

/** Takes down every gap that the running service knows of; `until` is the last row that may have been written. */
export async function noteGaps(
  service: ServiceProcess,
  audit: RestartAudit,
  until: () => number,
): Promise<void> {
  const url = await service.apiUrl();
  for (const { since, ...gap } of await gapsAt(url)) audit.declared(since, gap, until());
  const { sinks } = await service.health();
  for (const { name: sink, gaps } of sinks) {
    for (const { from, to, reason } of gaps)
      audit.declared(sink, { from, to, reason, tables: null, sink }, until());
  }
}

/** What the log of a service that has ended says of gaps: of the database with tables, of a sink without. */
export function noteLines({ log, child }: ServiceProcess, audit: RestartAudit, until: number): void {
  for (const { msg, ...entry } of log) {
    const { from, to, reason, sink, tables } = entry as Record<string, unknown>;
    if (typeof from !== 'string' || !/^a gap: |misses changes/.test(msg ?? '')) continue;
    // Where it had no end yet, `noteGaps` has taken down the end.
    if (typeof to !== 'string') continue;
    const named = (tables as { schema: string; table: string }[] | undefined)?.map(
      (name) => `${name.schema}.${name.table}`,
    );
    audit.declared(
      `line of ${child.pid}`,
      {
        from,
        to,
        reason: String(reason),
        tables: named ?? null,
        sink: typeof sink === 'string' ? sink : null,
      },
      until,
    );
  }
}

export async function acceptAllGaps(service: ServiceProcess): Promise<void> {
  const url = await service.apiUrl();
  for (const gap of await gapsAt(url)) {
    if (gap.accepted_at !== null) continue;
    await fetch(`${url}/api/databases/${DATABASE}/gaps/${gap.id}/accept`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
  }
}

// The sinks of the model: three from the start, and what may be added later.
import type { SinkStart } from '../../src/pipeline/settings.ts';
import type { ModelSinkSettings } from './process-options.ts';
import type { Chances } from './server-actions.ts';
import { TABLES } from './server-state.ts';
import type { PretendedServer } from './server.ts';

const table = (name: string) => ({ schema: ['public'], table: [name] });
const start = { from: 'default' } as const;

export const FIRST_SINKS: readonly ModelSinkSettings[] = [
  { name: 'fifo', selection: { includeTables: TABLES.map(table) }, start },
  { name: 'standard', selection: { includeTables: [table('a')] }, start },
  { name: 'pull', selection: { includeTables: [table('a'), table('b')] }, start },
];
const MAX_SINKS = FIRST_SINKS.length + 2;

/** One more sink, beginning anywhere; undefined: there are enough. */
export function laterSink(
  sinks: readonly ModelSinkSettings[],
  server: PretendedServer,
  { below }: Chances,
): ModelSinkSettings | undefined {
  if (sinks.length === MAX_SINKS) return undefined;
  const { wal } = server.state;
  const some = wal[below(wal.length)];
  // Also where nothing is yet.
  const lsn = (some?.commitLsn ?? server.walEnd) + BigInt(below(2) * below(200));
  const starts: readonly SinkStart[] = [
    { from: 'default' },
    { from: 'earliest' },
    { from: 'lsn', lsn },
    { from: 'time', timeUs: some?.timeUs ?? server.world.timeUs },
  ];
  return {
    name: `later-${sinks.length}`,
    selection: { includeTables: [table('a'), table('c')] },
    start: starts[below(starts.length)]!,
  };
}

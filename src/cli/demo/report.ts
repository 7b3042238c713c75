// How the demo shows a message that came, and how far it has got.
import type { LatencyQuantiles } from '../../pipeline/delivery/latency.ts';
import type { Painter } from '../ports.ts';
import { exactlyOnce, inOrder, type Verdict } from './accounting.ts';
import type { Received } from './consumer.ts';

const ACTION_STYLES = { insert: 'green', update: 'yellow', delete: 'red' } as const;

/** `  12.3 ms  insert  public.users  {"id":1,…}` */
export function formatReceived({ change, latencyMs, record }: Received, paint: Painter): string {
  return [
    paint('dim', `${latencyMs.toFixed(1).padStart(6)} ms`),
    paint(ACTION_STYLES[change.action], change.action),
    `public.${change.table.padEnd(6)}`,
    JSON.stringify(record),
  ].join('  ');
}

export function formatSummary(
  verdict: Verdict,
  latency: LatencyQuantiles | undefined,
  { paint, final }: { readonly paint: Painter; readonly final: boolean },
): string {
  const { committed, received, outstanding, duplicates, inversions, unexpected } = verdict;
  // While the workload runs something is always on its way: that is no fault yet.
  const once = exactlyOnce(final ? verdict : { ...verdict, outstanding: 0 });
  const faults = [
    duplicates > 0 && `${duplicates} duplicates`,
    unexpected > 0 && `${unexpected} unexpected`,
    inversions > 0 && `${inversions} out of order`,
  ].filter((fault) => typeof fault === 'string');
  const answer = (yes: boolean): string => (yes ? paint('green', 'yes') : paint('red', 'no'));
  return [
    `— ${committed} changes committed, ${received} received, ${outstanding} ${final ? 'missing' : 'on the way'}`,
    `exactly once: ${answer(once)}`,
    `in order per row: ${answer(inOrder(verdict))}`,
    ...faults,
    latency === undefined
      ? 'no latency yet'
      : `commit to receive p50 ${latency.p50.toFixed(1)} ms, p99 ${latency.p99.toFixed(1)} ms`,
  ].join('; ');
}

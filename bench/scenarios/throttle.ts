// `throttle`: the drain of a slot to a queue that takes 5,000 messages a second, and over connections that break.
import type { Network } from '../endpoint/protocol.ts';
import { accountingFaults } from '../accounting-check.ts';
import type { Line } from '../measurement.ts';
import type { Workbench } from '../workbench.ts';
import { SINK } from './live.ts';
import { runOverSlots, type PlannedLine } from './over-slots.ts';
import { drainOnce } from './replay-runs.ts';

const RTT_MS = 5;
const PER_SECOND = 5_000;

const NETWORKS: readonly { readonly name: string; readonly slot: string; readonly network: Network }[] = [
  { name: 'none fails', slot: 'sound', network: { rttMs: RTT_MS } },
  { name: 'one in 100 is cut off', slot: 'hundredth', network: { rttMs: RTT_MS, cutOneIn: 100 } },
  { name: 'one in 10 is cut off', slot: 'tenth', network: { rttMs: RTT_MS, cutOneIn: 10 } },
];

export function throttle(bench: Workbench): Promise<Line[]> {
  const { seconds, changes } = bench.sizes;
  const throttled: PlannedLine = {
    name: `${PER_SECOND.toLocaleString('en')}/s`,
    work: `a queue that takes so many a second, ${RTT_MS} ms away`,
    scenario: 'throttle',
    faultsOf: accountingFaults,
    slot: 'throttled',
    changes: PER_SECOND * seconds,
    run: async (replay, { withSink }) => {
      const network = { rttMs: RTT_MS, perSecond: PER_SECOND };
      const run = await drainOnce(bench, { ...replay, network, sink: SINK }, withSink);
      const { seconds: took, secondsToFirst } = run.figures;
      // A second's worth may come at once.
      const allowed = PER_SECOND * (took! - secondsToFirst! + 1);
      return {
        ...run,
        figures: { ...run.figures, shareOfAllowed: Math.min(1, run.figures['changes']! / allowed) },
      };
    },
  };
  const failing = NETWORKS.map(({ name, slot, network }): PlannedLine => ({
    name,
    work: `of the requests, ${RTT_MS} ms away`,
    scenario: 'throttle',
    faultsOf: accountingFaults,
    slot,
    changes: Math.ceil(changes / 2),
    run: (replay, { withSink }) => drainOnce(bench, { ...replay, network, sink: SINK }, withSink),
  }));
  return runOverSlots(bench, [throttled, ...failing]);
}

// `routes`: one table to one queue, over 500 and over 5,000 that its rows name, of which 1,000 are open at once. The rows take them in no order.
import { accountingFaults } from '../accounting-check.ts';
import type { Line } from '../measurement.ts';
import type { BenchSink } from '../tailrace.ts';
import type { Workbench } from '../workbench.ts';
import { QUEUE, SINK } from './live.ts';
import { runOverSlots, type PlannedLine } from './over-slots.ts';
import { drainOnce } from './replay-runs.ts';

const ROUTES = [1, 500, 5000] as const;

/** All of them are accounted for as one: exactly once, and in the order of each row. */
const sinkOver = (routes: number): BenchSink =>
  routes === 1 ? SINK : { ...SINK, queue: `"${QUEUE.replace('.fifo', `-\${row.of_${routes}}.fifo`)}"` };

export function routes(bench: Workbench): Promise<Line[]> {
  const plan = ROUTES.map((count): PlannedLine => ({
    scenario: 'routes',
    name: count === 1 ? 'one queue' : `${count.toLocaleString('en')} queues`,
    work: 'slot → FIFO queues, REPLICA IDENTITY FULL',
    slot: `routes_${count}`,
    changes: bench.sizes.changes,
    faultsOf: accountingFaults,
    run: (replay, { withSink }) => drainOnce(bench, { ...replay, sink: sinkOver(count) }, withSink),
  }));
  const columns = ROUTES.filter((count) => count > 1).map(
    (count) => `of_${count} int not null default floor(random() * ${count})`,
  );
  return runOverSlots(bench, plan, { columns: columns.join(', ') });
}

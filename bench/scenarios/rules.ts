// `rules`: one table to one queue, as it is and under column rules (docs/columns.md), each alone and as tables have them.
import { accountingFaults } from '../accounting-check.ts';
import type { Line } from '../measurement.ts';
import type { BenchSink } from '../tailrace.ts';
import type { Workbench } from '../workbench.ts';
import { SINK } from './live.ts';
import { runOverSlots, type PlannedLine } from './over-slots.ts';
import { drainOnce } from './replay-runs.ts';

/** As they stand in YAML. The accounting reads the key, which stays as it is. */
const RULES: Readonly<Record<string, string | undefined>> = {
  'no rules': undefined,
  'usual rules':
    'exclude_columns: [inserted_at], rename: { string_field: text }, mask: { numeric_field: redact, updated_at: "null" }, add: { source: shop }',
  'mask: hash': 'mask: { string_field: hash }',
  'mask: last': 'mask: { string_field: { last: 4 } }',
  'add: template': 'add: { label: "${row.id} at ${row.updated_at:-never}" }',
  flatten: 'flatten: { json_field: true }',
  'all of these':
    'exclude_columns: [inserted_at], rename: { string_field: text }, mask: { string_field: hash, numeric_field: { last: 4 } }, flatten: { json_field: true }, add: { label: "${row.id} at ${row.updated_at:-never}" }',
};

const sinkWith = (rules: string | undefined): BenchSink =>
  rules === undefined
    ? SINK
    : {
        ...SINK,
        options: { mask_key: '"a key for the bench"', tables: `[{ name: public.${SINK.table}, ${rules} }]` },
      };

export function rules(bench: Workbench): Promise<Line[]> {
  const plan = Object.entries(RULES).map(([name, declared], i): PlannedLine => ({
    scenario: 'rules',
    name,
    work: 'slot → FIFO queue',
    slot: `rules_${i}`,
    changes: bench.sizes.changes,
    faultsOf: accountingFaults,
    run: (replay, { withSink }) => drainOnce(bench, { ...replay, sink: sinkWith(declared) }, withSink),
  }));
  return runOverSlots(bench, plan);
}

// Settings of a sink of which nothing is asked: tests and benchmarks say what they need otherwise.
import { formats } from '../../src/formats/registry.ts';
import type { SinkSettings } from '../../src/pipeline/settings.ts';

export const PLAIN_SINK: Omit<SinkSettings, 'name' | 'database' | 'destination' | 'retry' | 'maxParked'> = {
  status: 'active',
  start: { from: 'default' },
  selection: {},
  tables: [],
  backfill: { limits: { queryTimeoutMs: 5000 } },
  onAbsent: 'dead_letter',
  deletesOutside: 'deliver',
  whereMoves: 'ignore',
  routeMoves: 'ignore',
  onSchemaBreak: 'halt',
  actions: ['insert', 'update', 'delete'],
  format: 'sequin',
  formatOptions: undefined,
  values: formats.sequin.values,
  messageGrouping: true,
  keyChanges: 'update',
  ddl: 'ignore',
  ignoreMarkers: false,
  sameGroup: 'strict',
  loadShedding: 'pause',
  annotations: {},
};

// The intake of one sink, put together from its settings: the same for the sink that runs and for whoever explains what it does.
import { renderOptions, type Envelope } from '../../formats/format.ts';
import { atPath } from '../../formats/path.ts';
import { formats } from '../../formats/registry.ts';
import { compileColumn } from '../../postgres/values/values.ts';
import type { SinkSettings } from '../settings.ts';
import { changedStep } from './columns/changed.ts';
import { RowIntake, type IntakePorts } from './row-intake.ts';
import type { Steps } from './steps.ts';
import { groupOfSink } from './group-key.ts';
import { compileTablePlan, type PlanPorts } from './table-plan.ts';
import type { TransactionPlan, TransactionPorts } from './transaction-ends.ts';
import { whereStep, type WherePorts } from './where.ts';

export type SinkIntakeOptions = Omit<IntakePorts, 'sink' | 'compile' | 'steps' | 'transactions'> &
  Pick<PlanPorts, 'sink' | 'routes' | 'barriers' | 'hasCompany'> &
  WherePorts & {
    readonly settings: SinkSettings;
    readonly envelope: Envelope;
    /** Steps of the running sink alone. */
    readonly steps?: Steps;
    /** Set where transactions are told of, where the format can. Not of single changes. */
    readonly transactions?: TransactionPorts;
    /** Looks at what plans are compiled, and at why one cannot be. */
    readonly compiling?: (compile: IntakePorts['compile']) => IntakePorts['compile'];
  };

export function sinkIntake(options: SinkIntakeOptions): RowIntake {
  const {
    settings,
    envelope,
    sink,
    routes,
    barriers,
    hasCompany,
    transactions,
    compiling,
    steps,
    nowMs,
    lookUp,
    ...ports
  } = options;
  const planPorts = { ...formatting(settings, envelope), sink, routes, barriers, hasCompany };
  const compile: IntakePorts['compile'] = (relation, isKeyProven, isRead) =>
    compileTablePlan(relation, settings, planPorts, isKeyProven, isRead);
  const plan = transactions && transactionPlan(settings, planPorts);
  return new RowIntake({
    ...ports,
    sink: settings.name,
    compile: compiling === undefined ? compile : compiling(compile),
    nowMs,
    transactions: plan && { ...plan, ...transactions },
    steps: { ...stepsOf(settings, { nowMs, lookUp }), ...steps },
  });
}

function stepsOf(settings: SinkSettings, ports: WherePorts): Steps {
  const where = whereStep(settings, ports);
  const changed = changedStep(settings);
  return { ...(where && { where }), ...(changed && { changed }) };
}

/** Undefined: the sink is told of changes alone. */
export function transactionPlan(
  settings: SinkSettings,
  { format, sink, routes, barriers }: Pick<PlanPorts, 'format' | 'sink' | 'routes' | 'barriers'>,
): TransactionPlan | undefined {
  const form = format.transactions?.(settings.formatOptions, sink.encoding ?? 'json');
  if (form === undefined) return undefined;
  // The configuration has seen to it that there is one route.
  const route = sink.routeOf({ ...NO_TABLE, action: 'begin' })!;
  return {
    form,
    plan: { ...NO_TABLE, grouped: settings.messageGrouping, barriers: barriers.of('', '') },
    routeQueue: routes.queue(route),
    group: groupOfSink(route.groupTemplate, settings.name),
  };
}

const NO_TABLE = { schema: '', table: '' };

/** How rows become messages here. */
export function formatting(
  settings: SinkSettings,
  envelope: Envelope,
): Pick<PlanPorts, 'format' | 'envelope' | 'compileColumn'> {
  const whole = formats[settings.format];
  const format = settings.path === undefined ? whole : atPath(whole, settings.path);
  const values = renderOptions(format, settings.values, settings.formatOptions);
  return {
    format,
    envelope,
    compileColumn: (column, relation, forms) =>
      compileColumn(column, relation.types, forms === undefined ? values : { ...values, ...forms }),
  };
}

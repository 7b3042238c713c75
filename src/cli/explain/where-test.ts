// `tailrace where test`: what a condition would say of the changes in the log, before it is written into a configuration.
import { formatTableName } from '../../core/selection.ts';
import { formatLsn } from '../../core/lsn.ts';
import { lineAndColumn } from '../../functions/where/fault.ts';
import { parseFilters } from '../../functions/where/parsing.ts';
import type { PlacedFilter, SinkSettings } from '../../pipeline/settings.ts';
import {
  explainChanges,
  lastChanges,
  type ExplainedChange,
  type ExplainOptions,
} from '../../pipeline/sink/explain/changes.ts';
import type { Explained } from '../../pipeline/sink/explain/explainer.ts';
import { table, widthOf } from '../layout.ts';
import { EXIT, painterFor, usageError, writeJson, writeLine, type CliPorts } from '../ports.ts';
import { withExplained, type PlaceOptions } from './place.ts';

export type TryOptions = PlaceOptions & {
  readonly last?: number;
  readonly samples?: number;
  readonly json?: boolean;
};

const DEFAULT_SAMPLES = 3;

/** In the order in which they are shown. `unjudged`: a row too large to be kept whole, or a TRUNCATE, which passes. */
const ANSWERS = ['pass', 'drop', 'absent', 'error', 'unusable', 'unjudged'] as const;
type Answer = (typeof ANSWERS)[number];

type Sample = {
  readonly position: string;
  readonly action: string;
  readonly key: string;
  readonly said: string;
};
type Counted = { count: number; readonly samples: Sample[] };

/** By table, as it is logged. */
type Tally = Map<string, Map<Answer, Counted>>;

/** Exit code 1 where the condition cannot be used for a table, or ends in an error for a row. */
export async function tryCondition(
  sink: string,
  condition: string,
  options: TryOptions,
  ports: CliPorts,
): Promise<number> {
  const filter = await parsed(condition);
  const tally = await withExplained(
    sink,
    options,
    ports,
    (explained) => tallied(explained, options),
    (settings) => withFilter(settings, filter),
  );
  if (options.json === true) writeJson(ports.stdout, toDocument(tally), 2);
  else print(tally, ports);
  const isWhole = [...tally.values()].every((answers) => !answers.has('error') && !answers.has('unusable'));
  return isWhole ? EXIT.ok : EXIT.no;
}

async function parsed(text: string): Promise<PlacedFilter> {
  const [result] = await parseFilters([text]);
  if (result?.kind === 'filter') return { ...result.filter, place: 'the condition' };
  const { message, at } = result!.fault;
  const { line, column } = lineAndColumn(text, at);
  throw usageError(`the condition, line ${line}, column ${column}: ${message}`, 'see docs/filters.md');
}

/** Judged by this condition alone. */
const withFilter = (settings: SinkSettings, where: PlacedFilter): SinkSettings => ({
  ...settings,
  where,
  whereMoves: 'ignore',
  onSchemaBreak: 'halt',
  tables: settings.tables.map((table) => {
    const { where: _, ...others } = table;
    return others;
  }),
});

/** Is it one that the sink takes, but for its filters? */
const isOfSink = ({ notSent }: Explained): boolean =>
  notSent === undefined || notSent === 'where' || notSent === 'unchanged' || notSent === 'unusable';

async function tallied(
  explained: ExplainOptions,
  { last, samples = DEFAULT_SAMPLES }: TryOptions,
): Promise<Tally> {
  const tally: Tally = new Map();
  const changes =
    last === undefined ? explainChanges(explained) : await lastChanges(explained, last, isOfSink);
  for await (const change of changes) if (isOfSink(change)) count(change, tally, samples);
  return tally;
}

function count(change: ExplainedChange, tally: Tally, samples: number): void {
  const name = formatTableName(change.table);
  const answers = tally.get(name) ?? new Map<Answer, Counted>();
  tally.set(name, answers);
  const answer = answerOf(change);
  const counted = answers.get(answer) ?? { count: 0, samples: [] };
  answers.set(answer, counted);
  counted.count++;
  if (counted.samples.length >= samples) return;
  const { position, action, key, refusal, fault } = change;
  counted.samples.push({
    position: `${formatLsn(position.commitLsn)}:${position.index}`,
    action,
    key: key ?? name,
    said: answer === 'error' ? refusal!.hint : (fault?.message ?? ''),
  });
}

const answerOf = ({ verdict, refusal, fault }: Explained): Answer =>
  fault !== undefined ? 'unusable' : refusal?.code === 'WHERE_ERROR' ? 'error' : (verdict ?? 'unjudged');

const inOrder = (answers: ReadonlyMap<Answer, Counted>): [Answer, Counted][] =>
  ANSWERS.flatMap((answer): [Answer, Counted][] => {
    const counted = answers.get(answer);
    return counted === undefined ? [] : [[answer, counted]];
  });

const toDocument = (tally: Tally) => ({
  tables: Object.fromEntries(
    [...tally].map(([name, answers]) => [name, Object.fromEntries(inOrder(answers))]),
  ),
});

const MEANINGS: Readonly<Record<Answer, string>> = {
  pass: 'true: it passes',
  drop: 'false or NULL: it does not pass',
  absent: 'absent: Postgres did not send what decides it (on_absent, deletes_outside)',
  error: 'an error: a dead letter',
  unusable: 'the condition does not fit the table: the sink halts',
  unjudged: 'passes every condition',
};

function print(tally: Tally, ports: CliPorts): void {
  const paint = painterFor(ports.stdout, ports.env);
  if (tally.size === 0) writeLine(ports.stdout, "the log has no change of the sink's tables and actions");
  for (const [name, answers] of tally) {
    writeLine(ports.stdout, paint('bold', name));
    for (const [answer, { count: number, samples }] of inOrder(answers)) {
      writeLine(ports.stdout, `  ${number}  ${MEANINGS[answer]}`);
      const rows = samples.map(({ position, action, key, said }) => [`    ${position}`, action, key, said]);
      const heading = ['    POSITION', 'ACTION', 'KEY', ''];
      for (const line of table(paint, [heading, ...rows], widthOf(ports.stdout)))
        writeLine(ports.stdout, line);
    }
  }
}

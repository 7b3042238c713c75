// `tailrace explain`: what every step of a sink decided for changes of the log. It reads the log only, and delivers nothing.
import type { TableName } from '../../core/selection.ts';
import { nameFor } from '../../core/partitions.ts';
import { formatTableName, optionsFor } from '../../core/selection.ts';
import { TailraceError } from '../../core/errors.ts';
import { formatLsn } from '../../core/lsn.ts';
import { formatPosition } from '../../core/position.ts';
import { filtersFor } from '../../pipeline/intake/table-filter.ts';
import {
  changesAt,
  lastChanges,
  type ExplainedChange,
  type ExplainOptions,
} from '../../pipeline/sink/explain/changes.ts';
import type { SeenMessage } from '../../pipeline/sink/explain/message.ts';
import type { SinkSettings } from '../../pipeline/settings.ts';
import { visible } from '../../telemetry/terminal-text.ts';
import { EXIT, painterFor, writeJson, writeLine, type CliPorts, type Painter } from '../ports.ts';
import { withExplained, type PlaceOptions } from './place.ts';
import type { Place } from './position.ts';

export type ExplainCommandOptions = PlaceOptions & {
  readonly position?: Place;
  readonly last?: number;
  readonly json?: boolean;
};

const DEFAULT_LAST = 10;

export const explain = (sink: string, options: ExplainCommandOptions, ports: CliPorts): Promise<number> =>
  withExplained(sink, options, ports, async (explained) => {
    const { position: place, last = DEFAULT_LAST } = options;
    const changes =
      place === undefined ? await lastChanges(explained, last) : await changesOf(explained, place);
    const paint = painterFor(ports.stdout, ports.env);
    for (const change of changes) {
      const seen = change.seen();
      if (options.json === true) writeJson(ports.stdout, toDocument(change, seen));
      else
        for (const line of describe(change, seen, explained.settings, paint)) writeLine(ports.stdout, line);
    }
    return EXIT.ok;
  });

/** Throws POSITION_UNKNOWN. */
async function changesOf(
  explained: ExplainOptions,
  { lsn, index, epoch }: Place,
): Promise<readonly ExplainedChange[]> {
  const all = (await changesAt(explained, lsn)).filter(
    ({ position }) => epoch === undefined || position.epoch === epoch,
  );
  const found = index === undefined ? all : all.filter(({ position }) => position.index === index);
  if (found.length > 0) return found;
  const first = formatPosition(explained.log.reader.firstPosition());
  throw new TailraceError(
    all.length > 0
      ? `the transaction at ${formatLsn(lsn)} has no change ${index}: it has ${all.length}`
      : `the log has no change at ${formatLsn(lsn)}`,
    {
      code: 'POSITION_UNKNOWN',
      kind: 'fatal',
      hint: `the log holds what comes after ${first}; commit_lsn and commit_idx of a message name its change, and a table that is not in the publication is not in the log`,
    },
  );
}

/** Why it is not sent; undefined: it is. */
function reasonOf({ notSent, fault, table }: ExplainedChange, settings: SinkSettings): string | undefined {
  switch (notSent) {
    case undefined:
      return undefined;
    case 'table':
      return `${formatTableName(table)} is none of the sink's tables`;
    case 'action':
      return 'the sink does not take this action of this table';
    case 'marker':
      return 'a marker in its transaction has the sink skip it';
    case 'done':
      return 'it is of a history that a failover or a restore has lost';
    case 'where':
      return `${filterOf(table, settings)} is not true for it`;
    case 'unchanged':
      return `it leaves ${watchedIn(table, settings)} as before (only_when_changed)`;
    case 'unusable':
      return `the sink halts here: ${fault?.message}`;
    default:
      return notSent satisfies never;
  }
}

/** What an update of a table must change to be sent. */
const watchedIn = (table: TableName, { selection, tables }: SinkSettings): string =>
  (optionsFor(nameFor(selection, table) ?? table, tables)?.rules?.onlyWhenChanged?.columns ?? []).join(', ');

/** The filters of a table, by where they are written. */
const filterOf = (table: TableName, settings: SinkSettings): string =>
  filtersFor(table, settings)
    .map(({ place }) => place)
    .join(' and ');

const VERDICTS = {
  pass: 'true',
  drop: 'false or NULL',
  absent: 'absent: Postgres did not send what it needs',
} as const;

const MOVES = {
  out: 'the row leaves what the filter names: a delete',
  in: 'the row enters what the filter names: an insert',
} as const;

function toDocument(change: ExplainedChange, seen: readonly SeenMessage[]) {
  const { position, commitTimeUs, action, table, key, verdict, moved, refusal, notSent, fault } = change;
  return {
    position: formatPosition(position),
    commit_lsn: formatLsn(position.commitLsn),
    commit_idx: position.index,
    committed_at: timeOf(commitTimeUs),
    table: formatTableName(table),
    action,
    key: key ?? null,
    where: refusal?.code === 'WHERE_ERROR' ? 'error' : (verdict ?? null),
    moved: moved ?? null,
    not_sent: notSent ?? null,
    ...(fault !== undefined && { halts: fault.message }),
    // A body as text: parsed, its large numbers would not be what is sent.
    messages: seen.map(({ deadLetter, body, idempotencyKey, ...message }) => ({
      ...message,
      idempotency_key: idempotencyKey,
      dead_letter: deadLetter === undefined ? null : { code: deadLetter.code, reason: deadLetter.hint },
      body: body ?? null,
    })),
  };
}

const timeOf = (us: bigint): string => new Date(Number(us / 1000n)).toISOString();

function describe(
  change: ExplainedChange,
  seen: readonly SeenMessage[],
  settings: SinkSettings,
  paint: Painter,
): string[] {
  const { position, commitTimeUs, action, table, key, verdict, moved, refusal } = change;
  const reason = reasonOf(change, settings);
  const line = (what: string, text: string): string => `  ${paint('dim', what.padEnd(8))} ${visible(text)}`;
  const at = `${formatLsn(position.commitLsn)}:${position.index}`;
  const judged =
    refusal?.code === 'WHERE_ERROR' ? 'an error' : verdict === undefined ? undefined : VERDICTS[verdict];
  return [
    paint('bold', visible(`${at}  ${action} ${key ?? formatTableName(table)}  ${timeOf(commitTimeUs)}`)),
    ...(judged === undefined ? [] : [line('where', `${filterOf(table, settings)}: ${judged}`)]),
    ...(moved === undefined ? [] : [line('moved', MOVES[moved])]),
    ...(reason === undefined ? [] : [line('not sent', reason)]),
    ...seen.flatMap((message) => [
      message.deadLetter === undefined
        ? line('sent to', `${message.route} as ${message.action}, ${message.bytes} bytes`)
        : line('dead', `${message.action} to ${message.route}: ${message.deadLetter.hint}`),
      ...(message.group === '' ? [] : [line('group', message.group)]),
      line('key', message.idempotencyKey),
      ...(message.body === undefined ? [] : [line(settings.format, message.body)]),
    ]),
  ];
}

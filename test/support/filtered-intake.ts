// The intake of a sink whose filter converts rows that move, over one table of numbers and texts.
import { beforeAll } from 'vitest';
import { loadFilterParser, type FilterParser } from '../../src/functions/where/parser.ts';
import { changedStep } from '../../src/pipeline/intake/columns/changed.ts';
import { whereStep } from '../../src/pipeline/intake/where.ts';
import type { SinkSettings } from '../../src/pipeline/settings.ts';
import { begin, commit } from '../log/stream.ts';
import { describeTable, sinkIntake, type IntakeOptions } from './intake.ts';
import { blocksOf } from './log-blocks.ts';

const INT4 = 23;
const TEXT = 25;
export type Identity = 'd' | 'f' | 'i';

let parse: FilterParser;
beforeAll(async () => {
  parse = await loadFilterParser();
});

const columnsUnder = (identity: Identity) => [
  { name: 'id', type: INT4, identity: identity !== 'i' },
  { name: 'code', type: TEXT, identity: identity !== 'd' },
  { name: 'size', type: INT4, identity: identity === 'f' },
  { name: 'note', type: TEXT, identity: identity === 'f' },
];

const COLLATIONS = {
  default: { isDeterministic: true, isByteOrder: false, letters: 'more' },
  own: {},
} as const;

type Options = Omit<IntakeOptions, 'settings'> & {
  readonly where: string;
  readonly identity?: Identity;
  readonly settings?: Partial<SinkSettings>;
};

export function convertingIntake(
  { where, identity = 'f', settings, ...options }: Options,
  messages: readonly Buffer[],
) {
  const all = {
    name: 'users',
    tables: [],
    onAbsent: 'dead_letter',
    deletesOutside: 'deliver',
    whereMoves: 'convert',
    ...settings,
    where: { ...parse(where), place: 'tailrace.yaml:5:5  sinks[users].where' },
  } as const;
  const changed = changedStep(all);
  const table = { id: 1, identity, columns: columnsUnder(identity), collations: COLLATIONS };
  const blocks = blocksOf([
    begin({ commitLsn: 100n, rows: 0 }),
    ...describeTable(table),
    ...messages,
    commit({ commitLsn: 100n, rows: 0 }),
  ]);
  return sinkIntake({
    ...options,
    settings: all,
    blocks,
    ports: { steps: { where: whereStep(all)!, ...(changed && { changed }) } },
  });
}

/** A message of the format `sequin`. */
export type Body = {
  readonly action: string;
  readonly record: Readonly<Record<string, unknown>>;
  readonly changes: Readonly<Record<string, unknown>> | null;
  readonly metadata: Readonly<Record<string, unknown>>;
};

// What a scenario hands back: lines of figures, every run and the median of the runs.

export const SCENARIOS = [
  'drain',
  'log',
  'filter',
  'latency',
  'huge',
  'isolation',
  'backlog',
  'growth',
  'distance',
  'throttle',
  'routes',
  'rules',
  'backfill',
  'footprint',
  'micro',
] as const;
export type ScenarioName = (typeof SCENARIOS)[number];

/** Name of the line of the same work over HTTPS. */
export const withTls = (name: string): string => `${name}, TLS`;

/** By name with its unit last (`cpuUsPerChange`). NaN: not known. */
export type Figures = Readonly<Record<string, number>>;

export type Run = {
  readonly figures: Figures;
  /** Milliseconds at each of the endpoint's quantiles. */
  readonly distribution?: readonly number[];
  /** Requests that may be in flight, by seconds since somebody reads. */
  readonly lanesOverTime?: readonly LanesAt[];
};

export type LanesAt = { readonly seconds: number; readonly lanes: number };

/** Of which day and commit a line is, where a result has lines of several. */
export type Measured = { readonly day: string; readonly commit: string };

export type Line = {
  readonly scenario: ScenarioName;
  /** `drain`, `limit`, `latency 1,000/s` … */
  readonly name: string;
  /** What was done, in a few words. */
  readonly work: string;
  readonly runs: readonly Run[];
  readonly median: Figures;
  readonly distribution?: readonly number[];
  readonly measured?: Measured;
};

export const medianOf = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** The line of these runs: each figure's median over the runs that have it. */
export function lineOf(what: Pick<Line, 'scenario' | 'name' | 'work'>, runs: readonly Run[]): Line {
  const names = [...new Set(runs.flatMap(({ figures }) => Object.keys(figures)))];
  const median = Object.fromEntries(
    names.map((name) => [
      name,
      rounded(medianOf(runs.flatMap(({ figures }) => (name in figures ? [figures[name]!] : [])))),
    ]),
  );
  const distributions = runs.flatMap(({ distribution }) =>
    distribution === undefined ? [] : [distribution],
  );
  return {
    scenario: what.scenario,
    name: what.name,
    work: what.work,
    runs: runs.map(roundedRun),
    median,
    ...(distributions.length > 0 && {
      distribution: distributions[0]!.map((_, i) => rounded(medianOf(distributions.map((each) => each[i]!)))),
    }),
  };
}

function roundedRun({ figures, distribution, ...rest }: Run): Run {
  return {
    ...rest,
    figures: Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, rounded(value)])),
    ...(distribution !== undefined && { distribution: distribution.map(rounded) }),
  };
}

/** Four digits say more than the machine knows. */
export const rounded = (value: number): number =>
  Number.isFinite(value) ? Number(value.toPrecision(4)) : value;

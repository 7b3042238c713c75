// Reads Prometheus' text format 0.0.4 as strictly as it is written down, so that a test sees what a scraper would refuse.
// https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format

export type ExposedSample = { readonly labels: Readonly<Record<string, string>>; readonly value: number };
export type Family = { readonly type: string; readonly help: string; readonly samples: ExposedSample[] };

const HEAD = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"(?:,|$)/y;
const VALUE = /^(?:[-+]?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|Inf)|NaN)$/;

/** Families by name; throws with the line that is no exposition, stands in no family, or comes twice. */
export function readExposition(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, { type: string; help: string; samples: ExposedSample[] }>();
  const seen = new Set<string>();
  let current: string | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const fault = (why: string): Error => new Error(`${why}: ${JSON.stringify(line)}`);
    const head = HEAD.exec(line);
    if (head !== null) {
      const [, kind, name, rest] = head as unknown as [string, string, string, string];
      if (kind === 'HELP') {
        if (families.has(name)) throw fault('a second family of the name');
        if (/\\(?![\\n])/.test(rest)) throw fault('no such escape');
        families.set(name, { type: '', help: rest, samples: [] });
      } else {
        const family = families.get(name);
        if (family === undefined || family.type !== '' || family.samples.length > 0) throw fault('misplaced');
        if (rest !== 'counter' && rest !== 'gauge') throw fault('no type of ours');
        family.type = rest;
      }
      current = name;
      continue;
    }
    const sample = SAMPLE.exec(line);
    if (sample === null) throw fault('no sample');
    const [, name, labelText = '', value] = sample as unknown as [string, string, string | undefined, string];
    if (name !== current) throw fault('outside of its family');
    if (!VALUE.test(value)) throw fault('no value');
    const labels = readLabels(labelText, fault);
    const series = JSON.stringify([
      name,
      ...Object.entries(labels)
        .map((label) => JSON.stringify(label))
        .toSorted((a, b) => (a < b ? -1 : 1)),
    ]);
    if (seen.has(series)) throw fault('a second sample of the series');
    seen.add(series);
    families.get(name)!.samples.push({ labels, value: Number(value.replace('Inf', 'Infinity')) });
  }
  return families;
}

function readLabels(text: string, fault: (why: string) => Error): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const label = LABEL.exec(text);
    if (label === null) throw fault('no labels');
    const [, name, value] = label as unknown as [string, string, string];
    if (name in labels) throw fault('a label twice');
    labels[name] = value.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
  }
  return labels;
}

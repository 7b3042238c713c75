// What each format costs in the whole of a sink's thread (sink.ts), beside `sequin`: runs that take turns, and the medians of their ratios.
import type { MessageFormat } from '../../src/formats/format.ts';
import { formatNames, type FormatName } from '../../src/formats/names.ts';
import { formats } from '../../src/formats/registry.ts';
import type { Stage } from './stage.ts';
import { openSinkBench, type SinkBench } from './sink.ts';

const ROUNDS = 3;
/** `tailrace` is the same code as `sequin`. */
const OTHERS = formatNames.filter((name) => name !== 'sequin' && name !== 'tailrace');

const settingsOf = (name: FormatName): Parameters<SinkBench['run']>[0] => {
  if (name === 'sequin') return {};
  const format: MessageFormat = formats[name];
  return { format: { format: name, formatOptions: format.options?.parse({}), values: format.values } };
};

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

export async function stages(): Promise<Stage[]> {
  const bench = await openSinkBench();
  const names: readonly FormatName[] = ['sequin', ...OTHERS];
  const costs = new Map(names.map((name) => [name, [] as number[]]));
  // The first round is the compiler's.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const name of names) {
      const cost = await bench.run(settingsOf(name));
      if (round > 0) costs.get(name)!.push(cost);
    }
  }
  await bench.end();
  const ofSequin = costs.get('sequin')!;
  return names.map((name) => {
    const own = costs.get(name)!;
    const ratio = median(own.map((cost, round) => cost / ofSequin[round]!));
    const note =
      name === 'sequin' ? "log → FIFO queue: all of a sink's thread" : `${ratio.toFixed(2)} × sequin`;
    return { stage: `sink (${name})`, usPerRow: median(own), note };
  });
}

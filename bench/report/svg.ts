// Bars and lines as SVG text, small and without dependencies. A light card of its own, so that it reads on any page.

const INK = '#1f2328';
export const FAINT = '#656d76';
export const GRID = '#d0d7de';
const CARD = '#f6f8fa';
const FONT = 'font-family="ui-sans-serif, system-ui, sans-serif"';
export const WIDTH = 760;
export const PADDING = 24;
export const TITLE_HEIGHT = 56;

export const OWN_COLOURS: readonly string[] = ['#0969da', '#1a7f37', '#9a6700', '#8250df'];
export const REFERENCE_COLOUR = '#8c959f';

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

type Anchor = 'start' | 'middle' | 'end';

export function text(
  x: number,
  y: number,
  what: { text: string; anchor?: Anchor; size?: number; colour?: string; bold?: boolean },
): string {
  const { anchor = 'start', size = 13, colour = INK, bold = false } = what;
  const weight = bold ? ' font-weight="600"' : '';
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${FONT} font-size="${size}"${weight} fill="${colour}" text-anchor="${anchor}">${escape(what.text)}</text>`;
}

export function card(height: number, title: string, subtitle: string, content: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escape(title)}">`,
    `<rect width="${WIDTH}" height="${height}" rx="8" fill="${CARD}" stroke="${GRID}"/>`,
    text(PADDING, 28, { text: title, size: 16, bold: true }),
    text(PADDING, 47, { text: subtitle, size: 12, colour: FAINT }),
    ...content,
    '</svg>\n',
  ].join('\n');
}

export type Bar = { readonly label: string; readonly value: number; readonly isReference: boolean };

const BAR_HEIGHT = 22;
const BAR_PITCH = 34;
const LABELS_WIDTH = 150;
const VALUES_WIDTH = 90;

/** Horizontal bars from zero, longest as wide as the card. */
export function barChart(
  what: { title: string; subtitle: string; digits: number },
  bars: readonly Bar[],
): string {
  const most = Math.max(...bars.map(({ value }) => value));
  const room = WIDTH - 2 * PADDING - LABELS_WIDTH - VALUES_WIDTH;
  const content = bars.flatMap(({ label, value, isReference }, i) => {
    const y = TITLE_HEIGHT + 8 + i * BAR_PITCH;
    const x = PADDING + LABELS_WIDTH;
    const width = Math.max(1, (value / most) * room);
    const colour = isReference ? REFERENCE_COLOUR : OWN_COLOURS[0]!;
    const figure = value.toLocaleString('en', {
      maximumFractionDigits: what.digits,
      minimumFractionDigits: what.digits,
    });
    return [
      text(x - 10, y + 16, { text: label, anchor: 'end' }),
      `<rect x="${x}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" rx="3" fill="${colour}"/>`,
      text(x + width + 8, y + 16, { text: figure, bold: true }),
    ];
  });
  return card(TITLE_HEIGHT + 8 + bars.length * BAR_PITCH + 12, what.title, what.subtitle, content);
}

export type Curve = {
  readonly label: string;
  /** Milliseconds at each of `quantiles`. */
  readonly values: readonly number[];
};

export const PLOT_HEIGHT = 260;
export const AXIS_WIDTH = 60;
export const NAMES_WIDTH = 130;
const LABEL_PITCH = 16;
/** Quantiles in equal steps of nines; the last place is for the maximum. */
const MAX_PLACE = 3.7;
const placeOf = (quantile: number): number =>
  quantile >= 1 ? MAX_PLACE : Math.min(MAX_PLACE, -Math.log10(1 - quantile));
const TICKS: readonly (readonly [quantile: number, name: string])[] = [
  [0, 'min'],
  [0.5, 'p50'],
  [0.9, 'p90'],
  [0.99, 'p99'],
  [0.999, 'p99.9'],
  [1, 'max'],
];

/** Quantiles to the right in steps of nines, milliseconds upwards in decades. */
export function quantileChart(
  what: { title: string; subtitle: string; quantiles: readonly number[] },
  curves: readonly Curve[],
): string {
  const all = curves.flatMap(({ values }) => values).filter((value) => value > 0);
  const lowest = Math.floor(Math.log10(Math.min(...all)));
  const highest = Math.ceil(Math.log10(Math.max(...all)));
  const left = PADDING + AXIS_WIDTH;
  const right = WIDTH - PADDING - NAMES_WIDTH;
  const bottom = TITLE_HEIGHT + 12 + PLOT_HEIGHT;
  const xOf = (quantile: number): number => left + (placeOf(quantile) / MAX_PLACE) * (right - left);
  const yOf = (ms: number): number =>
    bottom - ((Math.log10(Math.max(ms, 10 ** lowest)) - lowest) / (highest - lowest)) * PLOT_HEIGHT;
  const content: string[] = [];
  for (let decade = lowest; decade <= highest; decade++) {
    const y = yOf(10 ** decade);
    content.push(
      `<line x1="${left}" x2="${right}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}" stroke="${GRID}"/>`,
      text(left - 8, y + 4, { text: `${10 ** decade} ms`, anchor: 'end', size: 12, colour: FAINT }),
    );
  }
  for (const [quantile, name] of TICKS) {
    content.push(text(xOf(quantile), bottom + 20, { text: name, anchor: 'middle', size: 12, colour: FAINT }));
  }
  const names = spread(curves.map(({ values }) => yOf(values.at(-1)!) + 4));
  for (const [i, { label, values }] of curves.entries()) {
    const colour = OWN_COLOURS[i % OWN_COLOURS.length]!;
    const points = values.map((ms, at) => `${xOf(what.quantiles[at]!).toFixed(1)},${yOf(ms).toFixed(1)}`);
    content.push(
      `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      text(right + 8, names[i]!, { text: label, colour, bold: true }),
    );
  }
  return card(bottom + 36, what.title, what.subtitle, content);
}

/** Moves labels apart that would lie on one another. */
export function spread(places: readonly number[]): number[] {
  const order = places.map((_, i) => i).toSorted((a, b) => places[a]! - places[b]!);
  const moved = [...places];
  for (let i = 1; i < order.length; i++) {
    const above = moved[order[i - 1]!]!;
    if (moved[order[i]!]! < above + LABEL_PITCH) moved[order[i]!] = above + LABEL_PITCH;
  }
  return moved;
}

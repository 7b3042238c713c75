// Lines over two axes that begin at zero, as SVG text.
import {
  AXIS_WIDTH,
  card,
  FAINT,
  GRID,
  NAMES_WIDTH,
  OWN_COLOURS,
  PADDING,
  PLOT_HEIGHT,
  REFERENCE_COLOUR,
  spread,
  text,
  TITLE_HEIGHT,
  WIDTH,
} from './svg.ts';

export type Series = {
  readonly label: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
  readonly isReference?: boolean;
};

const TICKS = 5;

/** `unit`: of what goes to the right. */
export function lineChart(
  what: { readonly title: string; readonly subtitle: string; readonly unit: string },
  series: readonly Series[],
): string {
  const points = series.flatMap((each) => each.points);
  const stepX = stepOf(Math.max(...points.map(({ x }) => x)));
  const stepY = stepOf(Math.max(...points.map(({ y }) => y)));
  const left = PADDING + AXIS_WIDTH;
  const right = WIDTH - PADDING - NAMES_WIDTH;
  const bottom = TITLE_HEIGHT + 12 + PLOT_HEIGHT;
  const xOf = (x: number): number => left + (x / (stepX * TICKS)) * (right - left);
  const yOf = (y: number): number => bottom - (y / (stepY * TICKS)) * PLOT_HEIGHT;
  const content: string[] = [];
  const small = { size: 12, colour: FAINT };
  for (let tick = 0; tick <= TICKS; tick++) {
    const y = yOf(tick * stepY);
    const [across, up] = [tick * stepX, tick * stepY].map((value) => value.toLocaleString('en'));
    content.push(
      `<line x1="${left}" x2="${right}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}" stroke="${GRID}"/>`,
      text(left - 8, y + 4, { ...small, text: up!, anchor: 'end' }),
      text(xOf(tick * stepX), bottom + 20, { ...small, text: `${across!} ${what.unit}`, anchor: 'middle' }),
    );
  }
  const names = spread(series.map((each) => yOf(each.points.at(-1)?.y ?? 0) + 4));
  let own = 0;
  for (const [i, each] of series.entries()) {
    const colour = each.isReference === true ? REFERENCE_COLOUR : OWN_COLOURS[own++ % OWN_COLOURS.length]!;
    const line = each.points.map(({ x, y }) => `${xOf(x).toFixed(1)},${yOf(y).toFixed(1)}`).join(' ');
    content.push(
      `<polyline points="${line}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      text(right + 8, names[i]!, { text: each.label, colour, bold: true }),
    );
  }
  return card(bottom + 36, what.title, what.subtitle, content);
}

/** Of round numbers, the least with which so many ticks reach the most. */
function stepOf(most: number): number {
  const least = Math.max(most, Number.MIN_VALUE) / TICKS;
  const decade = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 2.5, 5, 10].map((each) => each * decade).find((step) => step >= least * (1 - 1e-9))!;
}

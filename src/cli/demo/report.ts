// How the demo shows a message that came, how far it has got, and what it found. No line of ours is wider than 60 columns.
import { stripVTControlCharacters } from 'node:util';
import type { Painter } from '../ports.ts';
import { latencyText, wholeLatencyText } from '../times.ts';
import { exactlyOnce, inOrder, type Verdict } from './accounting.ts';
import type { Received } from './consumer.ts';
import type { Figures, Quantiles } from './figures.ts';

const ACTION_STYLES = { insert: 'green', update: 'yellow', delete: 'red' } as const;

/** Below this a message that is cut says nothing. */
const FEWEST_COLUMNS = 40;

/** `  12.3 ms  insert  public.users  {"id":1,…}`, cut where the terminal ends. */
export function formatReceived(
  { change, latencyMs, record }: Received,
  paint: Painter,
  columns: number | undefined,
): string {
  const head = [
    paint('dim', latencyText(latencyMs).padStart(9)),
    paint(ACTION_STYLES[change.action], change.action),
    `public.${change.table.padEnd(6)}`,
  ].join('  ');
  const body = JSON.stringify(record);
  // Some terminals say nothing, or 0.
  if (columns === undefined || columns < FEWEST_COLUMNS) return `${head}  ${body}`;
  const room = Math.max(0, columns - stripVTControlCharacters(head).length - 2);
  return `${head}  ${body.length > room ? `${body.slice(0, Math.max(0, room - 1))}…` : body}`;
}

export function formatProgress(verdict: Verdict, latency: Quantiles | undefined): string {
  const { committed, received, outstanding } = verdict;
  const times = latency === undefined ? '' : `; p50 ${fine(latency.p50)}, p99 ${fine(latency.p99)}`;
  return `— ${committed} committed, ${received} received, ${outstanding} on the way${times}`;
}

/** A line for each figure, a column for each piece of work. `missing`: what a change that has not come is called. */
export function formatFigures(
  figures: readonly Figures[],
  missing: 'lost' | 'on the way',
  paint: Painter,
): string[] {
  const rows: { label: string; of: (figures: Figures) => string; fault?: boolean }[] = [
    { label: '', of: ({ title }) => title },
    { label: 'rows', of: ({ rows }) => String(rows) },
    { label: 'per second', of: ({ perSecond }) => (perSecond === undefined ? '-' : perSecond.toFixed(0)) },
    { label: 'in the queue  p50', of: ({ queued }) => whole(queued?.p50) },
    { label: '              p99', of: ({ queued }) => whole(queued?.p99) },
    { label: 'received      p50', of: ({ received }) => fine(received?.p50) },
    { label: '              p99', of: ({ received }) => fine(received?.p99) },
    { label: 'repeated', of: ({ repeated }) => String(repeated), fault: true },
    { label: 'out of order', of: ({ outOfOrder }) => String(outOfOrder), fault: true },
    { label: missing, of: ({ lost }) => String(lost), fault: missing === 'lost' },
  ];
  if (figures.some(({ unexpected }) => unexpected > 0)) {
    rows.push({ label: 'never committed', of: ({ unexpected }) => String(unexpected), fault: true });
  }
  const widths = figures.map((one) => Math.max(...rows.map(({ of }) => of(one).length)));
  const labels = Math.max(...rows.map(({ label }) => label.length));
  return rows.map(({ label, of, fault }, index) => {
    const cells = figures.map((one, column) => {
      const text = of(one).padStart(widths[column]! + 2);
      if (index === 0) return paint('dim', text);
      return fault === true && of(one) !== '0' ? paint('red', text) : text;
    });
    return `${label.padEnd(labels)}${cells.join('')}`;
  });
}

export function formatVerdict(verdict: Verdict, final: boolean, paint: Painter): string {
  // What was on its way when somebody interrupted is no fault.
  const once = exactlyOnce(final ? verdict : { ...verdict, outstanding: 0 });
  const answer = (yes: boolean): string => (yes ? paint('green', 'yes') : paint('red', 'no'));
  return `exactly once: ${answer(once)}; in order per row: ${answer(inOrder(verdict))}`;
}

const fine = (value: number | undefined): string => (value === undefined ? '-' : latencyText(value));

/** Of times that are known to the millisecond. */
const whole = (value: number | undefined): string => (value === undefined ? '-' : wholeLatencyText(value));

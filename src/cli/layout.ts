// Fits text to whoever reads it: tables and lines to the width of a terminal, and as they are to everything else.
import { stripVTControlCharacters } from 'node:util';
import { visible } from '../telemetry/terminal-text.ts';
import type { Output, Painter } from './ports.ts';

/** Characters in a line; without a terminal nothing is cut or wrapped. */
export const widthOf = ({ isTTY, columns }: Output): number =>
  isTTY === true && columns !== undefined && columns > 0 ? columns : Infinity;

export const visibleLength = (text: string): number => stripVTControlCharacters(text).length;

/** `1 table`, `2 tables`. */
export const counted = (many: number, noun: string): string => `${many} ${noun}${many === 1 ? '' : 's'}`;

/** Between two cells. */
const GAP = '  ';
const INDENT = '  ';

/** Columns as wide as their widest cell; the first row is the heading. Where they do not fit, each row is a block of its own. */
export function table(paint: Painter, written: readonly (readonly string[])[], width = Infinity): string[] {
  const rows = written.map((row) => row.map(visible));
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => visibleLength(row[column]!))));
  const whole = widths.reduce((sum, column) => sum + column, 0) + GAP.length * (widths.length - 1);
  if (whole > width) return blocks(paint, rows, width);
  return rows.map((row, index) => {
    const cells = row.map((cell, column) => cell + ' '.repeat(widths[column]! - visibleLength(cell)));
    const line = cells.join(GAP).trimEnd();
    return index === 0 ? paint('dim', line) : line;
  });
}

/** The first two cells of a row as its title; the others below, each behind its heading. */
function blocks(paint: Painter, [heading, ...rows]: readonly (readonly string[])[], width: number): string[] {
  return rows.flatMap((row) => [
    ...wrapped([row.slice(0, 2).join(GAP)], ' ', width, INDENT),
    ...wrapped(
      row.slice(2).map((cell, at) => `${paint('dim', heading![at + 2]!)} ${cell}`),
      GAP,
      width - INDENT.length,
      '',
    )
      // A cell may be a sentence.
      .flatMap((line) => wrap(line, width - INDENT.length))
      .map((line) => INDENT + line),
  ]);
}

/** A sentence in lines of at most so many characters, the later ones indented. A word that is longer stays whole: it may be a command. */
export const wrap = (text: string, width: number, indent = ''): string[] =>
  // A line break that comes from outside makes no line that could pass for one of ours.
  text.split('\n').flatMap((part, at) => {
    const line = at === 0 ? visible(part) : `${indent}  ${visible(part)}`;
    return visibleLength(line) <= width ? [line] : wrapped(line.split(' '), ' ', width, indent);
  });

function wrapped(pieces: readonly string[], between: string, width: number, indent: string): string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const piece of pieces) {
    if (line === undefined) line = piece;
    else if (visibleLength(line) + between.length + visibleLength(piece) <= width) line += between + piece;
    else {
      lines.push(line);
      line = indent + piece;
    }
  }
  return line === undefined ? lines : [...lines, line];
}

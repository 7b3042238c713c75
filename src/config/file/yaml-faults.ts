// What the YAML parser has found wrong, in our words where its own are for who calls it.
import type { Document } from 'yaml';

/** Levels of nesting: more than any configuration has. */
export const MAX_DEPTH = 64;
export const TOO_DEEP = `this is nested deeper than ${MAX_DEPTH} levels, or refers to itself`;
/** What follows the first faults of the syntax is their consequence, most of the time. */
const MAX_PARSER_FAULTS = 20;

const ANOTHER_DOCUMENT =
  'another YAML document begins here: the configuration is one, so keep one of them and leave out the ---';

/** Said once: whatever else is found then follows from it. */
const TAB =
  'this line is indented with a tab, and YAML indents with spaces only: replace every tab at the beginning of a line';

/** What the parser has found; where it gave up for depth, or met a tab, only that. */
export function parserFaults(document: Document.Parsed, text: string): { place: number; message: string }[] {
  // Tags without a meaning are warned of, and said where they are read.
  const warnings = document.warnings.filter(({ code }) => code !== 'TAG_RESOLVE_FAILED');
  const found = [...document.errors, ...warnings];
  const tooDeep = found.find(({ code }) => code === 'RESOURCE_EXHAUSTION');
  if (tooDeep !== undefined) return [{ place: tooDeep.pos[0], message: TOO_DEEP }];
  const first = found.slice(0, MAX_PARSER_FAULTS);
  const tab = first.find(({ code, pos }) => code === 'TAB_AS_INDENT' || isBehindTab(text, pos[0]));
  if (tab !== undefined) return [{ place: tab.pos[0], message: TAB }];
  return first.map(({ code, pos, message }) => ({
    place: pos[0],
    message: code === 'MULTIPLE_DOCS' ? ANOTHER_DOCUMENT : firstLine(message),
  }));
}

/** Within brackets the parser only says that there is too little indentation. */
const isBehindTab = (text: string, place: number): boolean =>
  /^ *\t\s*$/.test(text.slice(text.lastIndexOf('\n', place - 1) + 1, place));

const firstLine = (text: string): string => text.split('\n')[0]!;

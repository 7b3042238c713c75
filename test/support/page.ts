// The fenced blocks of a documentation page, so that a test can run what a reader would.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

export type PageBlock = {
  /** As GitHub takes it: `sql`, `sh`, … */
  readonly language: string;
  /** The word behind it, which only tests read: who runs it, or what it is. */
  readonly role: string;
  readonly text: string;
  /** The file that the block quotes, by the comment before it. */
  readonly file: string | undefined;
};

const root = resolve(import.meta.dirname, '../..');
const BLOCK = /(?:<!-- file: (\S+) -->\n\n)?^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm;

/** In the order of the page. */
export const pageBlocks = (page: string): PageBlock[] =>
  [...readFileSync(resolve(root, page), 'utf8').matchAll(BLOCK)].map(([, file, language, role, text]) => ({
    language: language!,
    role: role ?? '',
    text: text!,
    file,
  }));

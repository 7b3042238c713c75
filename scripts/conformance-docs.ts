// What derives from the list of cases and from the tests that cite them: docs/conformance.md.
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CASES, type Case } from './conformance-cases.ts';

const root = resolve(import.meta.dirname, '..');

export type NumberedCase = Case & {
  /** As in `C001`. */
  readonly number: string;
  readonly section: string;
  /** Test files that cite it, in the order of their paths. */
  readonly tests: readonly string[];
};

const nameOf = (number: number): string => `C${String(number).padStart(3, '0')}`;

/** Of each case that is cited below test/: where. */
export function citations(): ReadonlyMap<string, readonly string[]> {
  const files = readdirSync(resolve(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.includes('node_modules'))
    .toSorted();
  const found = new Map<string, string[]>();
  for (const file of files) {
    for (const number of new Set(casesIn(readFileSync(resolve(root, 'test', file), 'utf8')))) {
      const name = nameOf(number);
      found.set(name, [...(found.get(name) ?? []), `test/${file}`]);
    }
  }
  return found;
}

/** `C001`, and of `C015–C017` all three. */
export function casesIn(text: string): number[] {
  return [...text.matchAll(/\bC(\d{3})(?:–C(\d{3}))?\b/g)].flatMap(([, first, last]) => {
    const from = Number(first);
    return Array.from({ length: Number(last ?? first) - from + 1 }, (_, i) => from + i);
  });
}

export function numberedCases(): NumberedCase[] {
  const cited = citations();
  let number = 0;
  return Object.entries(CASES).flatMap(([section, cases]) =>
    cases.map((entry) => {
      const name = nameOf(++number);
      const described = typeof entry === 'string' ? { title: entry } : entry;
      return { ...described, number: name, section, tests: cited.get(name) ?? [] };
    }),
  );
}

/** Markdown of docs/conformance.md. */
export function conformancePage(): string {
  const cases = numberedCases();
  const tested = cases.filter(({ tests }) => tests.length > 0).length;
  return `${introduction(tested, cases.length)}\n${Object.keys(CASES)
    .map((section) => sectionOf(section, cases))
    .join('\n')}`;
}

const introduction = (tested: number, all: number): string => `# Conformance

<!-- Written by \`npm run docs\` from scripts/conformance-cases.ts and the tests that cite a case. Do not edit. -->

What a consumer of \`pgoutput\` has to get right, from what the tests of its peers have found. ${tested} of the ${all} cases have a test
that cites them by their number (\`C065\`); the others say why not, and so do those of which something is left. Test files that end in \`.pg.test.ts\`
face a real Postgres.
`;

const sectionOf = (section: string, cases: readonly NumberedCase[]): string => {
  const rows = cases
    .filter((entry) => entry.section === section)
    .map(({ number, title, tests, reason }) => {
      const links = tests.map((file) => `[${file.slice('test/'.length)}](../${file})`);
      return `| ${number} | ${title} | ${[...links, ...(reason === undefined ? [] : [reason])].join(', ')} |`;
    });
  return [
    `## ${section}`,
    '',
    '| case | what | tests, or why not |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
};

// What pages and comments point at is there: links, their headings, sections of the architecture, and files that are named.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');

const filesBelow = (directory: string, end: string): string[] =>
  readdirSync(resolve(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(end))
    .map((file) => `${directory}/${file}`);
const read = (file: string): string => readFileSync(resolve(root, file), 'utf8');

const pages = ['README.md', 'CONTRIBUTING.md', ...filesBelow('docs', '.md')];
const sources = ['src', 'test', 'bench', 'scripts'].flatMap((directory) => filesBelow(directory, '.ts'));

/** As GitHub makes them. https://docs.github.com/en/get-started/writing-on-github (section links) */
const anchorsOf = (page: string): string[] =>
  [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

test.each(pages)('every link of %s leads somewhere', (page) => {
  const links = [...read(page).matchAll(/\]\((?!https?:)([^)\s]*)\)/g)].map(([, link]) => link!);
  const dead = links.filter((link) => {
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? page : relative(root, resolve(root, dirname(page), path));
    if (!existsSync(resolve(root, target))) return true;
    return anchor !== undefined && !anchorsOf(target).includes(anchor);
  });
  expect(dead).toEqual([]);
});

test('comments cite sections that the page on architecture has', () => {
  const sections = new Set(
    [...read('docs/architecture.md').matchAll(/^## (\d+)\. /gm)].map(([, number]) => number),
  );
  const wrong = sources.flatMap((file) =>
    [...read(file).matchAll(/[Aa]rchitecture(?: §(\d+)|:)/g)]
      .filter(([, number]) => !sections.has(number))
      .map(([citation]) => `${file}: ${citation}`),
  );
  expect(sections.size).toBeGreaterThan(0);
  expect(wrong).toEqual([]);
});

/** Where a page names files by the end of their paths, from the room on. */
const ROOMS =
  /`((?:src\/|test\/|bench\/|core|pgoutput|data-directory|postgres|log|formats|store|sinks|telemetry|pipeline|config|api|cli)[\w/.-]*\.ts)`/g;

test.each(['docs/architecture.md', 'CONTRIBUTING.md', 'docs/invariants.md', 'docs/glossary.md'])(
  'every file that %s names is there',
  (page) => {
    const named = [...read(page).matchAll(ROOMS)].map(([, file]) => file!);
    const missing = named.filter(
      (file) => !existsSync(resolve(root, file)) && !existsSync(resolve(root, 'src', file)),
    );
    expect(missing.filter((file) => !sources.some((source) => source.endsWith(`/${file}`)))).toEqual([]);
  },
);

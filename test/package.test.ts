// What the package carries: where its README points to, and nothing that asks to be run where it is installed.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';

const read = (file: string): string => readFileSync(resolve(import.meta.dirname, '..', file), 'utf8');
const manifest = JSON.parse(read('package.json')) as { files: string[]; scripts: Record<string, string> };

test('what the README links to comes with the package, but for what is about the checkout', () => {
  const links = [...read('README.md').matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, link]) => link!);
  expect(links).toContain('docs/getting-started.md');
  const carried = (link: string): boolean => manifest.files.includes(link.split('/')[0]!);
  expect([...new Set(links.filter((link) => !carried(link)))]).toEqual(['CONTRIBUTING.md']);
});

test('nothing runs where the package is installed: npm asks for a permission that nobody can judge', () => {
  const atInstall = /^(pre|post)?(install|prepare|prepublish)$/;
  expect(Object.keys(manifest.scripts).filter((name) => atInstall.test(name))).toEqual([]);
});

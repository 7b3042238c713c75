// The pages about services: each configuration in them is one that is accepted, each code one that the program has.
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadFiles } from './config/load-config.ts';
import { certificateAuthority } from './support/certificate-authority.ts';

const root = resolve(import.meta.dirname, '..');
const pages = readdirSync(resolve(root, 'docs/sources'));
const read = (page: string): string => readFileSync(resolve(root, 'docs/sources', page), 'utf8');

const sources = readdirSync(resolve(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(resolve(root, 'src', file), 'utf8'))
  .join('\n');

const configurations = (page: string): string[] =>
  [...read(page).matchAll(/```yaml\n(databases:[\s\S]*?)```/g)].map(([, text]) => text!);

const SINK = 'sinks: [{ name: all, destination: { type: sequin_stream } }]\n';

const authority = certificateAuthority('docs');
const own = authority.issue({ commonName: 'tailrace', passphrase: 'sesame' });

/** Every file that a page names. */
const fileAt = (path: string): string => {
  if (path.endsWith('.key')) return own.key;
  if (path.endsWith('client.pem')) return own.cert;
  return /\.(pem|crt)$/.test(path) ? authority.cert : 'a password';
};

describe.each(pages)('%s', (page) => {
  test('shows configurations that are accepted, and verify who answers', async () => {
    const shown = configurations(page);
    expect(shown.length).toBeGreaterThanOrEqual(page === 'heroku.md' ? 0 : 1);
    for (const text of shown) {
      const loaded = await loadFiles(
        {},
        {
          readFile: (path) =>
            path === '/srv/tailrace.yaml' ? Promise.resolve(text + SINK) : Promise.resolve(fileAt(path)),
          env: { HOME: '/home/me', KEY_PASSPHRASE: 'sesame' },
        },
      );
      expect(loaded.notes).toEqual([]);
      expect(loaded.settings.databases[0]!.tls.mode).toMatch(/^verify-/);
    }
  });

  test('names codes that the program has, and links back', () => {
    const codes = [...read(page).matchAll(/`([A-Z]+(?:_[A-Z]+)+|POOLER)`/g)].map(([, code]) => code!);
    const unknown = codes.filter(
      (code) => !/^PG|_BYPASS|^NODE_|DATABASE_URL/.test(code) && !sources.includes(`'${code}'`),
    );
    expect(unknown).toEqual([]);
    expect(page === 'connecting.md' || read(page).includes('(connecting.md)')).toBe(true);
  });
});

test('the page about connecting links every other', () => {
  const missing = pages.filter(
    (page) => page !== 'connecting.md' && !read('connecting.md').includes(`(${page})`),
  );
  expect(missing).toEqual([]);
});

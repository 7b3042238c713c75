// The example of docs/add-a-sink.md: it passes the suite of every sink, and one line in the registry gives it all the rest.
import { readFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { expect, test, vi } from 'vitest';
import { generatedFiles } from '../../scripts/generate-docs.ts';
import { redact } from '../../src/config/redact.ts';
import { publishedJsonSchema } from '../../src/config/schema/json-schema.ts';
import { faultLines, loadText } from '../config/load-config.ts';

// Declares the tests of every sink.
await import('./suite.ts');

/** The line in src/sinks/registry.ts. */
vi.mock('../../src/sinks/registry.ts', async (original) => {
  const registry = await original<typeof import('../../src/sinks/registry.ts')>();
  const { collector } = await import('./collector.ts');
  // Whoever follows the page to the letter has one of this type already.
  const others = registry.sinkDefinitions.filter(({ type }) => type !== collector.type);
  return {
    ...registry,
    sinkDefinitions: [...others, collector],
    sinkDefinition: (type: string) => (type === collector.type ? collector : registry.sinkDefinition(type)),
  };
});

const root = resolve(import.meta.dirname, '../..');

/** The text, with what it imports named from the repository's root. */
const fromRoot = (text: string, folder: string): string =>
  text.replaceAll(/from '(\.[^']+)'/g, (_, specifier: string) => {
    const path = relative(root, resolve(root, folder, specifier));
    return `from '${path}'`;
  });

test.each([
  ['src/sinks/collector/collector.ts', 'test/add-a-sink/collector.ts'],
  ['test/sinks/collector/collector.test.ts', 'test/add-a-sink/suite.ts'],
])('the page shows %s as it is tested here, word for word', (shown, tested) => {
  const page = readFileSync(resolve(root, 'docs/add-a-sink.md'), 'utf8');
  const block = new RegExp(`\`${shown}\`[^\`]*\n\`\`\`ts\n([\\s\\S]*?)\`\`\`\n`).exec(page)?.[1];
  const file = readFileSync(resolve(root, tested), 'utf8');
  expect(fromRoot(block ?? '', resolve(shown, '..'))).toBe(fromRoot(file, resolve(tested, '..')));
});

const config = (destination: string): string => `
databases:
  - { name: shop, hostname: localhost, database: shop, slot: { name: s }, publication: { name: p } }
sinks:
  - { name: lines, database: shop, destination: ${destination} }
`;

test('its keys are checked, with the nearest name, and its defaults stand', async () => {
  const { settings } = await loadText(config('{ type: collector, url: "http://localhost:1/x" }'));
  expect(settings.sinks[0]!.destination).toEqual({
    type: 'collector',
    config: { type: 'collector', url: 'http://localhost:1/x', timeout_ms: 10_000 },
  });
  const wrong = config('{ type: collector, url: "http://localhost:1/x", tokn: t, timeout_ms: 0 }');
  expect(await faultLines(loadText(wrong))).toEqual([
    expect.stringMatching(/^5:97 sinks\[lines\]\.destination\.tokn unknown key/),
    expect.stringMatching(/^5:\d+ sinks\[lines\]\.destination\.timeout_ms at least 1 is expected/),
  ]);
});

test('its secrets are not shown', async () => {
  const { settings } = await loadText(config('{ type: collector, url: "http://h/x", token: hunter2 }'));
  expect(JSON.stringify(settings)).toContain('hunter2');
  expect(JSON.stringify(redact(settings))).not.toContain('hunter2');
});

test('editors and the reference know it', async () => {
  expect(JSON.stringify(publishedJsonSchema())).toContain('"const":"collector"');
  const reference = (await generatedFiles()).get('docs/configuration.md');
  expect(reference).toContain('## `sinks[].destination` of type `collector`');
  expect(reference).toContain('Sent as a bearer token.');
});

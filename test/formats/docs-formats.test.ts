// docs/formats.md: every piece of configuration in it is one, and every message is what that makes of the change which the page tells of.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Relation } from '../../src/core/change.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { formatNames } from '../../src/formats/names.ts';
import { formats } from '../../src/formats/registry.ts';
import { buildRelation } from '../../src/pgoutput/enrichment.ts';
import { decodeRelation } from '../../src/pgoutput/messages.ts';
import { loadText } from '../config/load-config.ts';
import { keyOf, renderContext, renderRow } from '../support/decode.ts';
import { relationMessage, updateMessage } from '../support/pgoutput-messages.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/formats.md'), 'utf8');

/** Each YAML of the page, with the message behind it where there is one. */
const examples = [...page.matchAll(/```yaml\n(.*?)```\n(?:\n```json\n(.*?)```)?/gs)].map(
  ([, yaml, json]) => [yaml!, json] as const,
);

const NUMERIC_10_2 = ((10 << 16) | 2) + 4;
const COLUMNS = [
  { name: 'id', type: 23 },
  { name: 'name', type: 25 },
  { name: 'price', type: 1700, typeModifier: NUMERIC_10_2 },
  { name: 'made', type: 1184 },
];
const TYPE_NAMES = ['integer', 'text', 'numeric(10,2)', 'timestamp with time zone'];

function products(): Relation {
  const columns = COLUMNS.map((column) => ({ ...column, identity: true }));
  const message = relationMessage({ id: 1, schema: 'public', table: 'products', identity: 'f', columns });
  return buildRelation(decodeRelation(message, 0), {
    relationId: 1,
    key: ['id'],
    types: new Map(),
    typeNames: TYPE_NAMES,
  });
}

const MADE = '2026-01-02 03:04:05.5+00';
const UPDATE = updateMessage(1, ['7', 'cup', '12.50', MADE], {
  kind: 'full',
  row: ['7', 'cup', '9.90', MADE],
});

const fileWith = (yaml: string): string => `
databases:
  - { name: shop, hostname: localhost, database: app, slot: { name: s }, publication: { name: p } }
sinks:
  - name: products
    destination: { type: webhook, url: "https://example.com", batch: false }
    ${yaml.trim().replaceAll('\n', '\n    ')}
`;

test('the page has every format', () => {
  for (const name of formatNames) expect(page).toContain(`\n## \`${name}\`\n`);
  expect(examples.length).toBeGreaterThanOrEqual(formatNames.length);
  expect(examples.filter(([, json]) => json !== undefined).length).toBeGreaterThanOrEqual(formatNames.length);
});

test.each(examples)('what it shows for %j is so', async (yaml, json) => {
  const { settings } = await loadText(fileWith(yaml));
  const { format, formatOptions, values } = settings.sinks[0]!;
  const message = renderRow(
    products(),
    UPDATE,
    {
      format,
      formatOptions,
      values,
      severalActions: true,
      envelope: {
        sinkName: 'products',
        sinkId: '0b0c6c0e-4b0f-4f0a-9d7c-0a3a1f0e7b11',
        databaseId: '7c1f4f0c-1d7a-4e55-8d4b-5a0f3f6f9c22',
      },
    },
    { key: keyOf('w2n8b5k1-1-75BCD15-0') },
  );
  const sent = JSON.parse(message) as object;
  const shown = json === undefined ? sent : (JSON.parse(json) as object);
  expect(sent).toEqual(shown);
  expect(Object.keys(sent)).toEqual(Object.keys(shown));
});

test('what it shows of where a transaction begins and ends is so', async () => {
  const shown = [...page.matchAll(/^\{"action":"[BC]".*\}$/gm)].map(([line]) => line);
  const [yaml] = examples.find(([each]) => each.includes('include-transaction'))!;
  const { settings } = await loadText(fileWith(yaml));
  const form = formats.wal2json.transactions!(settings.sinks[0]!.formatOptions, 'json')!;
  const transaction = { ...renderContext().transaction, commitLsn: toLsn(123456789n) };
  const lineOf = (write: (writer: ByteWriter) => void): string => {
    const writer = new ByteWriter();
    write(writer);
    return writer.buffer.toString('utf8', 0, writer.length);
  };
  expect(shown).toEqual([
    lineOf((writer) => form.begin(transaction, writer)),
    lineOf((writer) => form.commit(transaction, toLsn(123456789n + 48n), writer)),
  ]);
});

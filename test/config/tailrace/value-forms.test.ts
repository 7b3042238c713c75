import { describe, expect, test } from 'vitest';
import type { MessageFormat } from '../../../src/formats/format.ts';
import { formats } from '../../../src/formats/registry.ts';
import { faultsOf, loadFiles, loadText } from '../load-config.ts';

const fileWith = (lines: string): string => `
databases:
  - { name: shop, hostname: localhost, database: shop, slot: { name: s }, publication: { name: p } }
sinks:
  - name: users
    database: shop
    ${lines}
    destination: { type: sqs, queue_name: users.fifo }
`;
const valuesOf = async (lines: string): Promise<unknown> =>
  (await loadText(fileWith(lines))).settings.sinks[0]!.values;

describe('the forms of values', () => {
  test.each(Object.entries(formats))(
    'are those of format %s where nothing is written',
    async (name, format) => {
      await expect(valuesOf(`format: ${name}`)).resolves.toEqual(format.values);
    },
  );

  test('can be chosen one by one, in every format that has no keys of its own for them', async () => {
    const written = {
      numeric: 'number',
      json: 'string',
      bytea: 'base64',
      interval: 'object',
      composite: 'text',
      hstore: 'text',
      vector: 'text',
      halfvec: 'text',
      timestamp_digits: 'as_needed',
      absent: 'null',
      unchanged: 'text',
    };
    const { timestamp_digits: timestampDigits, ...others } = written;
    for (const [format, { valuesOf: own }] of Object.entries<MessageFormat>(formats)) {
      if (own !== undefined) continue;
      await expect(valuesOf(`format: ${format}\n    values: ${JSON.stringify(written)}`)).resolves.toEqual({
        ...others,
        timestamps: 'iso8601',
        timestampDigits,
      });
      for (const [key, word] of Object.entries(others)) {
        await expect(valuesOf(`format: ${format}\n    values: { ${key}: ${word} }`)).resolves.toMatchObject({
          [key]: word,
        });
      }
    }
  });

  test('null is a word there, quoted or not', async () => {
    for (const word of ['null', '"null"', '~', '']) {
      await expect(valuesOf(`values: { absent: ${word} }`)).resolves.toMatchObject({ absent: 'null' });
    }
    await expect(valuesOf('values: { absent: omit }')).resolves.toMatchObject({ absent: 'omit' });
  });

  test('digits are a number, also out of a variable', async () => {
    const written = 'format: pg2sqs\n    values: { timestamp_digits: ';
    for (const digits of ['6', '"6"']) {
      await expect(valuesOf(`${written}${digits} }`)).resolves.toMatchObject({ timestampDigits: 6 });
    }
    const { settings } = await loadFiles(
      { '/srv/tailrace.yaml': fileWith(`${written}"\${DIGITS}" }`) },
      { env: { DIGITS: '6' } },
    );
    expect(settings.sinks[0]!.values.timestampDigits).toBe(6);
  });

  test('an unknown form is a fault that names the known ones, each once', async () => {
    const [digits, absent] = await faultsOf(
      loadText(fileWith('values: { timestamp_digits: 3, absent: nul }')),
    );
    expect(digits).toMatchObject({
      path: 'sinks[users].values.timestamp_digits',
      allowed: ['6', 'as_needed'],
    });
    expect(absent).toMatchObject({ nearest: 'null', allowed: ['omit', 'null'] });
  });
});

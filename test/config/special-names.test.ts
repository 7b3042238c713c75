// What every JavaScript object has by itself is nobody's key, variable, word or column.
import { describe, expect, test } from 'vitest';
import { redact } from '../../src/config/redact.ts';
import { parseEnvFile } from '../../src/config/pg2sqs/env-file.ts';
import { parseTemplate } from '../../src/core/template.ts';
import { statisticsLine } from '../../src/telemetry/statistics.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { serviceStatus, sinkStatus } from '../support/status.ts';
import { faultLines, faultsOf, loadFiles, loadText } from './load-config.ts';

const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'];

const withSink = (sink: string): string => `
databases: [{ name: a, hostname: localhost, database: d, slot_name: s, publication_name: p }]
sinks:
- ${sink}
`;
const withQueue = (queue: string): string => withSink(`{ name: s, destination: { type: sqs, ${queue} } }`);

describe.each(NAMES)('%s', (name) => {
  test('is a column of a template', () => {
    expect(parseTemplate(`\${${name}}`)).toEqual([{ kind: 'column', name }]);
  });

  test('is an unknown key, type or format like any other', async () => {
    const sinks = [
      `{ name: s, ${name}: x, destination: { type: sqs, queue_name: q } }`,
      `{ name: s, destination: { type: sqs, queue_name: q, ${name}: { a: 1 } } }`,
      `{ name: s, destination: { type: ${name}, queue_name: q } }`,
      `{ name: s, format: ${name}, destination: { type: sqs, queue_name: q } }`,
    ];
    for (const sink of sinks) {
      const faults = await faultsOf(loadText(withSink(sink)));
      expect(faults).toMatchObject([{ line: 4, message: expect.stringMatching(/unknown key|is not known/) }]);
    }
    expect(await faultLines(loadText(`${name}: { a: 1 }\n${withQueue('queue_name: q')}`))).toEqual([
      `1:1 ${name} unknown key`,
    ]);
  });

  test('names a sink, tables, columns and headers, and an annotation at any depth', async () => {
    const { settings } = await loadText(
      withSink(`{ name: ${name}, annotations: { ${name}: x, a: { ${name}: 7 } },
    source: { include_tables: [${name}.${name}] },
    tables: [{ name: ${name}.${name}, group_column_names: [${name}], columns: [${name}] }],
    destination: { type: webhook, url: "http://localhost/", headers: { ${name}: 007 } } }`),
    );
    const [sink] = settings.sinks;
    expect(sink).toMatchObject({ name, tables: [{ columns: [name], groupColumns: [name] }] });
    expect(JSON.stringify(sink!.annotations)).toBe(`{"${name}":"x","a":{"${name}":7}}`);
    expect(sink!.destination.config).toMatchObject({ headers: [{ key: name, value: '007' }] });
  });

  test('is a variable only where somebody has set it', async () => {
    const text = withQueue(`queue_name: "q-\${${name}}"`);
    expect(await faultLines(loadText(text))).toEqual([
      expect.stringContaining(`the variable ${name} is not set`),
    ]);
    const ofDefault = await loadText(withQueue(`queue_name: "q-\${${name}:-d}"`));
    expect(ofDefault.settings.sinks[0]!.destination.config).toMatchObject({ queue_name: 'q-d' });
    const env = Object.fromEntries([[name, 'set']]);
    const { settings } = await loadText(text, env);
    expect(settings.sinks[0]!.destination.config).toMatchObject({ queue_name: 'q-set' });
  });

  test('is a variable of a file of variables', () => {
    const faults: never[] = [];
    const variables = parseEnvFile(`${name}=v\nA=1\n`, { file: '.env', env: {}, faults });
    expect(Object.entries(variables)).toEqual([
      [name, 'v'],
      ['A', '1'],
    ]);
  });

  test('is no boolean of pg2sqs, and names a table of it', async () => {
    const env = {
      PG2SQS_POSTGRES_CONN_HOST: 'localhost',
      PG2SQS_POSTGRES_CONN_DATABASE: 'shop',
      PG2SQS_POSTGRES_CONN_USER: 'u',
      PG2SQS_POSTGRES_REPL_PUB: 'p',
      PG2SQS_POSTGRES_REPL_SLOT: 's',
      PG2SQS_T_0_NAME: `${name}.${name}`,
      PG2SQS_T_0_COLUMNS: name,
      PG2SQS_T_0_Q_NAME: 'q',
    };
    expect(await faultsOf(loadFiles({}, { env: { ...env, PG2SQS_DEBUG: name } }))).toMatchObject([
      { path: 'PG2SQS_DEBUG', message: 'true or false is expected' },
    ]);
    const { settings } = await loadFiles({}, { env });
    const [{ tables, destination }] = settings.sinks as [(typeof settings.sinks)[0]];
    expect(tables).toMatchObject([{ columns: [name] }]);
    expect(destination.config).toMatchObject({ tables: { [`${name}.${name}`]: { queue_name: 'q' } } });
  });

  test('as a key of a destination that its schema does not know is never shown', async () => {
    const { settings } = await loadText(withQueue('queue_name: q'));
    const config: unknown = JSON.parse(`{"type":"sqs","queue_name":"q","${name}":"s3cret"}`);
    const [sink] = settings.sinks;
    const stranger = { ...settings, sinks: [{ ...sink!, destination: { type: 'sqs', config } }] };
    expect(JSON.stringify(redact(stranger))).not.toContain('s3cret');
  });

  test('as the name of a sink stands in the statistics line as it is written', () => {
    const lines: string[] = [];
    const logger = createLogger({ level: 'info', destination: { write: (text) => lines.push(text) } });
    const status = serviceStatus({ sinks: [sinkStatus({ name, delivered: 7 })] });
    logger.info(statisticsLine(status, undefined, 1), 'statistics');
    const { sinks } = JSON.parse(lines[0]!) as { sinks: object };
    expect(Object.keys(sinks)).toEqual([expect.stringContaining(name)]);
    expect(Object.values(sinks)).toMatchObject([{ delivered: 7 }]);
  });
});

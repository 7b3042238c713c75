import { describe, expect, test } from 'vitest';
import type { Variables } from '../../src/config/file/variables.ts';
import { redact } from '../../src/config/redact.ts';
import { faultsOf, loadText } from './load-config.ts';

const open = `
databases: [{ name: shop, hostname: localhost, database: shop, slot_name: s, publication_name: p }]
sinks: [{ name: a, destination: { type: sequin_stream } }]
`;
const guarded = `${open}api_tokens: [{ name: ci, token: secret }]\n`;

const load = async (text: string, env: Variables) => {
  const { settings, notes } = await loadText(text, env);
  return { ...settings, notes };
};

describe('the API listens', () => {
  const listen = async (text: string, env: Variables) => {
    const { api, notes } = await load(text, env);
    return { ...(api.listen === 'off' ? {} : api.listen), notes };
  };
  const LOOPBACK_ONLY = [expect.stringContaining('the API listens on 127.0.0.1 only')];

  test.each([
    ['', guarded, {}, { host: '127.0.0.1', port: 7376, explicit: false, notes: [] }],
    [
      'on all interfaces',
      guarded,
      { SERVER_PORT: '9000' },
      { host: '0.0.0.0', port: 9000, explicit: true, notes: [] },
    ],
    [
      'at its host',
      guarded,
      { SERVER_PORT: '9000', SERVER_HOST: '10.0.0.7' },
      { host: '10.0.0.7', port: 9000, notes: [] },
    ],
    [
      'at its host',
      guarded,
      { SERVER_PORT: '9000', SERVER_HOST: 'localhost' },
      { host: 'localhost', port: 9000, notes: [] },
    ],
    ['at its host', guarded, { SERVER_HOST: '::' }, { host: '::', port: 7376, explicit: true, notes: [] }],
    [
      'on loopback',
      open,
      { SERVER_PORT: '9000' },
      { host: '127.0.0.1', port: 9000, explicit: true, notes: LOOPBACK_ONLY },
    ],
    [
      'on loopback',
      open,
      { SERVER_PORT: '9000', SERVER_HOST: '0.0.0.0' },
      { host: '127.0.0.1', port: 9000, notes: LOOPBACK_ONLY },
    ],
    [
      'on loopback',
      open,
      { SERVER_PORT: '9000', SERVER_HOST: '::1' },
      { host: '::1', port: 9000, notes: [] },
    ],
    [
      'on loopback',
      open,
      { SERVER_PORT: '', SERVER_HOST: '' },
      { host: '127.0.0.1', port: 7376, explicit: false, notes: [] },
    ],
  ])('%s: %#', async (_where, text, env, expected) => {
    expect(await listen(text, env)).toMatchObject(expected);
  });

  test('on no name of a server, which is what SERVER_HOST may be in Sequin', async () => {
    const env = { SERVER_PORT: '9000', SERVER_HOST: 'sequin.example.com' };
    expect(await listen(guarded, env)).toMatchObject({
      host: '0.0.0.0',
      port: 9000,
      notes: ['SERVER_HOST is passed over: "sequin.example.com" is no address to listen on'],
    });
  });

  test('where the file or our own variable says it, whatever Sequin’s variables say', async () => {
    const env = { SERVER_PORT: '9000', SERVER_HOST: '0.0.0.0' };
    const written = `${guarded}api: { listen: "127.0.0.1:1" }\n`;
    expect(await listen(written, env)).toMatchObject({ host: '127.0.0.1', port: 1, notes: [] });
    const ours = { ...env, TAILRACE_API_LISTEN: '127.0.0.2:2' };
    expect(await listen(guarded, ours)).toMatchObject({ host: '127.0.0.2', port: 2, notes: [] });
    expect((await load(`${guarded}api: { listen: off }\n`, env)).api.listen).toBe('off');
  });
});

describe('the metrics', () => {
  test.each([
    [{}, { host: '127.0.0.1', port: 8376, explicit: false }],
    [{ SEQUIN_METRICS_PORT: '9100' }, { host: '0.0.0.0', port: 9100, explicit: true }],
    [
      // As in our image.
      { SEQUIN_METRICS_PORT: '9100', TAILRACE_METRICS_LISTEN: '10.0.0.7:8376' },
      { host: '10.0.0.7', port: 9100, explicit: true },
    ],
    [{ SEQUIN_METRICS_PORT: '9100', TAILRACE_METRICS_LISTEN: 'off' }, 'off'],
  ])('listen where %j says', async (env, expected) => {
    expect((await load(open, env)).metrics.listen).toEqual(expected);
  });

  test('listen where the file says it in any case', async () => {
    const written = `${open}metrics: { listen: "127.0.0.1:1" }\n`;
    expect((await load(written, { SEQUIN_METRICS_PORT: '9100' })).metrics.listen).toMatchObject({ port: 1 });
  });

  test.each([
    [{}, '', undefined],
    [{ SEQUIN_METRICS_USER: 'u', SEQUIN_METRICS_PASSWORD: 'p' }, '', { username: 'u', password: 'p' }],
    [{ SEQUIN_METRICS_USER: 'u' }, '', { username: 'u', password: '' }],
    [{ SEQUIN_METRICS_PASSWORD: 'p' }, '', { username: '', password: 'p' }],
    [{ SEQUIN_METRICS_USER: '', SEQUIN_METRICS_PASSWORD: '' }, '', undefined],
    [
      { SEQUIN_METRICS_USER: 'u', SEQUIN_METRICS_PASSWORD: 'p' },
      'metrics: { username: mine, password: 007 }',
      { username: 'mine', password: '007' },
    ],
  ])('demand who %j and "%s" say', async (env, lines, login) => {
    const { settings } = await loadText(`${open}${lines}\n`, env);
    expect(settings.metrics.login).toEqual(login);
    expect(redact(settings).metrics.login).toEqual(login && { ...login, password: '***' });
  });
});

test.each([
  [{}, '', { logLevel: 'info', logFormat: 'auto', notes: [] }],
  [{ LOG_LEVEL: 'debug', SEQUIN_LOG_FORMAT: 'console' }, '', { logLevel: 'debug', logFormat: 'console' }],
  [
    { LOG_LEVEL: 'Warning', SEQUIN_LOG_FORMAT: 'DATADOG_JSON' },
    '',
    { logLevel: 'warn', logFormat: 'datadog_json' },
  ],
  [{ LOG_LEVEL: 'notice' }, '', { logLevel: 'info' }],
  [
    { LOG_LEVEL: 'error', SEQUIN_LOG_FORMAT: 'console' },
    'log_level: warn\nlog_format: json',
    { logLevel: 'warn', logFormat: 'json' },
  ],
  [
    { LOG_LEVEL: 'constructor', SEQUIN_LOG_FORMAT: 'xml' },
    '',
    {
      logLevel: 'info',
      logFormat: 'auto',
      notes: [
        'LOG_LEVEL is passed over: "constructor" is none of debug, info, notice, warning, warn, error',
        'SEQUIN_LOG_FORMAT is passed over: "xml" is none of console, datadog_json, json',
      ],
    },
  ],
])('the log is as %j says, where the file is silent: "%s"', async (env, lines, expected) => {
  expect(await load(`${open}${lines}\n`, env)).toMatchObject(expected);
});

test.each(['SERVER_PORT', 'SEQUIN_METRICS_PORT'])('%s that is no port is an error', async (name) => {
  for (const port of ['http', '70000', '-1']) {
    expect(await faultsOf(loadText(open, { [name]: port }))).toMatchObject([
      { file: 'environment', path: name, message: 'a port from 0 to 65535 is expected' },
    ]);
  }
});

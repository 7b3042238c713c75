import { describe, expect, test } from 'vitest';
import type { Fault } from '../../../src/config/file/faults.ts';
import { parseEnvFile } from '../../../src/config/pg2sqs/env-file.ts';
import { faultsOf, loadFiles } from '../load-config.ts';

const parse = (text: string, env: Record<string, string> = {}) => {
  const faults: Fault[] = [];
  const variables = parseEnvFile(text, { file: '.env', env, faults });
  return { variables, faults };
};

describe('a file of variables', () => {
  test.each([
    ['A=1\nB=two words  \nC=\n', { A: '1', B: 'two words', C: '' }],
    ['export A = 1\r\nB: two\r\n', { A: '1', B: 'two' }],
    ['# a comment\n\n  # another\nA=1 # behind\nB=a#b\nC=#c', { A: '1', B: 'a#b', C: '#c' }],
    [
      `A='it is $RAW \\n'\nB="line\\nbreak \\"x\\" \\$HOME" # note\n`,
      { A: 'it is $RAW \\n', B: 'line\nbreak "x" $HOME' },
    ],
    ['A="-----BEGIN\nmiddle\nEND"\nB=2', { A: '-----BEGIN\nmiddle\nEND', B: '2' }],
    ['HOST=db\nURL=http://${HOST}:$PORT/x\n', { HOST: 'db', URL: 'http://db:99/x' }],
    ['G=${%table%}-${id}\nH="${%table%}${ID}"', { G: '${%table%}-${id}', H: '${%table%}${ID}' }],
    ['PG2SQS_T_0_Q_GROUPID=${%table%}${id}\n', { PG2SQS_T_0_Q_GROUPID: '${%table%}${id}' }],
    ['\uFEFFA=1', { A: '1' }],
    ['', {}],
  ])('%j is read', (text, variables) => {
    expect(parse(text, { PORT: '99' })).toEqual({ variables, faults: [] });
  });

  test.each([
    ['A=1\nnot an assignment\n', { line: 2, message: 'NAME=value is expected here' }],
    ['A=1\n\nSECRET="open\nB=2\n', { line: 3, path: 'SECRET', message: 'this quote does not end' }],
    [`A='x' y`, { line: 1, path: 'A' }],
  ])('%j has a fault at its line, which repeats no value', (text, fault) => {
    const { faults } = parse(text);
    expect(faults).toMatchObject([fault]);
    expect(JSON.stringify(faults)).not.toContain('open');
  });
});

const envFile = `
PG2SQS_POSTGRES_CONN_HOST=localhost
PG2SQS_POSTGRES_CONN_DATABASE=depot
PG2SQS_POSTGRES_CONN_USER=reader
PG2SQS_POSTGRES_REPL_PUB=depot_pub
PG2SQS_POSTGRES_REPL_SLOT=depot_slot
PG2SQS_T_0_NAME=parcels
PG2SQS_T_0_Q_NAME=parcels
AWS_REGION=eu-west-1
`;

describe('ENV_FILE', () => {
  test('brings the variables of pg2sqs, and others for the process; what is set wins over it', async () => {
    const loaded = await loadFiles(
      { '/srv/depot.env': envFile },
      { env: { ENV_FILE: 'depot.env', PG2SQS_POSTGRES_CONN_USER: 'other', AWS_REGION: undefined } },
    );
    expect(loaded.settings.databases[0]).toMatchObject({ username: 'other', database: 'depot' });
    expect(loaded.isPg2sqs).toBe(true);
    expect(loaded.variables).toMatchObject({ AWS_REGION: 'eu-west-1' });
  });

  test('may name the file of pg2sqs', async () => {
    const yaml =
      'postgres: { conn: { host: localhost, database: one, user: u }, repl: { slot: s, pub: p } }\ntables: { t: { queue: { name: q } } }\n';
    const files = { '/srv/a.env': 'PG2SQS_CONFIG_PATH=/etc/pg.yaml', '/etc/pg.yaml': yaml };
    expect((await loadFiles(files, { env: { ENV_FILE: '/srv/a.env' } })).source).toBe('/etc/pg.yaml');
  });

  test('that is not there, or is none, is an error', async () => {
    expect(await faultsOf(loadFiles({}, { env: { ENV_FILE: 'no.env' } }))).toEqual([
      { file: 'environment', path: 'ENV_FILE', message: 'there is no file /srv/no.env' },
    ]);
    expect(await faultsOf(loadFiles({ '/srv/a.env': 'x' }, { env: { ENV_FILE: 'a.env' } }))).toMatchObject([
      { file: 'a.env', line: 1, message: 'NAME=value is expected here' },
    ]);
  });

  test('means nothing beside a tailrace.yaml', async () => {
    const yaml = `
databases: [{ name: shop, hostname: localhost, database: shop, slot_name: s, publication_name: p }]
sinks: [{ name: a, destination: { type: sequin_stream } }]
`;
    const loaded = await loadFiles({ '/srv/tailrace.yaml': yaml }, { env: { ENV_FILE: 'no.env' } });
    expect(loaded).toMatchObject({ isPg2sqs: false, variables: {} });
  });
});

// What libpq would find around a program: services, PG* variables, ~/.pgpass; and what of it counts where.
import { describe, expect, test } from 'vitest';
import { faultOfParameters, parseAuthMethods } from '../../src/config/libpq/parameters.ts';
import { readSurroundings, sectionOf } from '../../src/config/libpq/surroundings.ts';
import { parseTarget } from '../../src/cli/tail/target.ts';
import { faultLines, faultsOf, loadFiles, type Files } from './load-config.ts';
import { certificateAuthority } from '../support/certificate-authority.ts';

type Env = Readonly<Record<string, string>>;

const HOME = { HOME: '/home/me' };
const PASSWORD_FILE = { from: 'pgpass', file: '/home/me/.pgpass', otherwise: 'postgres' };

const config = (lines: string): string => `
databases:
  - name: shop
${lines}
    slot_name: s
    publication_name: p
sinks: [{ name: a, destination: { type: sequin_stream } }]
`;

const load = (lines: string, env: Env = {}, files: Files = {}) =>
  loadFiles({ '/srv/tailrace.yaml': config(lines), ...files }, { env: { ...HOME, ...env } });

const databaseOf = async (lines: string, env: Env = {}, files: Files = {}) =>
  (await load(lines, env, files)).settings.databases[0]!;

const WRITTEN = '    hostname: db\n    database: shop';

describe('the variables of libpq', () => {
  const env = {
    PGHOST: 'env-1,env-2',
    PGPORT: '6001,6002',
    PGDATABASE: 'envdb',
    PGUSER: 'envuser',
    PGPASSWORD: 'envpassword',
    PGSSLMODE: 'verify-full',
    PGCHANNELBINDING: 'require',
    PGREQUIREAUTH: 'scram-sha-256',
    PGSSLNEGOTIATION: 'direct',
  };

  test('stand for all that is not written', async () => {
    expect(await databaseOf('    port: 7000', env)).toMatchObject({
      hosts: [
        { host: 'env-1', port: 6001 },
        { host: 'env-2', port: 6002 },
      ],
      database: 'envdb',
      username: 'envuser',
      password: 'envpassword',
      tls: { mode: 'verify-full', negotiation: 'direct' },
      authentication: { channelBinding: 'require', methods: ['scram-sha-256'] },
    });
  });

  test('stand for nothing that is', async () => {
    const lines = `${WRITTEN}
    port: 7000
    username: me
    password: ''
    tls: { mode: require }
    channel_binding: disable
    require_auth: [md5, password]`;
    expect(await databaseOf(lines, env)).toMatchObject({
      hosts: [{ host: 'db', port: 7000 }],
      database: 'shop',
      username: 'me',
      password: '',
      tls: { mode: 'require' },
      authentication: { channelBinding: 'disable', methods: ['md5', 'password'] },
    });
    expect((await databaseOf(`${WRITTEN}\n    ssl: false`, env)).tls).toEqual({ mode: 'disable' });
  });

  test('stand for what a URL leaves out', async () => {
    const one = await databaseOf('    url: postgres://me@db/shop?sslmode=require', env);
    expect(one).toMatchObject({
      hosts: [{ host: 'db', port: 5432 }],
      database: 'shop',
      username: 'me',
      password: 'envpassword',
      tls: { mode: 'require', negotiation: 'direct' },
    });
    expect(await databaseOf('    url: postgres://', env)).toMatchObject({
      hosts: [{ host: 'env-1', port: 6001 }, { host: 'env-2' }],
      database: 'envdb',
    });
  });

  test('with a port alone change that of the hosts which name none', async () => {
    const lines = '    hostname: db-1,db-2:5433\n    database: shop';
    expect((await databaseOf(lines, { PGPORT: '6000' })).hosts).toEqual([
      { host: 'db-1', port: 6000 },
      { host: 'db-2', port: 5433 },
    ]);
  });

  test('with a list of ports alone give each host its own, an empty one the usual; a list that does not fit is a fault', async () => {
    const lines = '    hostname: db-1,db-2:5433,db-3\n    database: shop';
    expect((await databaseOf(lines, { PGPORT: '6001, 6002,' })).hosts).toEqual([
      { host: 'db-1', port: 6001 },
      { host: 'db-2', port: 5433 },
      { host: 'db-3', port: 5432 },
    ]);
    const url = '    url: postgres://db-1,db-2/shop';
    expect((await databaseOf(url, { PGPORT: '6001,6002' })).hosts).toMatchObject([
      { port: 6001 },
      { port: 6002 },
    ]);
    for (const [written, ports] of [
      [lines, '6001,6002'],
      [WRITTEN, '6001,6002'],
      [url, '6001,6002,6003'],
    ] as const)
      expect(await faultsOf(load(written, { PGPORT: ports }))).toMatchObject([
        {
          file: 'environment',
          path: 'PGPORT',
          message: expect.stringContaining('one for each host') as string,
        },
      ]);
    // Where the ports are written, the variable says nothing.
    expect((await databaseOf(`${WRITTEN}\n    port: 7000`, { PGPORT: '1,2' })).hosts).toEqual([
      { host: 'db', port: 7000 },
    ]);
  });

  test('that are empty say nothing', async () => {
    const empty = Object.fromEntries(Object.keys(env).map((name) => [name, '']));
    expect(await databaseOf(WRITTEN, empty)).toMatchObject({
      hosts: [{ host: 'db', port: 5432 }],
      username: 'postgres',
      password: PASSWORD_FILE,
      tls: { mode: 'prefer' },
      authentication: { channelBinding: 'prefer' },
    });
  });

  test.each([
    ['PGPORT', 'http', 'a port from 1 to 65535 is expected, or a list of them'],
    ['PGPORT', '1,0', 'a port from 1 to 65535 is expected, or a list of them'],
    ['PGSSLMODE', 'on', 'sslmode is one of disable, allow, prefer, require, verify-ca, verify-full'],
    ['PGCHANNELBINDING', 'yes', 'channel_binding is one of disable, prefer, require'],
    ['PGSSLNEGOTIATION', 'direct', 'sslnegotiation=direct needs sslmode=require or more'],
    ['PGREQUIREAUTH', 'kerberos', expect.stringContaining('scram-sha-256')],
    ['PGSSLROOTCERT', 'none.pem', 'there is no file /srv/none.pem'],
  ])('%s=%s is a fault of that variable', async (name, value, message) => {
    expect(await faultsOf(load(WRITTEN, { [name]: value }))).toMatchObject([
      { file: 'environment', path: name, message },
    ]);
  });

  test('or the file have to name hosts and database', async () => {
    expect(await faultLines(load('    port: 1'))).toEqual([
      expect.stringContaining('this is missing (database, or url)'),
      expect.stringContaining('this is missing (hostname, or url)'),
    ]);
    expect(await faultLines(load('    url: postgres://'))).toEqual([
      expect.stringContaining('this URL names no host'),
      expect.stringContaining('this URL names no database'),
    ]);
  });
});

describe('a service', () => {
  const FILE = `
# ours
[other]
host=other
[shop]
host=service-host
port=6003
dbname = servicedb
user=serviceuser
application_name=x
nonsense=x
user=second
[shop]
password=late
`;
  const files = { '/home/me/.pg_service.conf': FILE };

  test('has its own lines only, of which the first counts', () => {
    expect([...sectionOf(FILE, 'other')!]).toEqual([['host', 'other']]);
    expect(sectionOf(FILE, 'shop')!.get('user')).toBe('serviceuser');
    expect(sectionOf(FILE, 'shop')!.has('password')).toBe(false);
    expect(sectionOf(FILE, 'nobody')).toBeUndefined();
  });

  test.each([
    ['PGSERVICE', '    annotations: {}', { PGSERVICE: 'shop' }],
    ['the configuration', '    service: shop', {}],
    ['the configuration, against PGSERVICE', '    service: shop', { PGSERVICE: 'other' }],
    ['a URL', '    url: postgres://?service=shop', { PGSERVICE: 'other' }],
  ])('named by %s wins over variables, and not over what is written', async (_by, lines, env) => {
    const around = { PGHOST: 'env', PGUSER: 'envuser', PGPASSWORD: 'envpassword' };
    const { settings, notes } = await load(lines, { ...around, ...env }, files);
    expect(settings.databases[0]).toMatchObject({
      hosts: [{ host: 'service-host', port: 6003 }],
      database: 'servicedb',
      username: 'serviceuser',
      password: 'envpassword',
    });
    expect(notes).toEqual(
      expect.arrayContaining([
        '/home/me/.pg_service.conf: application_name of service shop is passed over',
        '/home/me/.pg_service.conf: nonsense of service shop is no parameter of libpq, and passed over',
      ]),
    );
  });

  test('that no file has is a fault where it is named', async () => {
    const message =
      'there is no service "nobody" in /home/me/.pg_service.conf or /etc/postgresql-common/pg_service.conf';
    expect(await faultsOf(load(`${WRITTEN}\n    service: nobody`, {}, files))).toMatchObject([
      { path: 'databases[shop].service', line: 6, message },
    ]);
    expect(await faultsOf(load(WRITTEN, { PGSERVICE: 'nobody' }, files))).toMatchObject([
      { file: 'environment', path: 'PGSERVICE', message },
    ]);
  });

  test('is looked for in PGSERVICEFILE, then in the file of the system', async () => {
    const read = async (env: Env) =>
      (
        await readSurroundings({
          env: { ...HOME, ...env },
          cwd: '/srv',
          readFile: (path) =>
            path === '/etc/pg/pg_service.conf' || path === '/srv/mine'
              ? Promise.resolve(`[shop]\nhost=${path}`)
              : Promise.reject(Object.assign(new Error(), { code: 'ENOENT' })),
        })
      ).parameters.hosts;
    const env = { PGSERVICE: 'shop', PGSYSCONFDIR: '/etc/pg' };
    expect(await read(env)).toEqual([{ host: '/etc/pg/pg_service.conf' }]);
    expect(await read({ ...env, PGSERVICEFILE: 'mine' })).toEqual([{ host: '/srv/mine' }]);
  });
});

describe('a password', () => {
  test.each<[string, Env, unknown]>([
    ['', {}, PASSWORD_FILE],
    ['', { PGPASSFILE: '/run/pgpass' }, { ...PASSWORD_FILE, file: '/run/pgpass' }],
    ['    password: secret', { PGPASSWORD: 'other' }, 'secret'],
    ['    password_file: pw', { PGPASSWORD: 'other' }, { from: 'file', file: '/srv/pw' }],
    [
      '    password_command: [vault, read]',
      {},
      { from: 'command', argv: ['vault', 'read'], timeoutMs: 10_000 },
    ],
    [
      '    tls: { mode: require }\n    rds_iam: true',
      { PGPASSWORD: 'other' },
      { from: 'rds_iam', useTaskRole: false },
    ],
    [
      '    tls: {}\n    rds_iam: { region: eu-west-1, role_arn: r, external_id: e, profile: p, use_task_role: true }',
      {},
      {
        from: 'rds_iam',
        region: 'eu-west-1',
        roleArn: 'r',
        externalId: 'e',
        profile: 'p',
        useTaskRole: true,
      },
    ],
  ])('is where "%s" and %j say', async (lines, env, password) => {
    const files = { '/srv/pw': 'secret\n' };
    expect((await databaseOf(`${WRITTEN}\n${lines}`, env, files)).password).toEqual(password);
  });

  test.each([
    [
      '    password: a\n    password_file: pw',
      'password and password_file are different passwords: keep one',
    ],
    [
      '    password_file: pw\n    rds_iam: true\n    tls: {}',
      'password_file and rds_iam are different passwords: keep one',
    ],
    ['    password_file: none', 'there is no file /srv/none'],
    ['    password_file: empty', 'empty is empty'],
    ['    password_command: []', 'this list is empty'],
    ['    rds_iam: true', expect.stringContaining('an IAM token is sent as it is, and TLS mode is prefer')],
  ])('cannot be %j', async (lines, message) => {
    const files = { '/srv/pw': 'secret\n', '/srv/empty': '\n' };
    expect(await faultsOf(load(`${WRITTEN}\n${lines}`, {}, files))).toMatchObject([{ message }]);
  });

  test('in a URL has no other beside it', async () => {
    const lines = '    url: postgres://me:secret@db/shop\n    password_file: pw';
    expect(await faultsOf(load(lines, {}, { '/srv/pw': 'x' }))).toMatchObject([
      { message: 'url has a password already: give one of the two' },
    ]);
  });
});

describe('certificates of a database', () => {
  const authority = certificateAuthority('test');
  const own = authority.issue({ commonName: 'me' });
  const locked = authority.issue({ commonName: 'me', passphrase: 'sesame' });
  const files = {
    '/srv/ca.pem': authority.cert,
    '/srv/cert.pem': own.cert,
    '/srv/key.pem': own.key,
    '/srv/locked-cert.pem': locked.cert,
    '/srv/locked.pem': locked.key,
    '/dev/fd/63': authority.cert,
  };
  const at = (name: string) => ({ from: 'file', file: `/srv/${name}` });

  test.each<[string, Env, unknown]>([
    [
      '    tls: { ca: ca.pem, cert: cert.pem, key: key.pem }',
      {},
      { mode: 'verify-full', ca: at('ca.pem'), cert: at('cert.pem'), key: at('key.pem') },
    ],
    [
      '    tls: { ca: system, cert: locked-cert.pem, key: locked.pem, key_passphrase: sesame }',
      {},
      {
        mode: 'verify-full',
        ca: { from: 'system' },
        cert: at('locked-cert.pem'),
        key: at('locked.pem'),
        keyPassphrase: 'sesame',
      },
    ],
    // A pipe can be read once.
    ['    tls: { ca: /dev/fd/63 }', {}, { mode: 'verify-full', ca: authority.cert }],
    ['', { PGSSLMODE: 'require', PGSSLROOTCERT: '/srv/ca.pem' }, { mode: 'verify-ca', ca: at('ca.pem') }],
    [
      '',
      { PGSSLCERT: 'cert.pem', PGSSLKEY: 'key.pem' },
      { mode: 'prefer', cert: at('cert.pem'), key: at('key.pem') },
    ],
    ['', { PGSSLROOTCERT: 'system' }, { mode: 'verify-full', ca: { from: 'system' } }],
    // A tls block says all of it.
    ['    tls: { mode: require }', { PGSSLROOTCERT: 'none', PGSSLCERT: 'none' }, { mode: 'require' }],
  ])('"%s" with %j are read at each connect', async (lines, env, tls) => {
    expect((await databaseOf(`${WRITTEN}\n${lines}`, env, files)).tls).toEqual(tls);
  });

  test.each([
    ['{ ca: ca.pem, cert: locked-cert.pem, key: key.pem }', 'this is the key of another certificate'],
    [
      '{ ca: ca.pem, cert: locked-cert.pem, key: locked.pem }',
      'this key is encrypted: give tls.key_passphrase (in a URL: sslpassword)',
    ],
    [
      '{ cert: locked-cert.pem, key: locked.pem, key_passphrase: wrong }',
      'the passphrase does not open this key',
    ],
    ['{ cert: cert.pem }', 'tls.key is needed beside tls.cert'],
    ['{ key_passphrase: x }', 'tls.key is needed beside tls.key_passphrase'],
    [
      '{ mode: prefer, negotiation: direct }',
      'direct begins with TLS, and tls.mode is prefer: write require or more',
    ],
  ])('%s is a fault', async (tls, message) => {
    expect(await faultsOf(load(`${WRITTEN}\n    tls: ${tls}`, {}, files))).toMatchObject([{ message }]);
  });

  test('that a mode does not use are one note', async () => {
    const { notes } = await load(`${WRITTEN}\n    tls: { mode: require, ca: ca.pem }`, {}, files);
    expect(notes).toEqual([
      'database shop: TLS mode "require" verifies nothing, so the certificate authority is not used; verify-full does',
    ]);
  });
});

test.each([
  ['scram-sha-256, md5', ['scram-sha-256', 'md5']],
  ['!password,!none', ['scram-sha-256', 'md5']],
  ['scram-sha-256,!md5', undefined],
  ['gss', undefined],
  ['', undefined],
])('require_auth=%s allows %j', (text, methods) => {
  expect(parseAuthMethods(text)).toEqual(methods);
});

test('parameters that contradict each other are told by name', () => {
  expect(faultOfParameters({ sslnegotiation: 'direct' })).toMatchObject({ name: 'sslnegotiation' });
  expect(faultOfParameters({ sslnegotiation: 'direct', sslrootcert: 'system' })).toBeUndefined();
});

describe('tail', () => {
  const target = (url: string, env: Env = {}) =>
    parseTarget(url, {
      env: { ...HOME, ...env },
      cwd: '/srv',
      note: () => undefined,
      readFile: () => Promise.reject(Object.assign(new Error(), { code: 'ENOENT' })),
    });

  test('finds what its URL leaves out as psql does', async () => {
    expect(await target('postgres://db/shop', { PGUSER: 'me', PGPORT: '6000' })).toMatchObject({
      hosts: [{ host: 'db', port: 6000 }],
      username: 'me',
      password: { from: 'pgpass', file: '/home/me/.pgpass', otherwise: '' },
    });
    expect(await target('postgres://a,b/shop', { PGPORT: '6000,6001' })).toMatchObject({
      hosts: [
        { host: 'a', port: 6000 },
        { host: 'b', port: 6001 },
      ],
    });
    await expect(target('postgres://a/shop', { PGPORT: '6000,6001' })).rejects.toThrow('one for each host');
    expect(
      await target('postgres://?sslmode=require', { PGHOST: 'db', PGPASSWORD: 'pw', PGSSLMODE: 'disable' }),
    ).toMatchObject({
      hosts: [{ host: 'db', port: 5432 }],
      database: 'postgres',
      password: 'pw',
      tls: { mode: 'require' },
    });
    expect(await target('postgres://?passfile=/run/pgpass')).toMatchObject({
      password: { file: '/run/pgpass' },
    });
  });

  test('says what of the surroundings is wrong', async () => {
    await expect(target('postgres://db/shop', { PGSSLMODE: 'on' })).rejects.toThrow('PGSSLMODE');
    await expect(target('postgres://db/shop?service=nobody')).rejects.toThrow('no service "nobody"');
  });
});

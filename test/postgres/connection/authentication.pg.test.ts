import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Client } from 'pg';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../src/cli/demo/embedded-postgres.ts';
import { connectOrdinary, connectReplication } from '../../../src/postgres/connection/connection.ts';
import { identifySystem } from '../../../src/postgres/connection/identify-system.ts';
import type { DatabaseSettings, TlsSettings } from '../../../src/postgres/settings.ts';
import { certificateAuthority } from '../../support/certificate-authority.ts';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';

const HBA = `
hostssl all byscram 127.0.0.1/32 scram-sha-256
host all bymd5 127.0.0.1/32 md5
host all inclear 127.0.0.1/32 password
host all untold 127.0.0.1/32 trust
hostssl all bycert,other 127.0.0.1/32 cert
hostssl all byboth 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
hostnossl all bare 127.0.0.1/32 scram-sha-256
host all postgres 127.0.0.1/32 scram-sha-256
`;
const ROLES = ['byscram', 'bymd5', 'inclear', 'untold', 'bycert', 'other', 'byboth', 'bare'];

const authority = certificateAuthority('Tailrace test authority');
const stranger = certificateAuthority('Somebody else');
const NAMES = 'DNS:localhost,IP:127.0.0.1';

let server: EmbeddedPostgres;
let admin: Client;
let directory: string;
let version: number;

const file = (name: string): string => join(directory, name);

/** Postgres runs as nobody where we are root, and wants its key for itself. */
function writeOwned(name: string, text: string): void {
  writeFileSync(file(name), text);
  if (process.getuid?.() === 0) chownSync(file(name), 65534, 65534);
  chmodSync(file(name), 0o600);
}

function showServerCertificate(issued: { readonly cert: string; readonly key: string }): void {
  writeOwned('server.crt', issued.cert);
  writeOwned('server.key', issued.key);
}

const goodServer = authority.issue({ commonName: 'db.test', names: NAMES });

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tailrace-auth-'));
  if (process.getuid?.() === 0) chownSync(directory, 65534, 65534);
  showServerCertificate(goodServer);
  writeOwned('clients.crt', authority.cert);
  writeOwned('pg_hba.conf', HBA);
  const installation = process.env['TAILRACE_TEST_POSTGRES'];
  server = await startEmbeddedPostgres({
    ...(installation !== undefined && { installation }),
    settings: {
      ssl: 'on',
      ssl_cert_file: file('server.crt'),
      ssl_key_file: file('server.key'),
      ssl_ca_file: file('clients.crt'),
      hba_file: file('pg_hba.conf'),
    },
  });
  admin = await connectOrdinary(settingsOf({ username: 'postgres' }), target());
  version = await serverVersion(admin);
  for (const role of ROLES) {
    const encryption = role === 'bymd5' ? 'md5' : 'scram-sha-256';
    await admin.query(`set password_encryption = '${encryption}'`);
    await admin.query(`create role ${role} login replication password 'open sesame'`);
  }
});
afterAll(async () => {
  await admin?.end();
  await server?.remove();
  rmSync(directory, { recursive: true, force: true });
});

const target = (host = '127.0.0.1') => ({ host, port: server.port });

const settingsOf = (changes: Partial<DatabaseSettings>): DatabaseSettings => ({
  ...databaseSettings({ name: 'postgres', ...target() }),
  password: changes.username === 'postgres' ? 'postgres' : 'open sesame',
  tls: { mode: 'verify-full', ca: authority.cert },
  ...changes,
});

/** Both kinds of connections. */
async function open(settings: DatabaseSettings, host?: string): Promise<void> {
  const ordinary = await connectOrdinary(settings, target(host));
  await ordinary.end();
  const replication = await connectReplication(settings, target(host));
  await identifySystem(replication);
  await replication.client.end();
}

const REQUIRED = { channelBinding: 'require' } as const;

describe('who we are', () => {
  const client = authority.issue({ commonName: 'bycert' });
  const locked = authority.issue({ commonName: 'bycert', passphrase: 'abracadabra' });
  const tlsWith = (own: Partial<TlsSettings>): TlsSettings => ({
    mode: 'verify-full',
    ca: authority.cert,
    ...own,
  });

  test.each<[string, () => Partial<DatabaseSettings>]>([
    ['by SCRAM', () => ({ username: 'byscram' })],
    ['by SCRAM, bound to the certificate', () => ({ username: 'byscram', authentication: REQUIRED })],
    ['by SCRAM, unbound', () => ({ username: 'byscram', authentication: { channelBinding: 'disable' } })],
    ['by SCRAM, without TLS', () => ({ username: 'bare', tls: { mode: 'disable' } })],
    ['by md5 (C177)', () => ({ username: 'bymd5' })],
    ['by a password in clear', () => ({ username: 'inclear' })],
    ['by nothing', () => ({ username: 'untold' })],
    ['by certificate', () => ({ username: 'bycert', tls: tlsWith(client) })],
    [
      'by certificate, its key encrypted',
      () => ({ username: 'bycert', tls: tlsWith({ ...locked, keyPassphrase: 'abracadabra' }) }),
    ],
    [
      'by certificate and password, bound',
      () => ({ username: 'byboth', tls: tlsWith(client), authentication: REQUIRED }),
    ],
  ])('is told %s, on ordinary connections and for replication', async (_how, changes) => {
    await expect(open(settingsOf(changes()))).resolves.toBeUndefined();
  });

  test('is told by SCRAM with as many rounds as a careful administrator wants, and no more than means harm', async ({
    skip,
  }) => {
    if (version < 160_000) skip('the number of rounds cannot be chosen before 16');
    const setPassword = (rounds: string): Promise<unknown> =>
      admin.query(
        `set scram_iterations = ${rounds}; alter role byscram password 'open sesame'; reset scram_iterations`,
      );
    try {
      await setPassword('600000');
      await open(settingsOf({ username: 'byscram' }));
      // As a server would store it that asks for them: hashing takes too long for a test.
      await admin.query(
        `update pg_authid set rolpassword = replace(rolpassword, '$600000:', '$6000000:') where rolname = 'byscram'`,
      );
      await expect(open(settingsOf({ username: 'byscram' }))).rejects.toMatchObject({
        code: 'SCRAM_TOO_COSTLY',
        hint: expect.stringContaining('SET scram_iterations = 4096;'),
      });
    } finally {
      await setPassword('4096');
    }
    await open(settingsOf({ username: 'byscram' }));
  });

  test('that the server does not believe is refused, with what cures it', async () => {
    await expect(open(settingsOf({ username: 'other', tls: tlsWith(client) }))).rejects.toMatchObject({
      code: 'AUTHENTICATION_REFUSED',
      hint: expect.stringContaining('tls.cert has to be for the name "other"'),
    });
    await expect(open(settingsOf({ username: 'byboth' }))).rejects.toMatchObject({
      code: 'HBA_REFUSED',
      hint: expect.stringContaining('give tls.cert and tls.key'),
    });
    for (const own of [
      stranger.issue({ commonName: 'bycert' }),
      authority.issue({ commonName: 'bycert', expired: true }),
    ]) {
      await expect(open(settingsOf({ username: 'bycert', tls: tlsWith(own) }))).rejects.toMatchObject({
        code: 'TLS_CLIENT_REFUSED',
        hint: expect.stringContaining('tls.cert'),
      });
    }
    for (const keyPassphrase of [undefined, 'wrong']) {
      const tls = tlsWith({ ...locked, ...(keyPassphrase !== undefined && { keyPassphrase }) });
      await expect(open(settingsOf({ username: 'bycert', tls }))).rejects.toMatchObject({
        code: 'TLS_KEY',
        hint: expect.stringContaining('tls.key_passphrase'),
      });
    }
    const mixed = tlsWith({ cert: client.cert, key: authority.issue({ commonName: 'bycert' }).key });
    await expect(open(settingsOf({ username: 'bycert', tls: mixed }))).rejects.toMatchObject({
      code: 'TLS_KEY',
      hint: expect.stringContaining('another certificate'),
    });
  });

  test.each<[string, string, Partial<DatabaseSettings>]>([
    ['md5', 'bymd5', { authentication: REQUIRED }],
    ['a password in clear', 'inclear', { authentication: REQUIRED }],
    ['nothing', 'untold', { authentication: REQUIRED }],
    ['SCRAM without TLS', 'bare', { authentication: REQUIRED, tls: { mode: 'disable' } }],
    ['md5', 'bymd5', { authentication: { channelBinding: 'prefer', methods: ['scram-sha-256'] } }],
    ['a password in clear', 'inclear', { authentication: { channelBinding: 'prefer', methods: ['md5'] } }],
    ['nothing', 'untold', { authentication: { channelBinding: 'prefer', methods: ['scram-sha-256'] } }],
    ['SCRAM', 'byscram', { authentication: { channelBinding: 'prefer', methods: ['none'] } }],
  ])(
    'is not told where %s is asked (%s) and the settings do not allow it: %j',
    async (_what, username, changes) => {
      // The password is not even looked for.
      const password = { from: 'file', file: '/nonexistent/password' } as const;
      await expect(open(settingsOf({ username, password, ...changes }))).rejects.toMatchObject({
        code: 'AUTHENTICATION_UNWANTED',
        kind: 'fatal',
      });
    },
  );
});

describe('who the server is', () => {
  const reload = async (): Promise<void> => {
    await admin.query('select pg_reload_conf()');
  };
  const refusal = (tls: TlsSettings): Promise<string> =>
    open(settingsOf({ username: 'byscram', tls })).then(
      () => 'none',
      (error: { code: string }) => error.code,
    );
  /** The postmaster has taken a new certificate once a connection sees it. */
  const soon = { timeout: 30_000 };

  test.each(['verify-ca', 'verify-full'] as const)(
    'is not believed by %s of another authority, or none',
    async (mode) => {
      for (const tls of [{ mode, ca: stranger.cert }, { mode }, { mode, ca: { from: 'system' } as const }]) {
        await expect(open(settingsOf({ username: 'byscram', tls }))).rejects.toMatchObject({
          code: 'TLS_UNTRUSTED',
          kind: 'fatal',
          hint: expect.stringContaining('tls.ca'),
        });
      }
    },
  );

  test('is not believed under another name, nor once it has expired', async () => {
    const tls = { mode: 'verify-full', ca: authority.cert } as const;
    try {
      showServerCertificate(authority.issue({ commonName: 'db.test', names: 'DNS:db.test' }));
      await reload();
      await expect.poll(() => refusal(tls), soon).toBe('TLS_WRONG_NAME');
      await open(settingsOf({ username: 'byscram', tls: { ...tls, mode: 'verify-ca' } }));
      showServerCertificate(authority.issue({ commonName: 'db.test', names: NAMES, expired: true }));
      await reload();
      await expect.poll(() => refusal(tls), soon).toBe('TLS_EXPIRED');
      await expect.poll(() => refusal({ ...tls, mode: 'verify-ca' }), soon).toBe('TLS_EXPIRED');
    } finally {
      showServerCertificate(goodServer);
      await reload();
      await expect.poll(() => refusal(tls), soon).toBe('none');
    }
  });

  test.each([
    ['Ed25519', ['-newkey', 'ed25519', '-nodes']],
    ['Ed448', ['-newkey', 'ed448', '-nodes']],
  ])(
    'is bound to where its certificate lets it: one signed by %s does not, and is no hindrance unless binding is required',
    async (_name, key) => {
      const other = certificateAuthority('Another algorithm', key);
      const tls = { mode: 'verify-full', ca: other.cert } as const;
      try {
        showServerCertificate(other.issue({ commonName: 'db.test', names: NAMES }));
        await reload();
        await expect.poll(() => refusal(tls), soon).toBe('none');
        await expect(
          open(settingsOf({ username: 'byscram', tls, authentication: REQUIRED })),
        ).rejects.toMatchObject({
          code: 'AUTHENTICATION_UNWANTED',
          hint: expect.stringContaining('signed by RSA or ECDSA'),
        });
      } finally {
        showServerCertificate(goodServer);
        await reload();
        await expect.poll(() => refusal({ ...tls, ca: authority.cert }), soon).toBe('none');
      }
    },
  );

  test('is asked for TLS from the first byte where it can be', async () => {
    const tls = { mode: 'verify-full', ca: authority.cert, negotiation: 'direct' } as const;
    const opening = open(settingsOf({ username: 'byscram', tls, authentication: REQUIRED }));
    const outcome = await opening.then(
      () => 'opens',
      (error: { hint: string }) => error.hint,
    );
    expect(outcome).toContain(version >= 170_000 ? 'opens' : 'direct needs Postgres 17');
  });

  test('is told no password where something else takes TLS from the first byte', async () => {
    const received: string[] = [];
    const other = createTlsServer(goodServer, (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => {
        received.push(String(bytes));
        // AuthenticationCleartextPassword.
        socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]));
      });
    });
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
    const at = { host: '127.0.0.1', port: (other.address() as AddressInfo).port };
    const tls = { mode: 'verify-full', ca: authority.cert, negotiation: 'direct' } as const;
    await expect(connectOrdinary(settingsOf({ tls }), at)).rejects.toMatchObject({ code: 'TLS_NOT_DIRECT' });
    expect(received.join('')).not.toContain('open sesame');
    await new Promise((done) => other.close(done));
  });
});

describe('at the next connection', () => {
  const inFile = (name: string, text: string) => {
    writeFileSync(file(name), text);
    return { from: 'file', file: file(name) } as const;
  };

  test('what was changed on the disk is in force: authorities, client certificate, key', async () => {
    const client = authority.issue({ commonName: 'bycert' });
    const settings = settingsOf({
      username: 'bycert',
      tls: {
        mode: 'verify-full',
        ca: inFile('ca.pem', stranger.cert),
        cert: inFile('client.pem', client.cert),
        key: inFile('client.key', client.key),
      },
    });
    await expect(open(settings)).rejects.toMatchObject({ code: 'TLS_UNTRUSTED' });
    inFile('ca.pem', `${stranger.cert}${authority.cert}`);
    await open(settings);
    const other = authority.issue({ commonName: 'other' });
    inFile('client.pem', other.cert);
    inFile('client.key', other.key);
    await expect(open(settings)).rejects.toMatchObject({ code: 'AUTHENTICATION_REFUSED' });
    await open({ ...settings, username: 'other' });
    rmSync(file('client.key'));
    await expect(open(settings)).rejects.toMatchObject({
      code: 'TLS_FILE',
      message: expect.stringContaining(`tls.key: there is no file ${file('client.key')}`),
    });
  });

  test('a password is asked for anew: of its file, a command, a password file', async () => {
    const at = `127.0.0.1:${server.port}:postgres:byscram`;
    const sources = {
      file: inFile('password', 'open sesame\n'),
      command: { from: 'command', argv: ['/bin/cat', file('password')], timeoutMs: 30_000 },
      pgpass: { from: 'pgpass', file: file('pgpass'), otherwise: 'wrong' },
    } as const;
    const write = (password: string): void => {
      inFile('password', `${password}\n`);
      inFile('pgpass', `# ours\n${at}:${password.replaceAll(':', '\\:')}\n`);
      chmodSync(file('pgpass'), 0o600);
    };
    const openAll = async (): Promise<void> => {
      for (const password of Object.values(sources))
        await open(settingsOf({ username: 'byscram', password }));
    };
    try {
      write('open sesame');
      await openAll();
      await admin.query(`alter role byscram password 'open:barley'`);
      for (const password of Object.values(sources)) {
        await expect(open(settingsOf({ username: 'byscram', password }))).rejects.toMatchObject({
          code: 'PASSWORD_REFUSED',
        });
      }
      write('open:barley');
      await openAll();
      chmodSync(file('pgpass'), 0o644);
      await expect(open(settingsOf({ username: 'byscram', password: sources.pgpass }))).rejects.toMatchObject(
        {
          code: 'PASSWORD_REFUSED',
          message: expect.stringContaining(`others may read it: chmod 600 ${file('pgpass')}`),
        },
      );
    } finally {
      await admin.query(`alter role byscram password 'open sesame'`);
    }
  });
});

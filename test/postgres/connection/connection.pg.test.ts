import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../src/cli/demo/embedded-postgres.ts';
import { connectionFault } from '../../../src/postgres/connection/fault.ts';
import { connectOrdinary, connectReplication } from '../../../src/postgres/connection/connection.ts';
import { findPrimary } from '../../../src/postgres/connection/hosts.ts';
import { pinSession, PINNED_SETTINGS } from '../../../src/postgres/connection/session.ts';
import { identifySystem } from '../../../src/postgres/connection/identify-system.ts';
import { inspectDatabase } from '../../../src/postgres/preflight/preflight.ts';
import type { DatabaseSettings, TlsSettings } from '../../../src/postgres/settings.ts';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { backendMessage, errorResponse, startFakeServer } from '../../support/postgres-wire.ts';

let database: TestDatabase;
let settings: DatabaseSettings;

beforeAll(async () => {
  database = await createTestDatabase();
  settings = databaseSettings(database);
});
afterAll(() => database.drop());

const DONE = backendMessage('C', Buffer.from('SELECT 0\0'));
const target = () => settings.hosts[0]!;

describe('a session', () => {
  test('has its settings pinned on both connections, whatever the database says (C053, C257)', async () => {
    await database.client.query(`
      alter database ${database.name} set datestyle = 'Postgres, DMY';
      alter database ${database.name} set intervalstyle = 'sql_standard';
      alter database ${database.name} set timezone = 'Asia/Kolkata';
      alter database ${database.name} set bytea_output = 'escape';
      alter database ${database.name} set extra_float_digits = -1;
      alter database ${database.name} set client_encoding = 'LATIN1';
      alter database ${database.name} set statement_timeout = '1ms';
      alter database ${database.name} set default_transaction_read_only = on;
      alter database ${database.name} set default_transaction_isolation = serializable;
      alter database ${database.name} set quote_all_identifiers = on;
      alter database ${database.name} set client_min_messages = error;
      alter database ${database.name} set exit_on_error = on;
      alter database ${database.name} set search_path = nowhere;
    `);
    const later = (await serverVersion(database.client)) >= 140_000;
    if (later)
      await database.client.query(`alter database ${database.name} set idle_session_timeout = '1min'`);
    const pinned = { ...PINNED_SETTINGS, ...(later ? { idle_session_timeout: '0' } : {}) };
    const ordinary = await connectOrdinary(settings, target());
    const replication = await connectReplication(settings, target());
    const literal = `select '2022-01-12 05:31+00'::timestamptz::text || '1 day 2 hours'::interval::text
      || '\\x00ff'::bytea::text || 0.1::float8::text || 'é'::text || '5'::money::text as text`;
    for (const client of [ordinary, replication.client]) {
      for (const [name, value] of Object.entries(pinned)) {
        const { rows } = await client.query<Record<string, string>>(`show ${name}`);
        expect(Object.values(rows[0]!)[0]).toMatch(new RegExp(`^${value}(, |$)`, 'i'));
      }
      const { rows } = await client.query<{ text: string }>(literal);
      expect(rows[0]?.text).toBe('2022-01-12 05:31:00+00P1DT2H\\x00ff0.1é$5.00');
      const shown = await client.query<{ application_name: string }>('show application_name');
      expect(shown.rows[0]?.application_name).toBe('tailrace:shop');
    }
    await Promise.all([ordinary.end(), replication.client.end()]);
  });
});

describe('a query', () => {
  test('whose connection breaks is a fault of the connection, and so is the next one', async () => {
    const server = await startFakeServer({
      answer: (query, socket) => {
        if (query === 'select broken') socket.destroy();
        return DONE;
      },
    });
    const client = await connectOrdinary(settings, { host: '127.0.0.1', port: server.port });
    for (const query of ['select broken', 'select 1']) {
      await expect(client.query(query)).rejects.toMatchObject({
        name: 'TailraceError',
        mend: 'retry',
        message: expect.stringContaining(`127.0.0.1:${server.port}`),
      });
    }
    await server.close();
  });

  test('that the server refuses keeps its SQLSTATE', async () => {
    const client = await connectOrdinary(settings, target());
    await expect(client.query('select')).resolves.toBeDefined();
    await expect(client.query('selec')).rejects.toMatchObject({ name: 'error', code: '42601' });
    await client.end();
  });
});

describe('the primary', () => {
  test('is the first host of the list that answers (C177, C192)', async () => {
    const hosts = [{ host: '127.0.0.1', port: 1 }, target()];
    const primary = await findPrimary({ ...settings, hosts });
    await primary.client.end();
    expect(primary.target).toEqual(target());
  });

  test('that cannot be found is an error naming every host', async () => {
    const hosts = [
      { host: '127.0.0.1', port: 1 },
      { host: '127.0.0.1', port: 2 },
    ];
    await expect(findPrimary({ ...settings, hosts })).rejects.toMatchObject({
      code: 'NO_PRIMARY',
      kind: 'retryable',
      message: expect.stringMatching(/127\.0\.0\.1:1 .*127\.0\.0\.1:2 /),
    });
  });
});

describe('a pooler', () => {
  test('that refuses the start-up parameters is recognised (C175)', async () => {
    const pooler = await startFakeServer({
      onStartup: () => errorResponse('08P01', 'unsupported startup parameter: options'),
    });
    const hosts = [{ host: '127.0.0.1', port: pooler.port }];
    await expect(findPrimary({ ...settings, hosts })).rejects.toMatchObject({
      code: 'POOLER',
      kind: 'fatal',
    });
    await pooler.close();
  });

  test('that keeps the start-up options to itself is recognised, on both connections', async () => {
    const { username: user, database: name } = settings;
    for (const types of [undefined, { getTypeParser: () => String }]) {
      const session = new Client({
        ...target(),
        user,
        password: 'postgres',
        database: name,
        options: '-c statement_timeout=0',
        ...(types && { types }),
      });
      await session.connect();
      const ports = { settings, ownEncoding: false, serverMoney: () => Promise.resolve(undefined) };
      await expect(pinSession(session, ports)).rejects.toMatchObject({ code: 'POOLER', kind: 'fatal' });
      await session.end();
    }
  });

  test('that lets replication commands fall on an ordinary connection is recognised (C175)', async () => {
    const pooler = await startFakeServer({
      answer: (query) =>
        query === 'IDENTIFY_SYSTEM'
          ? errorResponse('42601', 'syntax error at or near "IDENTIFY_SYSTEM"')
          : DONE,
    });
    const connection = await connectReplication(settings, { host: '127.0.0.1', port: pooler.port });
    await expect(identifySystem(connection)).rejects.toMatchObject({ code: 'POOLER' });
    await pooler.close();
  });
});

describe('a refusal', () => {
  const at = { host: 'db', port: 5432 };
  // What a German server says: its words are nobody's to decide by.
  test.each([
    ['28000', 'kein pg_hba.conf-Eintrag für Host »10.0.0.1«', 'ClientAuthentication', 'HBA_REFUSED'],
    ['28000', 'Rolle »x« hat keine Berechtigung zum Einloggen', 'InitializeSessionUserId', 'ROLE_REFUSED'],
    ['42501', 'keine Berechtigung, um WAL-Sender zu starten', 'InitPostgres', 'REPLICATION_NOT_ALLOWED'],
    ['42501', 'keine Berechtigung', 'CheckSlotPermissions', 'REPLICATION_NOT_ALLOWED'],
    ['42501', 'must be superuser or replication role', 'check_permissions', 'REPLICATION_NOT_ALLOWED'],
    ['42501', 'keine Berechtigung für Datenbank »shop«', 'CheckMyDatabase', 'CONNECT_NOT_ALLOWED'],
    ['42501', 'keine Berechtigung für Tabelle items', 'aclcheck_error', 'PERMISSION_DENIED'],
    ['53300', 'tut mir leid, schon zu viele Verbindungen', 'InitProcess', 'NO_CONNECTION_FREE'],
    ['57P03', 'das Datenbanksystem startet', 'ProcessStartupPacket', 'SERVER_NOT_READY'],
    ['3D000', 'Datenbank »shop« existiert nicht', 'InitPostgres', 'DATABASE_MISSING'],
    ['3D000', 'no such database: shop', '', 'POOLER'],
    ['08P01', 'unsupported startup parameter: replication', '', 'POOLER'],
    ['0A000', "RDS Proxy currently doesn't support streaming replication mode", '', 'POOLER'],
    ['08P01', 'ungültige Startpaketlänge', 'ProcessStartupPacket', 'POSTGRES_08P01'],
    ['XX000', 'irgendetwas', 'elog', 'POSTGRES_XX000'],
    ['ENOTFOUND', 'getaddrinfo ENOTFOUND db', undefined, 'ENOTFOUND'],
    ['CERT_HAS_EXPIRED', 'certificate has expired', undefined, 'TLS_EXPIRED'],
    ['28000', 'PAM-Authentifizierung fehlgeschlagen', 'auth_failed', 'AUTHENTICATION_REFUSED'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate', undefined, 'TLS_UNTRUSTED'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'wrong version number', undefined, 'TLS_REFUSED'],
  ])('%s %s from %s is %s, with a cure (C170, C171)', (code, text, routine, expected) => {
    const fault = connectionFault(Object.assign(new Error(text), { code, routine }), settings, at);
    const mayPass = /^(NO_CONNECTION_FREE|SERVER_NOT_READY|POSTGRES_.*|ENOTFOUND)$/.test(expected);
    expect(fault).toMatchObject({ code: expected, kind: mayPass ? 'retryable' : 'fatal' });
    expect(fault.hint).toBeTruthy();
  });

  test('of a real server is known by where it comes from, and its cure mends it (C171)', async () => {
    const { client, name } = database;
    await client.query(`create role "No ""one" login password 'postgres'`);
    const nobody = { ...settings, username: 'No "one' };
    const refused = async (open: () => Promise<unknown>): Promise<{ code: string; hint: string }> =>
      open().then(
        () => ({ code: 'none', hint: '' }),
        (error: unknown) => error as { code: string; hint: string },
      );
    const stream = (): Promise<unknown> =>
      connectReplication(nobody, target()).then(({ client }) => client.end());
    const read = (): Promise<unknown> => connectOrdinary(nobody, target()).then((opened) => opened.end());
    try {
      const replicating = await refused(stream);
      expect(replicating.code).toBe('REPLICATION_NOT_ALLOWED');
      await client.query(replicating.hint.split(' (')[0]!);
      expect(await refused(stream)).toMatchObject({ code: 'none' });
      await client.query(`revoke connect on database ${name} from public`);
      const connecting = await refused(read);
      expect(connecting.code).toBe('CONNECT_NOT_ALLOWED');
      await client.query(connecting.hint);
      expect(await refused(read)).toMatchObject({ code: 'none' });
      await client.query('alter role "No ""one" nologin noreplication');
      const role = await refused(stream);
      expect(role.code).toBe('ROLE_REFUSED');
      await client.query(role.hint);
      expect(await refused(stream)).toMatchObject({ code: 'none' });
    } finally {
      await client.query(`drop owned by "No ""one"; drop role "No ""one"`);
    }
  });
});

describe('TLS', () => {
  let server: EmbeddedPostgres;
  let directory: string;
  let ca: string;
  const CERTIFICATE = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=db.test'];

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tailrace-tls-'));
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    const names = ['-addext', 'subjectAltName=DNS:localhost'];
    execFileSync('openssl', [...CERTIFICATE, ...names, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    ca = readFileSync(cert, 'utf8');
    // Postgres runs as nobody where we are root, and wants its key for itself.
    if (process.getuid?.() === 0) for (const path of [directory, key, cert]) chownSync(path, 65534, 65534);
    chmodSync(key, 0o600);
    server = await startEmbeddedPostgres({
      settings: { ssl: 'on', ssl_key_file: key, ssl_cert_file: cert },
    });
  });
  afterAll(async () => {
    await server?.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  const over = async (tls: TlsSettings, host: string): Promise<boolean> => {
    const at = { host, port: server.port };
    const secured = { ...settings, tls, database: 'postgres' };
    const ordinary = await connectOrdinary(secured, at);
    const replication = await connectReplication(secured, at);
    await identifySystem(replication);
    const { rows } = await ordinary.query<{ ssl: boolean }>(
      'select bool_and(ssl) as ssl from pg_stat_ssl s join pg_stat_activity a using (pid) where application_name = $1',
      ['tailrace:shop'],
    );
    await Promise.all([ordinary.end(), replication.client.end()]);
    return rows[0]!.ssl;
  };

  test.each([
    ['disable', false],
    ['prefer', true],
    ['require', true],
  ] as const)('%s encrypts: %s', async (mode, encrypted) => {
    expect(await over({ mode }, '127.0.0.1')).toBe(encrypted);
  });

  test('verify-full wants the authority and the name, verify-ca the authority only (C176)', async () => {
    expect(await over({ mode: 'verify-full', ca }, 'localhost')).toBe(true);
    expect(await over({ mode: 'verify-ca', ca }, '127.0.0.1')).toBe(true);
    await expect(over({ mode: 'verify-full', ca }, '127.0.0.1')).rejects.toMatchObject({
      code: 'TLS_WRONG_NAME',
    });
    await expect(over({ mode: 'verify-ca' }, 'localhost')).rejects.toMatchObject({ code: 'TLS_UNTRUSTED' });
  });

  test('prefer goes on without it where the server has none (C176)', async () => {
    const connection = await connectReplication({ ...settings, tls: { mode: 'prefer' } }, target());
    await expect(identifySystem(connection)).resolves.toMatchObject({ timeline: 1 });
    await connection.client.end();
  });

  test('a mode that does not verify is a warning, except on this machine', async () => {
    const findings = await inspectDatabase({ ...settings, tls: { mode: 'prefer' } }, []);
    expect(findings.find((finding) => finding.title === 'TLS')?.ok).toBe(true);
  });
});

// A token for RDS is a presigned URL without its scheme: held against the SDK's own signer of such URLs.
import { SignatureV4 } from '@smithy/signature-v4';
import { Sha256 } from '@smithy/core/checksum';
import { HttpRequest } from '@smithy/core/protocols';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  connectOrdinary,
  connectReplication,
  inPlainSession,
} from '../../../src/postgres/connection/connection.ts';
import { mintIamToken, regionOfRdsHost } from '../../../src/postgres/connection/iam-token.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { backendMessage, startFakeServer } from '../../support/postgres-wire.ts';

const HOST = 'shop.c1a2b3.eu-west-1.rds.amazonaws.com';
const IAM = { from: 'rds_iam', useTaskRole: false } as const;

beforeEach(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY');
  vi.stubEnv('AWS_SESSION_TOKEN', 'first+session/token');
  vi.stubEnv('AWS_PROFILE', undefined);
  vi.stubEnv('AWS_REGION', undefined);
});
afterEach(() => vi.unstubAllEnvs());

type Signed = { readonly sessionToken: string; readonly username: string; readonly region: string };

/** What the SDK signs for the moment that `token` names. */
async function expectedToken(token: string, { sessionToken, username, region }: Signed): Promise<string> {
  const url = new URL(`https://${token}`);
  const [, date, time] = /^(\d{8})T(\d{6})Z$/.exec(url.searchParams.get('X-Amz-Date')!)!;
  const iso = `${date!.replace(/(....)(..)(..)/, '$1-$2-$3')}T${time!.replace(/(..)(..)(..)/, '$1:$2:$3')}Z`;
  const signer = new SignatureV4({
    service: 'rds-db',
    region,
    sha256: Sha256,
    credentials: {
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
      sessionToken,
    },
  });
  const request = new HttpRequest({
    method: 'GET',
    protocol: 'https:',
    hostname: url.hostname,
    port: Number(url.port),
    query: { Action: 'connect', DBUser: username },
    headers: { host: url.host },
  });
  const signed = await signer.presign(request, { expiresIn: 900, signingDate: new Date(iso) });
  return String(signed.query!['X-Amz-Signature']);
}

describe('a token', () => {
  test('is signed for host, port, role and the region of the host, and holds for a quarter of an hour', async () => {
    const token = await mintIamToken(IAM, 'the role', { host: HOST, port: 5432 });
    expect(token.startsWith(`${HOST}:5432/?`)).toBe(true);
    const { searchParams } = new URL(`https://${token}`);
    expect(searchParams.get('DBUser')).toBe('the role');
    expect(searchParams.get('X-Amz-Expires')).toBe('900');
    expect(searchParams.get('X-Amz-Credential')).toContain('/eu-west-1/rds-db/aws4_request');
    const signed = { sessionToken: 'first+session/token', username: 'the role', region: 'eu-west-1' };
    expect(searchParams.get('X-Amz-Signature')).toBe(await expectedToken(token, signed));
  });

  test('is for the region that is written, else of the host, else of the environment', async () => {
    const regionOf = async (host: string, region?: string) => {
      const token = await mintIamToken({ ...IAM, ...(region && { region }) }, 'me', { host, port: 1 });
      return new URL(`https://${token}`).searchParams.get('X-Amz-Credential')!.split('/')[2];
    };
    vi.stubEnv('AWS_REGION', 'us-west-2');
    expect(await regionOf(HOST, 'ap-south-1')).toBe('ap-south-1');
    expect(await regionOf(HOST)).toBe('eu-west-1');
    expect(await regionOf('db.example.com')).toBe('us-west-2');
  });

  test('that cannot be made is an error that passes, and says what is missing', async () => {
    vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nonexistent');
    const minting = mintIamToken({ ...IAM, profile: 'nobody' }, 'me', { host: HOST, port: 5432 });
    await expect(minting).rejects.toMatchObject({
      code: 'IAM_TOKEN',
      kind: 'retryable',
      hint: expect.stringContaining('AWS credentials'),
    });
  });

  test.each([
    [HOST, 'eu-west-1'],
    ['shop.cluster-ro-c1a2b3.us-gov-west-1.rds.amazonaws.com', 'us-gov-west-1'],
    ['shop.c1a2b3.rds.cn-north-1.amazonaws.com.cn', 'cn-north-1'],
    ['shop.c1a2b3.cn-north-1.rds.amazonaws.com.cn', 'cn-north-1'],
    ['shop.eu-west-1.rds.example.com', undefined],
    ['localhost', undefined],
  ])('%s is in %s', (host, region) => {
    expect(regionOfRdsHost(host)).toBe(region);
  });
});

test('each connection has its own token, of the credentials there are then', async () => {
  const tokens: string[] = [];
  const server = await startFakeServer({
    onPassword: (token) => tokens.push(token),
    answer: () => backendMessage('C', Buffer.from('SELECT 0\0')),
  });
  const at = { host: '127.0.0.1', port: server.port };
  const settings = databaseSettings(
    { name: 'shop', ...at },
    { username: 'me', password: { ...IAM, region: 'eu-west-1' } },
  );
  const sessions = ['one', 'two', 'three', 'four'];
  const openings = [
    async () => (await connectOrdinary(settings, at)).end(),
    async () => (await connectReplication(settings, at)).client.end(),
    () => inPlainSession(settings, at, () => Promise.resolve()),
    async () => (await connectReplication(settings, at)).client.end(),
  ];
  for (const [index, open] of openings.entries()) {
    vi.stubEnv('AWS_SESSION_TOKEN', sessions[index]);
    await open();
  }
  await server.close();
  expect(tokens).toHaveLength(4);
  for (const [index, token] of tokens.entries()) {
    const { searchParams } = new URL(`https://${token}`);
    expect(searchParams.get('X-Amz-Security-Token')).toBe(sessions[index]);
    const signed = { sessionToken: sessions[index]!, username: 'me', region: 'eu-west-1' };
    expect(searchParams.get('X-Amz-Signature')).toBe(await expectedToken(token, signed));
  }
});

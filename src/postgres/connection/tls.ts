// How a connection is encrypted, and how the two ends prove who they are: what `tls` says, as Node.js takes it.
// https://www.postgresql.org/docs/current/libpq-ssl.html
import { getCACertificates, type ConnectionOptions } from 'node:tls';
import { TailraceError } from '../../core/errors.ts';
import type { Pem, TlsSettings } from '../settings.ts';
import { readSecretFile } from './secret-files.ts';
import { formatTarget, type Target } from './target.ts';

/** Files are read now: what was renewed on the disk is in force at the next connection. Rejects with TailraceError. */
export async function tlsOptions(tls: TlsSettings): Promise<ConnectionOptions> {
  const verifies = tls.mode === 'verify-ca' || tls.mode === 'verify-full';
  const ca = verifies ? await authorities(tls.ca) : undefined;
  const cert = tls.cert === undefined ? undefined : await pemText(tls.cert, 'tls.cert');
  const key = tls.key === undefined ? undefined : await pemText(tls.key, 'tls.key');
  return {
    rejectUnauthorized: verifies,
    ...(tls.mode === 'verify-ca' && { checkServerIdentity: () => undefined }),
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(tls.keyPassphrase !== undefined && { passphrase: tls.keyPassphrase }),
  };
}

/**
 * Undefined: those that Node.js comes with, and those of NODE_EXTRA_CA_CERTS. The machine's own are added to these, not
 * taken instead: many an image has none.
 */
async function authorities(ca: TlsSettings['ca']): Promise<string | string[] | undefined> {
  if (ca === undefined) return undefined;
  if (typeof ca === 'string' || ca.from === 'file') return pemText(ca, 'tls.ca');
  return [...getCACertificates('default'), ...getCACertificates('system')];
}

async function pemText(pem: Pem, key: string): Promise<string> {
  if (typeof pem === 'string') return pem;
  const { text } = await readSecretFile(pem.file, { code: 'TLS_FILE', key });
  if (text.includes('-----BEGIN')) return text;
  throw new TailraceError(`${key}: ${pem.file} is not a PEM file: it has no "-----BEGIN" line`, {
    code: 'TLS_FILE',
    kind: 'fatal',
    hint: 'convert it: openssl x509 -inform DER -in FILE -out FILE.pem (a key: openssl pkey)',
  });
}

/** At the end of a certificate (RFC 5280): the algorithm, Ed25519 or Ed448, and as many bytes of a signature. */
const WITHOUT_HASH = [
  { algorithm: '300506032b6570', signature: 67 },
  { algorithm: '300506032b6571', signature: 117 },
] as const;

/**
 * Can a login be bound to it? By the hash of its signature, and these have none: Postgres breaks off where it is tried.
 * https://www.rfc-editor.org/rfc/rfc5929#section-4.1
 */
export const isBindable = (certificate: Buffer): boolean =>
  !WITHOUT_HASH.some(({ algorithm, signature }) =>
    certificate.subarray(0, -signature).toString('hex').endsWith(algorithm),
  );

/** What a server must have agreed to where no question was asked first. https://www.postgresql.org/docs/17/protocol-flow.html */
export const ALPN = 'postgresql';

/** Whoever answers a direct handshake without naming Postgres' protocol is something else, and gets no password. */
export function refuseOtherProtocol(protocol: string | false | null | undefined, target: Target): void {
  if (protocol === ALPN) return;
  throw new TailraceError(
    `${formatTarget(target)} takes TLS, but not as Postgres 17 or newer does: it did not agree on the protocol "${ALPN}"`,
    {
      code: 'TLS_NOT_DIRECT',
      kind: 'fatal',
      hint: 'take tls.negotiation out of the configuration (or sslnegotiation out of the URL), or upgrade the server to Postgres 17',
    },
  );
}

// What a TLS handshake that failed means, and what cures it: by the codes of OpenSSL and Node.js.
// https://nodejs.org/api/tls.html#x509-certificate-error-codes
import type { DatabaseSettings } from '../settings.ts';
import { formatTarget, type Fault, type Target } from './target.ts';

/** The server speaks no TLS: with `tls.mode: prefer` we go on without. */
export const TLS_MISSING = 'TLS_MISSING';

const TLS_CODE = /CERT|TLS|SSL|VERIFY|ISSUER|SIGNATURE|CRL|PEM_|ERR_OSSL/;

/** Nobody that is trusted here has signed it. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'CERT_CHAIN_TOO_LONG',
  'INVALID_CA',
]);

/** A key without its passphrase, with a wrong one, or of another certificate. */
const OWN_KEY: ReadonlyMap<string, string> = new Map([
  [
    'ERR_OSSL_BAD_DECRYPT',
    'the key is encrypted, and tls.key_passphrase does not open it: give the right one, or decrypt the key: openssl pkey -in KEY -out KEY.plain',
  ],
  [
    'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
    'tls.key is the key of another certificate than tls.cert: name the two that belong together',
  ],
]);

/** The other end broke off, and said why. https://www.rfc-editor.org/rfc/rfc8446#section-6.2 */
const ALERT =
  /ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_(?:EXPIRED|REVOKED|UNKNOWN|REQUIRED)|UNSUPPORTED_CERTIFICATE)/;

export function tlsFault(
  code: string,
  text: string,
  settings: DatabaseSettings,
  target: Target,
): Fault | undefined {
  const at = formatTarget(target);
  const fault = (name: string, message: string, hint: string): Fault => ({
    code: name,
    kind: 'fatal',
    message,
    hint,
  });
  // pg's words for the answer `N` to an SSLRequest.
  if (text.includes('does not support SSL connections')) {
    return fault(
      TLS_MISSING,
      `${at} does not speak TLS, and tls.mode is ${settings.tls.mode}`,
      "switch TLS on in Postgres (ALTER SYSTEM SET ssl = 'on';), or set tls.mode to prefer or disable",
    );
  }
  // pg's words for any other answer than one letter, and Node's code for what is no TLS once it has begun.
  if (code === 'EPROTO' || text.includes('error establishing an SSL connection')) {
    return {
      code: 'PROTOCOL_BROKEN',
      kind: 'retryable',
      message: `${at} answers in clear where TLS begins: nothing that it says is believed`,
      hint: 'check hostname and port, and that Postgres itself answers there; if it does, its log says whether it lacks processes or memory, and otherwise somebody in between changes what it says',
    };
  }
  if (!TLS_CODE.test(code)) return undefined;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return fault(
      'TLS_WRONG_NAME',
      `the certificate of ${at} is for another host name (${text})`,
      'use the host name that the certificate names, or set tls.mode to verify-ca',
    );
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    const isExpired = code === 'CERT_HAS_EXPIRED';
    return fault(
      isExpired ? 'TLS_EXPIRED' : 'TLS_NOT_YET_VALID',
      `the certificate of ${at}, or one that it is signed with, ${isExpired ? 'has expired' : 'is not valid yet'}`,
      isExpired
        ? "renew the server's certificate (openssl x509 -enddate -in server.crt shows its end) and run SELECT pg_reload_conf();"
        : 'compare the clocks of the two machines',
    );
  }
  if (UNTRUSTED.has(code)) {
    return fault(
      'TLS_UNTRUSTED',
      `the certificate of ${at} is signed by nobody that is trusted here (${code})`,
      settings.tls.ca === undefined
        ? "set tls.ca to the certificate authority of the server's certificate"
        : "tls.ca holds another authority: set it to that of the server's certificate (openssl s_client -starttls postgres -showcerts -connect HOST:PORT shows it)",
    );
  }
  if (ALERT.test(code) && settings.tls.cert !== undefined) {
    return fault(
      'TLS_CLIENT_REFUSED',
      `${at} does not take our certificate (${code})`,
      "set tls.cert to one that has not expired and is signed by an authority of the server's ssl_ca_file",
    );
  }
  const own = OWN_KEY.get(code);
  if (own !== undefined) return fault('TLS_KEY', `TLS with ${at} did not begin (${code})`, own);
  return fault(
    'TLS_REFUSED',
    `TLS with ${at} failed: ${text} (${code})`,
    "set tls.ca to the certificate authority of the server's certificate (and tls.cert, tls.key where the server wants one)",
  );
}

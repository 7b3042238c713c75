// Watches how a server asks who we are, and gives it no password where that is not how it may: `require_auth` and
// `channel_binding` of libpq. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-CHANNEL-BINDING
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { TailraceError } from '../../core/errors.ts';
import type { AuthenticationSettings, AuthMethod } from '../settings.ts';
import { formatTarget, type Target } from './target.ts';
import { isBindable } from './tls.ts';

/** What the server asked for on one connection. */
export type Asked = {
  method: AuthMethod;
  /** It offers to bind the exchange to its certificate. */
  canBind: boolean;
  /** Its certificate is none that anything can be bound to. */
  isUnbindable: boolean;
  /** It has proved that it knows the password, too. */
  hasProved: boolean;
};

const BINDING = 'SCRAM-SHA-256-PLUS';

/** `pg`'s connection tells each message of the server by its name; whoever listens before `pg` does hears it first. */
export function watchAuthentication(
  connection: EventEmitter & { readonly stream: Socket | TLSSocket },
): Asked {
  const asked: Asked = { method: 'none', canBind: false, isUnbindable: false, hasProved: false };
  connection.on('authenticationCleartextPassword', () => (asked.method = 'password'));
  connection.on('authenticationMD5Password', () => (asked.method = 'md5'));
  connection.on('authenticationSASL', ({ mechanisms }: { mechanisms: readonly string[] }) => {
    asked.method = 'scram-sha-256';
    asked.canBind = mechanisms.includes(BINDING);
    const { stream } = connection;
    asked.isUnbindable = stream instanceof TLSSocket && !isBindable(stream.getPeerCertificate().raw);
  });
  connection.on('authenticationSASLFinal', () => (asked.hasProved = true));
  return asked;
}

type Question = {
  readonly asked: Asked;
  readonly settings: AuthenticationSettings | undefined;
  readonly target: Target;
  readonly isEncrypted: boolean;
};

/** Before the password is given. Throws TailraceError AUTHENTICATION_UNWANTED. */
export function refuseUnwantedQuestion({ asked, settings, target, isEncrypted }: Question): void {
  if (settings === undefined) return;
  const { methods, channelBinding } = settings;
  if (methods !== undefined && !methods.includes(asked.method)) {
    throw unwanted(
      target,
      `asks by ${asked.method}, and require_auth allows ${methods.join(', ')}`,
      asked.method === 'md5'
        ? "give the role a SCRAM password: SET password_encryption = 'scram-sha-256'; and set it again; or allow md5"
        : 'change the method in its pg_hba.conf, or require_auth',
    );
  }
  if (channelBinding !== 'require') return;
  if (asked.isUnbindable) {
    throw unwanted(
      target,
      'shows a certificate signed by Ed25519 or Ed448, to which Postgres binds nothing, and channel_binding: require demands it',
      'give the server a certificate that is signed by RSA or ECDSA, or write channel_binding: prefer',
    );
  }
  if (asked.method !== 'scram-sha-256' || !asked.canBind) {
    throw unwanted(
      target,
      isEncrypted
        ? `does not offer channel binding, which channel_binding: require demands`
        : 'is connected to without TLS, and channel_binding: require demands it',
      isEncrypted
        ? 'let pg_hba.conf ask for scram-sha-256 and connect to Postgres itself (no proxy that ends TLS), or write channel_binding: prefer'
        : 'set tls.mode to verify-full (or require)',
    );
  }
}

/** Once the server has let us in: it may have asked nothing at all, or broken off its own proof. */
export function refuseUnwantedWelcome(question: Question): void {
  const { asked, settings, target } = question;
  refuseUnwantedQuestion(question);
  if (settings?.channelBinding !== 'require' || asked.hasProved) return;
  throw unwanted(
    target,
    'let us in without proving that it knows the password',
    'connect to Postgres itself, not to what stands in its place',
  );
}

const unwanted = (target: Target, what: string, hint: string): TailraceError =>
  new TailraceError(`${formatTarget(target)} ${what}`, {
    code: 'AUTHENTICATION_UNWANTED',
    kind: 'fatal',
    hint,
  });

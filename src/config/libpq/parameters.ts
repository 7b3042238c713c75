// The parameters of libpq that mean something here, wherever they are written: a URL, a service, the environment.
// https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
import { AUTH_METHODS, type AuthMethod } from '../../postgres/settings.ts';

export type LibpqParameters = {
  readonly hosts?: readonly { readonly host: string; readonly port?: number }[];
  readonly database?: string;
  readonly username?: string;
  readonly password?: string;
  readonly passfile?: string;
  readonly sslmode?: string;
  readonly sslrootcert?: string;
  readonly sslcert?: string;
  readonly sslkey?: string;
  readonly sslpassword?: string;
  readonly sslnegotiation?: string;
  readonly channel_binding?: string;
  readonly require_auth?: string;
};

/** The words that a parameter takes. */
const WORDS = {
  sslmode: ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'],
  sslnegotiation: ['postgres', 'direct'],
  channel_binding: ['disable', 'prefer', 'require'],
} as const satisfies Partial<Record<keyof LibpqParameters, readonly string[]>>;

/** As libpq, which demands TLS for it in any case. https://www.postgresql.org/docs/17/libpq-connect.html#LIBPQ-CONNECT-SSLNEGOTIATION */
const WEAK_MODES: readonly string[] = ['disable', 'allow', 'prefer'];

/** What is wrong with the first parameter that is; undefined: nothing. */
export function faultOfParameters(
  parameters: LibpqParameters,
): { readonly name: keyof LibpqParameters; readonly message: string } | undefined {
  for (const name of ['sslmode', 'sslnegotiation', 'channel_binding'] as const) {
    const value = parameters[name];
    const words: readonly string[] = WORDS[name];
    if (value !== undefined && !words.includes(value))
      return { name, message: `${name} is one of ${words.join(', ')}` };
  }
  const { require_auth: methods, sslnegotiation, sslmode = 'prefer', sslrootcert } = parameters;
  if (methods !== undefined && parseAuthMethods(methods) === undefined) {
    const message = `require_auth is a list of ${AUTH_METHODS.join(', ')}, or of these with a "!" before each`;
    return { name: 'require_auth', message };
  }
  if (sslnegotiation === 'direct' && WEAK_MODES.includes(sslmode) && sslrootcert !== 'system') {
    return { name: 'sslnegotiation', message: 'sslnegotiation=direct needs sslmode=require or more' };
  }
  return undefined;
}

/** `scram-sha-256,md5`, or `!password,!md5`: all but these. Undefined where a word is none, or the two are mixed. */
export function parseAuthMethods(text: string): readonly AuthMethod[] | undefined {
  const words = text.split(',').map((word) => word.trim());
  const isNegative = words[0]!.startsWith('!');
  const methods: AuthMethod[] = [];
  for (const word of words) {
    const method = AUTH_METHODS.find((known) => known === (isNegative ? word.slice(1) : word));
    if (method === undefined || word.startsWith('!') !== isNegative) return undefined;
    methods.push(method);
  }
  return isNegative ? AUTH_METHODS.filter((method) => !methods.includes(method)) : methods;
}

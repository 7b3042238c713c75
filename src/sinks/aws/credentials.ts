// Where credentials come from: the SDK's own providers, kept until they expire or AWS refuses them.
import { steadyMs, wallMs } from '../../core/clock.ts';
import { faultOfToken } from '../http/printable.ts';
import { CREDENTIALS_MALFORMED, RequestError } from './errors.ts';
import { isAwsHost } from './region.ts';
import type { AwsCredentials } from './signature.ts';

/** How a destination says which credentials to use; the keys are the configuration's. */
export type CredentialOptions = {
  readonly access_key_id?: string | undefined;
  readonly secret_access_key?: string | undefined;
  readonly session_token?: string | undefined;
  readonly use_task_role: boolean;
  readonly profile?: string | undefined;
  readonly role_arn?: string | undefined;
  readonly external_id?: string | undefined;
  readonly region?: string | undefined;
  /** Undefined also where `use_emulator: false` says so. */
  readonly emulator_base_url?: string | undefined;
};

export type ExpiringCredentials = AwsCredentials & { readonly expiration?: Date };

export type CredentialClocks = { readonly wallMs: () => number; readonly steadyMs: () => number };

/** Asks for credentials anew each time. */
export type CredentialLoader = () => Promise<ExpiringCredentials>;

/** New credentials are fetched this long before the old ones expire, as the SDK does. */
const REFRESH_BEFORE_EXPIRY_MS = 5 * 60_000;

/**
 * Remembers credentials. Near their end they are fetched again, by one caller for all; while the old ones still
 * hold, a failure to do so disturbs nobody.
 */
export class CredentialCache {
  readonly #load: CredentialLoader;
  readonly #clocks: CredentialClocks;
  #current: ExpiringCredentials | undefined;
  /** Of the current ones, on the steady clock. */
  #expiresAtMs = Infinity;
  #loading: Promise<ExpiringCredentials> | undefined;

  constructor(load: CredentialLoader, clocks: CredentialClocks = { wallMs, steadyMs }) {
    this.#load = load;
    this.#clocks = clocks;
  }

  /** Not a promise when nothing has to be fetched: the hot path. */
  get(): AwsCredentials | Promise<AwsCredentials> {
    const current = this.#current;
    if (current === undefined) return this.#refresh();
    const validMs = this.#expiresAtMs - this.#clocks.steadyMs();
    if (validMs > REFRESH_BEFORE_EXPIRY_MS) return current;
    const refreshed = this.#refresh();
    return validMs > 0 ? refreshed.catch(() => current) : refreshed;
  }

  /** AWS refused these: the next `get` asks the source again (keys rotate). */
  refused(credentials: AwsCredentials): void {
    if (credentials === this.#current) this.#current = undefined;
  }

  #refresh(): Promise<ExpiringCredentials> {
    this.#loading ??= this.#load()
      .then((credentials) => {
        this.#current = credentials;
        this.#expiresAtMs = this.#endOf(credentials);
        return credentials;
      })
      .finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  /** The wall clock, which AWS goes by, is asked once: set later, it moves nothing. */
  #endOf({ expiration }: ExpiringCredentials): number {
    const { wallMs: nowMs, steadyMs: sinceMs } = this.#clocks;
    return expiration === undefined ? Infinity : sinceMs() + expiration.getTime() - nowMs();
  }
}

/** The loader that a destination's options describe. */
export function credentialLoader(options: CredentialOptions): CredentialLoader {
  const base = checked(baseLoader(options));
  const { role_arn: roleArn, external_id: externalId, region, profile } = options;
  if (roleArn === undefined) return base;
  return checked(async () => {
    const { fromTemporaryCredentials } = await import('@aws-sdk/credential-providers');
    return fromTemporaryCredentials({
      params: {
        RoleArn: roleArn,
        RoleSessionName: 'tailrace',
        ...(externalId !== undefined && { ExternalId: externalId }),
      },
      masterCredentials: base,
      clientConfig: { ...(region !== undefined && { region }), ...(profile !== undefined && { profile }) },
    })();
  });
}

const FIELDS = [
  { key: 'accessKeyId', name: 'access key id', variable: 'AWS_ACCESS_KEY_ID' },
  { key: 'secretAccessKey', name: 'secret access key', variable: 'AWS_SECRET_ACCESS_KEY' },
  { key: 'sessionToken', name: 'session token', variable: 'AWS_SESSION_TOKEN' },
] as const;

/** A key from a file often has its line break; sent like this, AWS would only say that the signature is wrong, or worse. */
function checked(load: CredentialLoader): CredentialLoader {
  return async () => {
    const credentials = await load();
    for (const { key, name, variable } of FIELDS) {
      const value = credentials[key];
      const fault = value === undefined ? undefined : faultOfToken(value);
      if (fault === undefined) continue;
      const source = process.env[variable] === value ? ` in ${variable}` : '';
      const message = `the ${name}${source} cannot be used: ${fault}`;
      throw new RequestError({ code: CREDENTIALS_MALFORMED, message });
    }
    return credentials;
  };
}

function baseLoader(options: CredentialOptions): CredentialLoader {
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, profile } = options;
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    const { session_token: sessionToken } = options;
    const credentials = { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) };
    return () => Promise.resolve(credentials);
  }
  const providers = () => import('@aws-sdk/credential-providers');
  if (options.use_task_role) return async () => taskRoleChain(await providers())();
  if (profile !== undefined) {
    return async () => (await providers()).fromIni({ profile, ignoreCache: true })();
  }
  const emulator = options.emulator_base_url;
  if (emulator !== undefined && !isAwsHost(new URL(emulator).hostname)) {
    // An emulator takes any keys; looking for real ones would ask metadata services that a laptop does not have.
    return () =>
      Promise.resolve(
        environmentCredentials(process.env) ?? { accessKeyId: 'test', secretAccessKey: 'test' },
      );
  }
  return async () => {
    // As the chain goes: first the environment, unless a profile is named. Without the chain 12 MiB are not loaded.
    const ofEnvironment = process.env['AWS_PROFILE'] ? undefined : environmentCredentials(process.env);
    return ofEnvironment ?? (await providers()).fromNodeProviderChain({ ignoreCache: true })();
  };
}

/** What the SDK's `fromEnv` finds; undefined: no keys. https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html */
export function environmentCredentials(env: NodeJS.ProcessEnv): ExpiringCredentials | undefined {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (!accessKeyId || !secretAccessKey) return undefined;
  const { AWS_SESSION_TOKEN: sessionToken, AWS_CREDENTIAL_EXPIRATION: end } = env;
  return {
    accessKeyId,
    secretAccessKey,
    ...(sessionToken && { sessionToken }),
    ...(end && { expiration: new Date(end) }),
  };
}

type Providers = typeof import('@aws-sdk/credential-providers');

/** EKS (web identity), then ECS and EKS Pod Identity (container endpoint), then EC2. */
const taskRoleChain = ({
  createCredentialChain,
  fromTokenFile,
  fromHttp,
  fromInstanceMetadata,
}: Providers): CredentialLoader => createCredentialChain(fromTokenFile(), fromHttp(), fromInstanceMetadata());

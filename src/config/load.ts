// Finds the configuration, reads it in whichever of its languages it is written, and gives the service's settings.
import { dirname, resolve } from 'node:path';
import type { ServiceSettings } from '../pipeline/settings.ts';
import type { LoadContext } from './context.ts';
import { ConfigError, type Fault } from './file/faults.ts';
import { readFileFromDisk } from './file/disk-files.ts';
import { decodeText, MAX_FILE_BYTES, readTextFile, tooLarge, type ReadFile } from './file/file-access.ts';
import { ENV_FILE, parseEnvFile } from './pg2sqs/env-file.ts';
import {
  hasPg2sqsVariables,
  looksLikePg2sqs,
  PG2SQS_CONFIG_PATH,
  PG2SQS_TOP_LEVEL,
} from './pg2sqs/variables.ts';
import type { Reading } from './tailrace/settings.ts';
import { readTailraceYaml, TOP_LEVEL_KEYS } from './tailrace/tailrace-yaml.ts';
import type { Variables } from './file/variables.ts';
import { readYaml, topLevelKeys } from './file/yaml-file.ts';

export type LoadInput = {
  /** `-c FILE`. */
  readonly configFile?: string;
  /** `--data-dir DIR`. */
  readonly dataDir?: string;
  readonly env: Variables;
  readonly cwd: string;
  /** The disk unless given. */
  readonly readFile?: ReadFile;
};

export type LoadedSettings = {
  readonly settings: ServiceSettings;
  /** One log line each: keys without effect, TLS that does not verify, group ids without a column. */
  readonly notes: readonly string[];
  /** Where the configuration was found. */
  readonly source: string;
  /** Is it pg2sqs' configuration? */
  readonly isPg2sqs: boolean;
  /** Variables of the file that ENV_FILE names, which the process is to have too: the AWS SDK reads its own there. */
  readonly variables: Readonly<Record<string, string>>;
};

type Found = {
  readonly source: string;
  /** Undefined: variables of pg2sqs only. */
  readonly text: string | undefined;
};

/** Throws ConfigError with all faults at once. */
export async function loadSettings(input: LoadInput): Promise<LoadedSettings> {
  const context: LoadContext = {
    env: input.env,
    cwd: input.cwd,
    dataDir: input.dataDir,
    readFile: input.readFile ?? ((path) => readFileFromDisk(path)),
  };
  const own = await findOwn(input.configFile, context);
  if (own !== undefined && isOurs(own)) return readOurs(own, context);
  const variables = await variablesOfFile(context);
  const extended = { ...context, env: { ...variables, ...definedOf(context.env) } };
  const found = own ?? (await findPg2sqs(extended));
  if (isOurs(found)) return readOurs(found, context);
  const { settings, notes } = await readTheirs(found, extended);
  return { settings, notes, source: found.source, isPg2sqs: true, variables };
}

const isOurs = ({ text }: Found): boolean => text !== undefined && !looksLikePg2sqs(topLevelKeys(text));

/** A variable that is set wins over the file's. */
const definedOf = (env: Variables): Variables =>
  Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));

async function variablesOfFile(context: LoadContext): Promise<Record<string, string>> {
  const { env, cwd, readFile } = context;
  const path = env[ENV_FILE];
  if (!path) return {};
  const result = await readTextFile(readFile, resolve(cwd, path));
  if (!('text' in result))
    throw new ConfigError([{ file: 'environment', path: ENV_FILE, message: result.problem }]);
  const faults: Fault[] = [];
  const variables = parseEnvFile(result.text, { file: path, env, faults });
  if (faults.length > 0) throw new ConfigError(faults);
  return variables;
}

/** pg2sqs has no variables in its YAML: `${…}` is its macro. */
async function readTheirs({ source, text }: Found, context: LoadContext): Promise<Reading> {
  const { readPg2sqs } = await import('./pg2sqs/pg2sqs.ts');
  if (text === undefined) return readPg2sqs(undefined, context);
  const file = readYaml(text, { file: source, directory: context.cwd, knownTopLevel: PG2SQS_TOP_LEVEL });
  return readPg2sqs(file, context);
}

async function readOurs({ source, text = '' }: Found, context: LoadContext): Promise<LoadedSettings> {
  const file = readYaml(text, {
    file: source,
    // CONFIG_FILE_YAML has no directory: that is the working directory.
    directory: dirname(resolve(context.cwd, source)),
    variables: context.env,
    knownTopLevel: TOP_LEVEL_KEYS,
  });
  const { settings, notes } = await readTailraceYaml(file, context);
  const others = hasPg2sqsVariables(context.env)
    ? [`PG2SQS_* variables have no effect beside ${source}`]
    : [];
  return { settings, notes: [...notes, ...others], source, isPg2sqs: false, variables: {} };
}

/** Of the places that are ours the first that has something; a file that is named must be there. */
async function findOwn(configFile: string | undefined, context: LoadContext): Promise<Found | undefined> {
  const { env } = context;
  if (configFile !== undefined) return named(configFile, '-c', context);
  if (env['CONFIG_FILE_PATH']) return named(env['CONFIG_FILE_PATH'], 'CONFIG_FILE_PATH', context);
  if (env['CONFIG_FILE_YAML'])
    return { source: 'CONFIG_FILE_YAML', text: fromBase64(env['CONFIG_FILE_YAML']) };
  return present('tailrace.yaml', context);
}

async function findPg2sqs(context: LoadContext): Promise<Found> {
  const { env } = context;
  if (env[PG2SQS_CONFIG_PATH]) return named(env[PG2SQS_CONFIG_PATH], PG2SQS_CONFIG_PATH, context);
  for (const place of PG2SQS_PLACES) {
    const found = await present(place, context);
    if (found !== undefined && looksLikePg2sqs(topLevelKeys(found.text ?? ''))) return found;
  }
  if (hasPg2sqsVariables(env)) return { source: 'PG2SQS_* variables', text: undefined };
  const message =
    "there is no configuration: give -c FILE, CONFIG_FILE_PATH, CONFIG_FILE_YAML, ./tailrace.yaml, or pg2sqs' file or variables";
  throw new ConfigError([{ file: 'tailrace', path: '', message }]);
}

/** Where pg2sqs looks when nothing names its file. */
const PG2SQS_PLACES = ['/etc/opt/pg2sqs/config.yaml', 'config.yaml'];

async function named(path: string, by: string, context: LoadContext): Promise<Found> {
  const result = await readTextFile(context.readFile, resolve(context.cwd, path));
  if ('text' in result) return { source: path, text: result.text };
  throw new ConfigError([{ file: path, path: '', message: `${result.problem}; ${by} names it` }]);
}

async function present(path: string, context: LoadContext): Promise<Found | undefined> {
  const result = await readTextFile(context.readFile, resolve(context.cwd, path));
  if ('text' in result) return { source: path, text: result.text };
  if (result.missing) return undefined;
  throw new ConfigError([{ file: path, path: '', message: result.problem }]);
}

function fromBase64(encoded: string): string {
  const fault = (message: string): ConfigError =>
    new ConfigError([{ file: 'environment', path: 'CONFIG_FILE_YAML', message }]);
  if (!/^[A-Za-z0-9+/_\s-]+={0,2}$/.test(encoded.trimEnd())) throw fault('this is not base64');
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.length > MAX_FILE_BYTES) throw fault(tooLarge());
  const decoded = decodeText(bytes);
  if ('problem' in decoded) throw fault(decoded.problem);
  return decoded.text;
}

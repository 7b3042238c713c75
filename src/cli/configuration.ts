// Loads the configuration that a command works with.
import { loadSettings, type LoadedSettings } from '../config/load.ts';
import type { CliPorts } from './ports.ts';

export type ConfigurationOptions = {
  /** `-c FILE`. */
  readonly config?: string | undefined;
  readonly dataDir?: string | undefined;
};

/** Throws ConfigError with all faults. Variables that pg2sqs' ENV_FILE brings become the process' own. */
export async function loadConfiguration(
  { config, dataDir }: ConfigurationOptions,
  { env, cwd }: Pick<CliPorts, 'env' | 'cwd'>,
): Promise<LoadedSettings> {
  const loaded = await loadSettings({
    env,
    cwd,
    ...(config !== undefined && { configFile: config }),
    ...(dataDir !== undefined && { dataDir }),
  });
  for (const [name, value] of Object.entries(loaded.variables)) {
    if (!Object.hasOwn(env, name)) env[name] = value;
  }
  return loaded;
}

// Loads the configuration that a command works with.
import type { LoadedSettings, LoadInput } from '../config/load.ts';
import { loadSettingsApart } from '../config/loading.ts';
import type { CliPorts } from './ports.ts';

export type ConfigurationOptions = {
  /** `-c FILE`. */
  readonly config?: string | undefined;
  readonly dataDir?: string | undefined;
};

type Surroundings = Pick<CliPorts, 'env' | 'cwd'>;

/** Throws ConfigError with all faults. Variables that pg2sqs' ENV_FILE brings become the process' own. */
export async function loadConfiguration(
  options: ConfigurationOptions,
  ports: Surroundings,
): Promise<LoadedSettings> {
  const { loadSettings } = await import('../config/load.ts');
  return adopt(await loadSettings(inputOf(options, ports)), ports);
}

/** The same for the service, which does not keep what reading takes. */
export async function loadConfigurationApart(
  options: ConfigurationOptions,
  ports: Surroundings,
): Promise<LoadedSettings> {
  return adopt(await loadSettingsApart(inputOf(options, ports)), ports);
}

const inputOf = ({ config, dataDir }: ConfigurationOptions, { env, cwd }: Surroundings): LoadInput => ({
  env,
  cwd,
  ...(config !== undefined && { configFile: config }),
  ...(dataDir !== undefined && { dataDir }),
});

function adopt(loaded: LoadedSettings, { env }: Surroundings): LoadedSettings {
  for (const [name, value] of Object.entries(loaded.variables)) {
    if (!Object.hasOwn(env, name)) env[name] = value;
  }
  return loaded;
}

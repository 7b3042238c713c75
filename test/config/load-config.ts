// Loads configurations from texts, without a disk.
import { ConfigError, type Fault } from '../../src/config/file/faults.ts';
import { loadSettings, type LoadedSettings, type LoadInput } from '../../src/config/load.ts';

export type Files = Readonly<Record<string, string>>;

/** Files by absolute path; everything else does not exist. */
export async function loadFiles(files: Files, input: Partial<LoadInput> = {}): Promise<LoadedSettings> {
  const readFile = (path: string): Promise<string> => {
    const text = files[path];
    return text === undefined
      ? Promise.reject(Object.assign(new Error('no such file'), { code: 'ENOENT' }))
      : Promise.resolve(text);
  };
  return loadSettings({ cwd: '/srv', env: {}, readFile, ...input });
}

export const loadText = (text: string, env: LoadInput['env'] = {}): Promise<LoadedSettings> =>
  loadFiles({ '/srv/tailrace.yaml': text }, { env });

export async function faultsOf(loading: Promise<unknown>): Promise<readonly Fault[]> {
  try {
    await loading;
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

/** `line:column path message` of each fault. */
export async function faultLines(loading: Promise<unknown>): Promise<string[]> {
  const faults = await faultsOf(loading);
  return faults.map((fault) => `${fault.line}:${fault.column} ${fault.path} ${fault.message}`);
}

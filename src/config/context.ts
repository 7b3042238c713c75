// What a configuration reader is given besides the configuration: environment, directories, file access.
import { isAbsolute, join, resolve } from 'node:path';
import type { ReadFile } from './file/file-access.ts';
import type { Variables } from './file/variables.ts';

export type LoadContext = {
  readonly env: Variables;
  readonly cwd: string;
  /** `--data-dir`, as it was written. */
  readonly dataDir: string | undefined;
  readonly readFile: ReadFile;
};

/** `--data-dir`, else TAILRACE_DATA_DIR, else ./tailrace-data. Absolute. */
export function dataDirectory(context: LoadContext): string {
  const written = context.dataDir ?? (context.env['TAILRACE_DATA_DIR'] || 'tailrace-data');
  return resolve(context.cwd, written);
}

export const stateFile = (url: string, dataDir: string): string => {
  const file = url.slice('sqlite:'.length);
  return isAbsolute(file) ? file : join(dataDir, file);
};

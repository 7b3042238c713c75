// The ways to write that the power cut's disk does not know: refused by name where it watches, rather than overlooked.
import fs, { type PathLike } from 'node:fs';

/** By name, and which of their arguments is written to. */
const BY_PATH = {
  appendFile: 0,
  appendFileSync: 0,
  copyFile: 1,
  copyFileSync: 1,
  cp: 1,
  cpSync: 1,
  createWriteStream: 0,
  link: 1,
  linkSync: 1,
  mkdtemp: 0,
  mkdtempSync: 0,
  rename: 0,
  rm: 0,
  rmdir: 0,
  symlink: 1,
  symlinkSync: 1,
  truncate: 0,
  unlink: 0,
  writeFile: 0,
} as const;

export type Callable = (...all: unknown[]) => unknown;
type Functions = Readonly<Record<string, unknown>>;

export const unknownHere = (what: string, path: PathLike): Error =>
  new Error(
    `power-cut.ts does not know ${what} (${path.toString()}): teach it, so that nothing is overlooked`,
  );

/** Those of `functions` that write by a path, and refuse where it `isWatched`. */
export function refuseByPath(functions: Functions, isWatched: (path: unknown) => boolean): Functions {
  const refusing: Record<string, Callable> = {};
  for (const [name, argument] of Object.entries(BY_PATH)) {
    const call = functions[name];
    if (typeof call !== 'function') continue;
    refusing[name] = (...all) => {
      if (isWatched(all[argument])) throw unknownHere(name, all[argument] as PathLike);
      return (call as Callable)(...all);
    };
  }
  const open = functions['open'] as Callable;
  refusing['open'] = (...all) => {
    if (isWatched(all[0]) && writes(all[1])) throw unknownHere('open', all[0] as PathLike);
    return open(...all);
  };
  return refusing;
}

const { O_WRONLY, O_RDWR, O_CREAT } = fs.constants;

const writes = (flags: unknown): boolean =>
  typeof flags === 'number'
    ? (flags & (O_WRONLY | O_RDWR | O_CREAT)) !== 0
    : typeof flags === 'string' && /[wa+]/.test(flags);

/** Those that write by a file descriptor, and refuse one that `isWatched`. */
export function refuseByDescriptor(functions: Functions, isWatched: (fd: number) => boolean): Functions {
  const names = ['ftruncate', 'write', 'writev'];
  return Object.fromEntries(
    names.map((name): [string, Callable] => [
      name,
      (fd, ...rest) => {
        if (isWatched(fd as number)) throw unknownHere(name, String(fd));
        return (functions[name] as Callable)(fd, ...rest);
      },
    ]),
  );
}

// Adds to a lockfile the optional packages of other platforms that the registry at hand did not serve: `npm ci` wants
// every optional dependency in the lockfile, on every platform. Run it after `npm install`: node scripts/complete-lockfile.ts [folder …]
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

type LockedPackage = {
  name?: string;
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
};
type Lockfile = { packages: Record<string, LockedPackage> };

const SYSTEMS: Readonly<Record<string, string>> = {
  android: 'android',
  darwin: 'darwin',
  freebsd: 'freebsd',
  linux: 'linux',
  openharmony: 'openharmony',
  win32: 'win32',
  windows: 'win32',
};
const PROCESSORS = ['arm64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x', 'loong64', 'wasm32', 'x64'];

/** What a platform's package is for, as its name says it. */
function platformOf(name: string): Pick<LockedPackage, 'os' | 'cpu' | 'libc'> {
  const words = name.split(/[/-]/);
  const os = words.map((word) => SYSTEMS[word]).find((system) => system !== undefined);
  const cpu = words.find((word) => PROCESSORS.includes(word));
  const libc = words.some((word) => word.startsWith('musl')) ? 'musl' : undefined;
  return {
    ...(os === undefined ? {} : { os: [os] }),
    ...(cpu === undefined ? {} : { cpu: [cpu] }),
    ...(libc === undefined ? {} : { libc: [libc] }),
  };
}

function complete(file: string): void {
  const lockfile = JSON.parse(readFileSync(file, 'utf8')) as Lockfile;
  const { packages } = lockfile;
  const added: string[] = [];
  for (const [parent, { optionalDependencies = {}, dev }] of Object.entries(packages)) {
    for (const [name, range] of Object.entries(optionalDependencies)) {
      const places = [`node_modules/${name}`, `${parent}/node_modules/${name}`];
      if (places.some((place) => place in packages)) continue;
      const alias = /^npm:(.+)@([^@]+)$/.exec(range);
      const platform = platformOf(alias?.[1] ?? name);
      if (platform.os === undefined && platform.cpu === undefined) {
        throw new Error(
          `${name}, optional for ${parent || 'this package'}, is missing and names no platform`,
        );
      }
      packages[places[0]!] = {
        ...(alias === null ? {} : { name: alias[1]! }),
        version: (alias?.[2] ?? range).replace(/^[\^~]/, ''),
        ...platform,
        ...(dev === true ? { dev } : {}),
        optional: true,
      };
      added.push(name);
    }
  }
  lockfile.packages = Object.fromEntries(
    Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
  );
  writeFileSync(file, `${JSON.stringify(lockfile, undefined, 2)}\n`);
  console.log(`${file}: ${added.length} packages of other platforms added`);
}

const folders = process.argv.slice(2);
for (const folder of folders.length > 0 ? folders : ['.']) complete(join(folder, 'package-lock.json'));

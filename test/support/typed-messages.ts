// What the generated types and schemas say of messages: the TypeScript compiler and a validator of JSON Schema are asked.
import { execFile } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

const run = promisify(execFile);

/** `text`: as it was delivered. `module`: of the types that it must be of, below the directory and without `.ts`. */
export type TypedMessage = { readonly module: string; readonly text: string };

/** The name of all messages in a module. */
function typeIn(directory: string, module: string): string {
  const text = readFileSync(join(directory, `${module}.ts`), 'utf8');
  return [...text.matchAll(/^export type (\S+) =/gm)].at(-1)![1]!;
}

/**
 * What the compiler says of a file in which every message is written as it came. `wrong`: those that must not compile. Empty: nothing.
 */
export async function compileMessages(
  directory: string,
  messages: readonly TypedMessage[],
  wrong: readonly TypedMessage[] = [],
): Promise<string> {
  const modules = [...new Set([...messages, ...wrong].map(({ module }) => module))];
  const imports = modules.map(
    (module, i) => `import type { ${typeIn(directory, module)} as M${i} } from './${module}.js';`,
  );
  const lineOf = (name: string, { module, text }: TypedMessage, i: number): string =>
    `export const ${name}${i}: M${modules.indexOf(module)} = ${text.replaceAll('\n', ' ')};`;
  const lines = [
    ...imports,
    `import type * as everything from './index.js';`,
    'export type { everything };',
    ...messages.map((message, i) => lineOf('message', message, i)),
    ...wrong.map((message, i) => `// @ts-expect-error\n${lineOf('wrong', message, i)}`),
  ];
  writeFileSync(join(directory, 'messages.ts'), `${lines.join('\n')}\n`);
  writeFileSync(
    join(directory, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        noEmit: true,
        strict: true,
        noUnusedLocals: true,
        noUnusedParameters: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        verbatimModuleSyntax: true,
        erasableSyntaxOnly: true,
        isolatedModules: true,
        module: 'nodenext',
        target: 'esnext',
        types: [],
      },
    }),
  );
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  const tsc = resolve(import.meta.dirname, '../../node_modules/typescript/lib/tsc.js');
  try {
    await run(process.execPath, [tsc, '-p', directory], { maxBuffer: 1 << 26 });
    return '';
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

/** The validators of all schemas below a directory, by module. A schema that strict mode has something against throws. */
export function readValidators(directory: string): ReadonlyMap<string, ValidateFunction> {
  const found = new Map<string, ValidateFunction>();
  for (const file of globSync('**/*.schema.json', { cwd: directory })) {
    const ajv = new Ajv2020({ strict: true, allErrors: false, logger: false });
    const schema = JSON.parse(readFileSync(join(directory, file), 'utf8')) as object;
    found.set(file.replace(/\.schema\.json$/, ''), ajv.compile(schema));
  }
  return found;
}

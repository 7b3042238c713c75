// Writes src/functions/where/catalog/server-data.ts: what the catalog of a Postgres server says of the operators, functions, casts and
// types among which a filter's expressions are resolved. `node scripts/where-catalog.ts postgresql://…` (the newest version known).
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { readServerCatalog, type CatalogLines } from '../test/support/server-catalog.ts';

const [url] = process.argv.slice(2);
if (url === undefined) throw new Error('which server? node scripts/where-catalog.ts postgresql://…');
const client = new Client({ connectionString: url });
await client.connect();
const lines = await readServerCatalog(client);
await client.end();

const constant = (name: string, comment: string, what: readonly string[]): string =>
  `/** ${comment} */\nexport const ${name} = \`\n${what.join('\n')}\n\`;\n`;

const text = ({ types, casts, operators, functions }: CatalogLines): string =>
  [
    "// What Postgres' own catalog says of the types, casts, operators and functions that a filter may mean. Written by scripts/where-catalog.ts.\n",
    constant(
      'TYPES',
      'oid, name, category (upper case: preferred in it is `!`), element of an array.',
      types,
    ),
    constant('CASTS', 'source, target, context (i: implicit, a: assignment, e: explicit), method.', casts),
    constant('OPERATORS', 'name, left (- for none), right, result.', operators),
    constant(
      'FUNCTIONS',
      'name, result, arguments; `*` before the name: the last one is variadic.',
      functions,
    ),
  ].join('\n');

await writeFile(join(import.meta.dirname, '../src/functions/where/catalog/server-data.ts'), text(lines));

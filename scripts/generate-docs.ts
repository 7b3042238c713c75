// Writes what derives from declarations in the code: of the configuration (its schema and docs/configuration.md), of the metrics (docs/metrics.md and the alert rules) and of the cases of conformance (docs/conformance.md).
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { jsonSchemaOfFile } from '../src/config/schema/file-json-schema.ts';
import { publishedJsonSchema, type JsonSchema } from '../src/config/schema/json-schema.ts';
import { conformancePage } from './conformance-docs.ts';
import { filtersPage } from './filters-docs.ts';
import { alertRules, metricsPage } from './metrics-docs.ts';

const root = resolve(import.meta.dirname, '..');

/** Text of each generated file by its path in the repository. */
export async function generatedFiles(): Promise<ReadonlyMap<string, string>> {
  const markdown = `${introduction}\n${sections(jsonSchemaOfFile())}`;
  const style = (await resolveConfig(resolve(root, 'docs/configuration.md'))) ?? {};
  return new Map([
    ['schema/tailrace.schema.json', `${JSON.stringify(publishedJsonSchema(), undefined, 2)}\n`],
    ['docs/configuration.md', await format(markdown, { ...style, parser: 'markdown' })],
    ['docs/conformance.md', await format(conformancePage(), { ...style, parser: 'markdown' })],
    ['docs/filters.md', await format(filtersPage(), { ...style, parser: 'markdown' })],
    ['docs/metrics.md', await format(metricsPage(), { ...style, parser: 'markdown' })],
    ['deploy/prometheus-alerts.yaml', await format(alertRules(), { ...style, parser: 'yaml' })],
  ]);
}

const introduction = `# Configuration

<!-- Written by \`npm run docs\` from src/config/schema/ and scripts/generate-docs.ts. Do not edit. -->

Tailrace reads \`tailrace.yaml\`, a superset of \`sequin.yaml\`. Editors check it with
[tailrace.schema.json](../schema/tailrace.schema.json); \`tailrace check\` lists every fault at once, each with its line.
[pg2sqs' own configuration](compatibility.md) is read as it stands. A short file to start from:
[examples/tailrace.yaml](../examples/tailrace.yaml).

## Where it is found

The first of these that is there:

1. \`-c FILE\`
2. the file that \`CONFIG_FILE_PATH\` names
3. \`CONFIG_FILE_YAML\`: the text itself, in base64
4. \`./tailrace.yaml\`
5. for pg2sqs: the file that \`PG2SQS_CONFIG_PATH\` names, \`/etc/opt/pg2sqs/config.yaml\`, \`./config.yaml\`
6. \`PG2SQS_*\` variables alone

A file in pg2sqs' language is recognised in any of these places by its top-level keys.

It is one YAML document in UTF-8, a file or a pipe (\`-c <(sops -d tailrace.yaml)\`), of at most 1 MiB, 64 levels and 100,000 values; what aliases and
merge keys bring counts where they stand. Tags that change a value (\`!!binary\`) and keys that are there twice are faults. Defaults of variables nest 20 levels deep.

The data directory (change log, state) is \`--data-dir\`, else \`TAILRACE_DATA_DIR\`, else \`./tailrace-data\`.

| variable                                          | does                                                                                                          |
| ------------------------------------------------- | ------------------------------------------------------------------------------------------------------------- |
| \`TAILRACE_API_LISTEN\`                           | address of the API, when the file does not write \`api.listen\`                                               |
| \`SERVER_PORT\`                                   | its port, when neither of these is there: on all interfaces where tokens are configured, else on loopback     |
| \`SERVER_HOST\`                                   | the address beside that port                                                                                  |
| \`TAILRACE_METRICS_LISTEN\`                       | address of metrics and health, when the file does not write \`metrics.listen\`                                |
| \`SEQUIN_METRICS_PORT\`                           | its port then; alone, on all interfaces                                                                       |
| \`SEQUIN_METRICS_USER\`, \`SEQUIN_METRICS_PASSWORD\` | what \`/metrics\` demands, when the file writes neither \`metrics.username\` nor \`metrics.password\`            |
| \`LOG_LEVEL\`, \`SEQUIN_LOG_FORMAT\`              | level and form of the log, when the file does not write \`log_level\`, \`log_format\`                         |
| \`AWS_*\`                                         | as the AWS SDK reads them                                                                                     |
| \`ENV_FILE\`                                      | for pg2sqs: a file of more variables                                                                          |

## How values are written

- **Durations** have a unit: \`500ms\`, \`35s\`, \`2m\`, \`24h\`, \`7d\`.
- **Sizes** have one too: \`64KB\`, \`128MB\`, \`10GB\`, with or without an \`i\` (\`64KiB\`). They are powers of 1024, as in
  Postgres. A bare number counts bytes.
- **Tables** are \`schema.table\`; \`table\` alone is in the schema \`public\`. What follows the first dot is the table, with blanks and other
  dots; other odd names stand in double quotes inside the text: \`'"Odd.Schema"."What?"'\`. Where several tables can be meant, \`*\` stands for any characters: \`tenant_*.orders\`
  ([what a sink reads](sources.md)).
- **Variables** in any value, [as envsubst reads them](#variables).
- **Anchors**, aliases and merge keys (\`<<\`) work. Top-level keys that start with \`x-\`, or only carry anchors, are ignored; one
  whose anchors nothing uses is noted.
- Any other unknown key is an error.
- **Files** (\`ca\`, \`cert\`, \`key\`) are relative to the configuration file; the PEM text itself may stand there too.

## Variables

| written                             | is                                                                    |
| ----------------------------------- | --------------------------------------------------------------------- |
| \`$NAME\`, \`\${NAME}\`                | the variable; an error where it is not set                            |
| \`\${NAME:-other}\`, \`\${NAME:=other}\` | \`other\` for a variable that is not set or empty                     |
| \`\${NAME-other}\`, \`\${NAME=other}\`   | \`other\` for a variable that is not set                              |
| \`\${NAME:+other}\`, \`\${NAME+other}\`  | \`other\` for a variable that is set, else nothing                    |
| \`\${NAME:?text}\`, \`\${NAME?text}\`    | the variable; where it is not set (\`:?\`: or empty) an error that says \`text\` |
| \`$$\`                              | a dollar sign: a password \`pa$word\` is written \`pa$$word\`            |

\`other\` may hold variables too: \`\${HOST:-\${FALLBACK:-localhost}}\`. They are put in after the YAML is read, so that no password
can change the document. Nothing is replaced at and below the keys \`code\`, \`where\`, \`group_id\` and \`route.topic.replacement\`, whose
dollar signs are their own, nor where a name has a dot in it (\`\${row.region}\`).

## TLS

| written                    | means                                               |
| -------------------------- | --------------------------------------------------- |
| \`tls\` without \`mode\`       | \`verify-full\`                                       |
| \`ssl: true\`, \`ssl: false\`  | \`require\`, \`disable\`                                |
| \`sslmode\` in \`url\`         | as in libpq                                         |
| nothing                    | \`prefer\`: encrypted where the server can, unverified |

\`verify-full\` is what you want: it alone proves that the server is the one that was meant. Any mode that does not verify,
to a host that is not this machine, is one warning at start.
`;

/** A table of keys for each mapping, top level first, then what it holds. */
function sections(schema: JsonSchema): string {
  // Keys that are the same in several places (a queue, of a table, of an action) are shown once.
  const headingsByTable = new Map<string, string[]>();
  const queue: { heading: string; path: string; schema: JsonSchema }[] = [
    { heading: 'Keys', path: '', schema },
  ];
  for (let section = queue.shift(); section !== undefined; section = queue.shift()) {
    const required = new Set(section.schema.required);
    const properties = Object.entries(section.schema.properties ?? {});
    const ignored = properties.flatMap(([key, property]) =>
      property.ignored === undefined ? [] : code(key),
    );
    const rows = properties.flatMap(([key, property]) => {
      if (property.ignored !== undefined) return [];
      const value =
        property.default === undefined ? (required.has(key) ? 'required' : '') : defaultOf(property);
      return `| \`${key}\` | ${typeOf(property)} | ${value} | ${escapeCell(property.description ?? '')} |`;
    });
    const accepted = ignored.length === 0 ? [] : ['', `Accepted without effect: ${ignored.join(', ')}.`];
    const table = [
      '| key | type | default | meaning |',
      '| --- | --- | --- | --- |',
      ...rows,
      ...accepted,
    ].join('\n');
    headingsByTable.set(table, [...(headingsByTable.get(table) ?? []), section.heading]);
    const inner: typeof queue = [];
    for (const [key, property] of Object.entries(section.schema.properties ?? {})) {
      const path = section.path === '' ? key : `${section.path}.${key}`;
      inner.push(...mappingsIn(path, property));
    }
    queue.unshift(...inner);
  }
  return [...headingsByTable]
    .map(([table, headings]) => `## ${headings.join(', ')}\n\n${table}\n`)
    .join('\n');
}

function mappingsIn(
  path: string,
  schema: JsonSchema,
): { heading: string; path: string; schema: JsonSchema }[] {
  if (schema.oneOf !== undefined) {
    return schema.oneOf.map((option) => {
      const type = option.properties?.['type'];
      const types = type?.enum ?? [type?.const];
      return { heading: `\`${path}\` of type ${types.map(code).join(' or ')}`, path, schema: option };
    });
  }
  if (schema.items !== undefined) return mappingsIn(`${path}[]`, schema.items);
  if (schema.properties !== undefined) return [{ heading: `\`${path}\``, path, schema }];
  const { additionalProperties } = schema;
  return typeof additionalProperties === 'object' ? mappingsIn(`${path}.<name>`, additionalProperties) : [];
}

function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return code(schema.const);
  if (schema.enum !== undefined) return [...new Set(schema.enum.map(code))].join(', ');
  if (schema.items !== undefined) return `list of ${typeOf(schema.items)}`;
  const types = [schema.type ?? schema.anyOf?.map((option) => option.type) ?? []].flat(2);
  return types.map((type) => TYPE_WORDS[String(type)] ?? String(type)).join(' or ');
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'whole number',
  boolean: 'true or false',
  object: 'mapping',
  array: 'list',
};

const code = (value: unknown): string => `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;

/** A mapping's defaults stand at its own keys. */
function defaultOf(schema: JsonSchema): string {
  if (Array.isArray(schema.default)) return code(`[${schema.default.join(', ')}]`);
  return typeof schema.default === 'object' ? '' : code(schema.default);
}

const escapeCell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

if (import.meta.main) {
  for (const [path, text] of await generatedFiles()) {
    await mkdir(dirname(resolve(root, path)), { recursive: true });
    await writeFile(resolve(root, path), text);
  }
}

// docs/filters.md: what a filter means, and the list of what it may have, from the code's own tables.
import { castOf } from '../src/functions/where/operations/casts.ts';
import { signatures } from '../src/functions/where/operations/table.ts';
import { MAX_FILTER_DEPTH } from '../src/functions/where/grammar.ts';
import { MAX_FILTER_BYTES } from '../src/functions/where/parser.ts';
import { SCALAR_TYPES } from '../src/functions/where/values/conversions.ts';

const code = (text: string): string => `\`${text.replaceAll('|', '\\|')}\``;

/** A letter or an underscore begins a function's name, anything else an operator's. */
const isFunction = (name: string): boolean => /^[a-z_]/.test(name);

/** Signatures by name, each with the arguments that it takes. */
function listed(of: (name: string) => boolean): string {
  const byName = new Map<string, string[]>();
  for (const signature of signatures()) {
    const [name = '', ...args] = signature.split(' ');
    if (of(name)) byName.set(name, [...(byName.get(name) ?? []), args.map(shown).join(', ')]);
  }
  return [...byName]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, args]) => `| ${code(name)} | ${args.map((arg) => `(${code(arg)})`).join(' ')} |`)
    .join('\n');
}

const shown = (type: string): string =>
  type.startsWith('_')
    ? `${type.slice(1)}[]`
    : type === 'anyenum'
      ? 'enum'
      : type === 'anyarray'
        ? 'array'
        : type;

const casts = (): string =>
  SCALAR_TYPES.map((source) => {
    const targets = SCALAR_TYPES.filter(
      (target) => target !== source && castOf(source, target) !== undefined,
    );
    return `| ${code(source)} | ${targets.map(code).join(' ')} |`;
  }).join('\n');

export const filtersPage = (): string => `# Filters

<!-- Written by \`npm run docs\` from scripts/filters-docs.ts and src/functions/where/. Do not edit. -->

\`where\` says which changes a sink gets, as a condition in SQL. It means what Postgres means by it, and is evaluated here, for each change, without asking a server.

\`\`\`yaml
sinks:
  - name: large-orders
    source: { include_tables: [public.orders] }
    where: "status = 'paid' and amount > 100"
    tables:
      - name: public.orders
        where: "region is distinct from 'test'" # both must be true
\`\`\`

It is one expression of at most ${MAX_FILTER_BYTES / 1024} KiB and ${MAX_FILTER_DEPTH} levels, read by Postgres' own parser: no subquery, aggregate, window, parameter or function of yours. What is wrong in it \`tailrace check\` says at its
line and column of the file, inside of block scalars too. Nothing in it is replaced by variables of the environment.

## Which row

| written              | is                                                                                                     |
| -------------------- | ------------------------------------------------------------------------------------------------------ |
| \`x\`                | the column after the change; of a delete, the old one                                                  |
| \`new.x\`            | the column after the change; of a delete NULL                                                          |
| \`old.x\`            | the column before the change; of an insert and a read NULL. It must be part of the table's replica identity       |
| \`meta.action\`      | \`insert\`, \`update\`, \`delete\`; \`read\` of a row that a [backfill](backfills.md) has read |
| \`meta.schema\`, \`meta.table\` | the table, under the name that the sink reads it by                                         |
| \`meta.commit_timestamp\` | when the transaction committed, a timestamptz                                                     |
| \`meta.annotations\` | what the application said of its transaction (jsonb): \`meta.annotations->>'source' is distinct from 'import'\` |

Only what is true passes: false and NULL do not. What does not pass is settled and counted (\`filtered\` in the status). TRUNCATE passes every filter. A row is judged by the columns that its table had when it was written: where a later
table lacks a column that the filter names, or has it in a type that does not fit, the sink stops at that change and says so; nothing is lost.

## What Postgres did not send

A value may be unknown: a large one (TOAST) that an update did not change, or all columns but the key of a deleted row, both in tables without \`REPLICA IDENTITY FULL\`. It is neither NULL nor false, but **absent**, and so is the result of whatever
needs it; \`false and absent\` is false all the same, \`true or absent\` true. Then

- of an update \`on_absent\` decides: \`dead_letter\` (default), \`deliver\` or \`drop\`;
- of a delete \`deletes_outside\`: \`deliver\` (default: who has the row must learn that it is gone) or \`drop\`.

An error in a row (a division by zero, a text that is no number) makes it a dead letter with SQL's error. A constant part that is an error is refused before anything runs.

## The same answer, always

A change is judged alike after a restart, a rewind or on another machine. So what depends on the time, the session or the server is refused, with its cure: \`now()\` and its kin (\`meta.commit_timestamp\`), \`'today'\`, \`to_char\`, a timestamptz without its offset, one
that is made a date or compared with one (\`at time zone 'UTC'\`), a text that is cast to a date.

Texts are equal where their bytes are, under every deterministic collation. Their order (\`<\`, \`between\`) is known only under the collation C: elsewhere write \`x collate "C" < 'b'\`. \`lower\`, \`upper\` and \`ilike\` know the letters of ASCII; with others in
the text the result is absent (under C they stay as they are). Labels of enums are compared in their order; a label that was added after the table was last described has no place yet, which is an error of the row.

Which operator or function is meant follows Postgres' own rules of types, over its own catalog: what it would choose and the list does not have is refused, never replaced by something similar.

## Types

${SCALAR_TYPES.map(code).join(', ')}, enums, arrays and domains of these.

## Syntax

\`and\`, \`or\`, \`not\`; \`is [not] null | true | false | unknown\`; \`is [not] distinct from\`; \`[not] in (…)\`; \`[not] between [symmetric]\`; \`= any (…)\`, \`= all (…)\` with every operator that answers true or false; \`[not] like | ilike … [escape]\`; \`case\`; \`coalesce\`; \`nullif\`;
\`array[…]\`; \`::type\`, \`cast\`; \`collate "C"\`; \`at time zone 'UTC'\`; \`extract\`, \`position\`, \`substring … from … for\`, \`trim\`.

## Operators

| operator | of |
| --- | --- |
${listed((name) => !isFunction(name))}

## Functions

| function | of |
| --- | --- |
${listed(isFunction)}

Fields of \`extract\` and units of \`date_trunc\` are constants.

## Casts

Arrays are cast by their elements. \`numeric(p, s)\`, \`varchar(n)\`, \`char(n)\` and \`timestamp(p)\` do what they do in SQL.

| from | to |
| --- | --- |
${casts()}
`;

// docs/filters.md: what a filter means, and the list of what it may have, from the code's own tables.
import { CLASSES } from '../src/functions/where/patterns/pattern.ts';
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

Only what is true passes: false and NULL do not. What does not pass is settled and counted (\`filtered\` in the status). TRUNCATE passes every filter. A row is judged by the columns that its table had when it was written. Where they do not fit
the filter any more (a column was dropped or has another type), or a table comes later that lacks them, \`on_schema_break\` decides:

- \`halt\` (default): the sink delivers what came before, waits at that change, and says which column it is and since when, in the status and the log. With another filter (or one of the table's own under \`tables\`) it goes on there at the next start;
- \`dead_letter\`: changes of that table are dead letters until the filter is changed; the rest goes on.

## What Postgres did not send

A value may be unknown: a large one (TOAST) that an update did not change, or all columns but the key of a deleted row, both in tables without \`REPLICA IDENTITY FULL\`. It is neither NULL nor false, but **absent**, and so is the result of whatever
needs it; \`false and absent\` is false all the same, \`true or absent\` true. Then

- of an update \`on_absent\` decides: \`dead_letter\` (default), \`deliver\` or \`drop\`. More than 1,000 such dead letters within a minute are no accident: the sink is held, and says so, until \`tailrace resume\` (or the next start) lets it go on;
- of a delete \`deletes_outside\`: \`deliver\` (default: who has the row must learn that it is gone) or \`drop\`.

\`tailrace check --database\` and \`doctor\` name the tables whose deletes are not judged, and the columns that may be left out as large ones (TOAST), with the SQL that has Postgres send them: \`alter table … replica identity full\`. A service says the former in its log
as soon as it meets the table, and at each start.

An error in a row (a division by zero, a text that is no number) makes it a dead letter with SQL's error. A constant part that is an error is refused before anything runs.

## Rows that leave and enter: \`where_moves\`

An update can take a row out of what the filter names. By default it is judged as it is after the change: what does not pass is not sent, and whoever keeps a copy keeps the row as it was. With \`where_moves: convert\` the copy stays what
\`select … where\` would give, by [Postgres' own table](https://www.postgresql.org/docs/current/logical-replication-row-filter.html#LOGICAL-REPLICATION-ROW-FILTER-TRANSFORMATIONS) for publications with a row filter:

| the old row | the new row | is sent as                            |
| ----------- | ----------- | ------------------------------------- |
| passes      | passes      | \`update\`                            |
| passes      | does not    | \`delete\`, with \`metadata.moved: out\` |
| does not    | passes      | \`insert\`, with \`metadata.moved: in\`  |
| does not    | does not    | nothing                               |
| not known   | passes      | \`update\`                            |
| not known   | does not    | \`delete\`, with \`metadata.moved: out\` |
| any         | not known   | as \`on_absent\` says                 |

- It needs \`insert\`, \`update\` and \`delete\` among the actions, \`deletes_outside: deliver\`, and a filter that asks for one row's columns only: no \`old.x\` or \`new.x\`, no \`meta.action\`, \`meta.commit_timestamp\` or \`meta.annotations\`.
- The delete is the one that Postgres would send of the old row: with all of its columns under \`REPLICA IDENTITY FULL\`, else with its key, and with nothing of the new row. It stands in the message group of the old row and goes where that went; what follows in the group of
  the new row waits for it.
- The old row is known under \`REPLICA IDENTITY FULL\`, or where the filter asks for columns of the replica identity alone. Else every update of a row outside is a \`delete\` by key, also of a row that was never inside: harmless, and many. A row that enters is an \`update\` then: upsert. \`tailrace check --database\` names such tables.
- A row that enters may lack a large value that did not change, without \`REPLICA IDENTITY FULL\`: \`metadata.unchanged_columns\` names it.
- A changed key is an \`update\`, or a delete and an insert (\`key_changes: split\`), where both rows pass; where only the old one passes or is not known it is a delete of the old key, where only the new one does an insert.
- The format \`pg2sqs\` has no metadata: its \`kind\` is \`delete\` or \`insert\`, and nothing says that the row moved.

## The same answer, always

A change is judged alike after a restart, a rewind or on another machine. So what depends on the time, the session or the server is refused, with its cure: \`now()\` and its kin (\`meta.commit_timestamp\`), \`'today'\`, \`to_char\`, a timestamptz without its offset, one
that is made a date or compared with one (\`at time zone 'UTC'\`), a text that is cast to a date, a time or an interval.
Beside a timestamptz an interval has hours and smaller parts only, since how long a day is depends on the zone: \`meta.commit_timestamp - at < '48 hours'\`, or \`(at at time zone 'UTC') + interval '1 month'\`. Intervals are written \`'1 day 02:03:04'\` or \`'P1DT2H3M4S'\`; behind a negative
number each one has its sign (\`'-1 day +02:03:04'\`), because without it a style of the session decides. An infinite interval as a result is an error of the row, since Postgres has them since 17 only; a column of that type may have them.

Texts are equal where their bytes are, under every deterministic collation. In a database that is not UTF8 the bytes are others than those that come here, in SQL_ASCII the characters: there a result is absent that rests on them (\`octet_length\`, \`md5\` and the order under C; \`length\`, \`like\`, \`substring\` and their kin) where a text has other characters than ASCII's. Their order (\`<\`, \`between\`) is known only under the collation C: elsewhere write \`x collate "C" < 'b'\`. \`lower\`, \`upper\`, \`ilike\` and \`~*\` know the letters of
ASCII, and under collations of libc and \`C.UTF-8\` in a UTF8 database all others as the server maps them, which the log notes with each table; under ICU, and in logs of earlier versions, the result is absent where there are others (under C they stay as they are). Labels of enums are compared in their order; for one that was added after the table was last described the catalog is asked once, and without an answer (or where other labels were renamed) it is an error of the row.

Which operator or function is meant follows Postgres' own rules of types, over its own catalog: what it would choose and the list does not have is refused, never replaced by something similar.

That is compared with your server: before a sink judges the first row of a table, and by \`doctor\` and \`check --database\`. The server parses the filter, and says which operators and types it takes for each part; it runs nothing of it, in a transaction that may
only read. Where it means something else the sink halts, with the line and column; a server that does not answer stops no sink. \`extract\` answers another type before Postgres 14, so it needs 14, and so does \`split_part\` from the end. Where the role may not name a type (\`USAGE\` on its schema) what is
understood here stands, and \`doctor\` notes the GRANT.

## Try it first

\`\`\`sh
tailrace where test large-orders "status = 'paid' and amount > 100"   # of the changes that the log has: how many pass, how many do not, which
tailrace explain large-orders --last 20                               # what every step of the sink decides for the last changes
tailrace explain large-orders --position 16/B374D848:0                # and for one: sent where, in which bytes, or why not
\`\`\`

Both read the change log beside the service, whether it runs or not, with its configuration and its data directory. Nothing is delivered, connected or written. The condition stands in the place of the sink's own and of those of its
tables; exit code 1 says that it does not fit a table, or is an error for a row.

## In the publication instead

Postgres 15 and newer can apply a filter itself, as a row filter of the publication: what is outside is then neither sent nor logged. Where every sink of a table has a filter that Postgres would take (columns of the replica identity, built-in types, immutable
functions, no \`old\`, \`new\` or \`meta\`), \`doctor\` prints the SQL. It has a price: no rewind and no later filter brings what was never logged; an update that makes a row true comes as its insert, one that makes it false as its delete; and the change
itself is a [gap](concepts.md) of that table, which halts its sinks until it is accepted. Tailrace never changes it by itself.

## Types

${SCALAR_TYPES.map(code).join(', ')}, enums, arrays and domains of these.

## Syntax

\`and\`, \`or\`, \`not\`; \`is [not] null | true | false | unknown\`; \`is [not] distinct from\`; \`[not] in (…)\`; \`[not] between [symmetric]\`; \`= any (…)\`, \`= all (…)\` with every operator that answers true or false; \`[not] like | ilike | similar to … [escape]\`; \`~\`, \`~*\`, \`!~\`, \`!~*\`; \`case\`; \`coalesce\`; \`nullif\`; \`greatest\`, \`least\`;
rows beside rows: \`(a, b) = | <> | < | <= | > | >= (1, 2)\`, \`(a, b) [not] in ((1, 2), (3, 4))\`; \`tags[1]\`; \`array[…]\`; \`::type\`, \`cast\`; \`collate "C"\`; \`at time zone 'UTC'\`; \`extract\`, \`position\`, \`substring … from … for\`, \`trim\`.

## Regular expressions

\`~\`, \`~*\`, \`!~\`, \`!~*\` and \`similar to\` take as long as the text is long, whatever the pattern. It stands there as a constant, and has of [Postgres' expressions](https://www.postgresql.org/docs/current/functions-matching.html#FUNCTIONS-POSIX-REGEXP) what follows; the rest is refused by its name and place:
characters, \`.\`, \`[a-z]\`, \`[^a-z]\`, \`|\`, \`( )\`, \`(?: )\`; \`*\`, \`+\`, \`?\`, \`{m}\`, \`{m,}\`, \`{m,n}\`, also with \`?\` behind them; \`^\`, \`$\`, \`\\A\`, \`\\Z\`, \`\\y\`, \`\\Y\`; \`\\d\`, \`\\w\`, \`\\s\`, \`\\D\`, \`\\W\`, \`\\S\`; in brackets
${Object.keys(CLASSES)
  .map((name) => code(`[:${name}:]`))
  .join(
    ', ',
  )}; \`\\t\`, \`\\n\`, \`\\r\`, \`\\f\`, \`\\v\`, \`\\e\`, \`\\a\`, \`\\u00e9\`. Not taken are back references, conditions on what follows or comes before, \`\\m\`, \`\\M\`, options (\`(?i)\`, \`***=\`) and classes that each library has for itself (\`[:punct:]\`).
What belongs to a class is known within ASCII: where a pattern has one and the text has other characters, the result is absent, but under C, where those belong to none. Write \`[0-9]\` or \`[a-z]\` where that is meant.

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

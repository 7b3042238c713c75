// What no single entry of tailrace.yaml can say: names, references, templates, and keys without effect.
// These checks read the raw values, so that they speak even where the schema has found faults.
import { parseTemplate, templateColumns } from '../../core/template.ts';
import { MAX_SINKS_PER_DATABASE } from '../../log/signals.ts';
import type { LoadContext } from '../context.ts';
import type { Fault } from '../file/faults.ts';
import { listOf, valueAt, type FileValue, type Path } from '../file/file-value.ts';
import { jsonSchemaOfFile } from '../schema/file-json-schema.ts';
import { walkSchema } from '../schema/json-schema.ts';
import type { FileConfig } from '../schema/file.ts';
import { hasRoutesByRow } from './route-checks.ts';

export type Reader = {
  readonly file: FileValue;
  readonly context: LoadContext;
  readonly faults: Fault[];
  readonly notes: string[];
};

export function checkNames({ file, faults, notes }: Reader): void {
  const databases = listOf(file, 'databases').map((_, index) => file.text(['databases', index, 'name']));
  const follow = new Map<string, number>();
  for (const key of ['databases', 'sinks']) {
    const seen = new Set<string>();
    for (const index of listOf(file, key).keys()) {
      const name = file.text([key, index, 'name']);
      if (name === undefined) continue;
      if (seen.has(name))
        faults.push(file.fault([key, index, 'name'], `another of the ${key} is called "${name}" already`));
      seen.add(name);
    }
  }
  for (const index of listOf(file, 'sinks').keys()) {
    const path = ['sinks', index, 'database'];
    const database = file.text(path) ?? (databases.length === 1 ? databases[0] : undefined);
    if (database === undefined) {
      if (databases.length > 1)
        faults.push(file.fault(path, 'this is missing, and there are several databases'));
      continue;
    }
    const count = (follow.get(database) ?? 0) + 1;
    follow.set(database, count);
    if (!databases.includes(database)) {
      const allowed = databases.filter((name) => name !== undefined);
      faults.push({ ...file.fault(path, `there is no database called "${database}"`), allowed });
    } else if (count === MAX_SINKS_PER_DATABASE + 1) {
      faults.push(file.fault(path, `one database can have ${MAX_SINKS_PER_DATABASE} sinks at most`));
    }
  }
  for (const name of databases) {
    if (name !== undefined && !follow.has(name)) notes.push(`database ${name}: no sink follows it`);
  }
}

/** Only `discard_on_full` isolates without limit: of sinks that share a log, those that may stop the others are named. */
export const sharedBudgetNotes = (config: FileConfig): readonly string[] =>
  config.databases.flatMap(({ name }) => {
    const sinks = config.sinks.filter(({ database }) => database === name);
    const pausing = sinks.filter(({ load_shedding_policy: policy }) => policy === 'pause_on_full');
    if (sinks.length < 2 || pausing.length === 0) return [];
    const names = pausing.map((sink) => `"${sink.name}"`).join(', ');
    return `database ${name}: if sink ${names} stays behind until the disk is full, the other sinks of this database stop too; load_shedding_policy: discard_on_full isolates them without limit`;
  });

/** What a filtered copy costs where old rows are not sent: nobody is asked here how its tables are. */
export const movingNotes = (config: FileConfig): readonly string[] =>
  config.sinks
    .filter(({ where_moves: moves }) => moves === 'convert')
    .map(
      ({ name }) =>
        `sink ${name}: where_moves: convert knows which rows leave and enter where their tables have REPLICA IDENTITY FULL; with less, every update of a row outside becomes a delete by key if its filter needs more than that (tailrace check --database names the tables)`,
    );

/** A consumer of one route is not told that a row has gone to another one, unless the sink says so. */
export const routeMovesNotes = (config: FileConfig): readonly string[] =>
  config.sinks
    .filter(
      ({ route_moves: moves, actions, destination }) =>
        moves === 'ignore' && actions.includes('update') && hasRoutesByRow(destination),
    )
    .map(
      ({ name }) =>
        `sink ${name}: an update that takes a row to another route is sent there only; with route_moves: convert the route that it leaves gets a delete`,
    );

/** Every `group_id` of a destination, at whatever depth, is a template. */
export function checkTemplates({ file, faults, notes }: Reader): void {
  for (const index of listOf(file, 'sinks').keys()) {
    const base = ['sinks', index, 'destination'];
    for (const { path, text } of groupIdsIn(valueAt(file.value, base), base)) {
      try {
        if (templateColumns(parseTemplate(text)).length > 0) continue;
        const note = constantGroupNote(file.nameOf(path), text);
        if (!notes.includes(note)) notes.push(note);
      } catch (error) {
        faults.push(file.fault(path, error instanceof Error ? error.message : String(error)));
      }
    }
  }
}

const constantGroupNote = (place: string, template: string): string =>
  `${place}: "${template}" names no column, so all these rows are one group, delivered one request after the other`;

function* groupIdsIn(value: unknown, path: Path): Generator<{ path: Path; text: string }> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, child] of Object.entries(value)) {
    if (key === 'group_id' && typeof child === 'string') yield { path: [...path, key], text: child };
    else yield* groupIdsIn(child, [...path, key]);
  }
}

/** Names of keys that one note lists. */
const MAX_KEYS_NAMED = 4;

/** Secrets as Sequin exports them unless it is asked to show them: with stars in the place of letters. */
export function maskedSecretNotes(file: FileValue): readonly string[] {
  const masked: string[] = [];
  walkSchema(jsonSchemaOfFile(), file.value, (path, schema, value) => {
    if (schema.secret === true && JSON.stringify(value).includes('***')) masked.push(file.nameOf(path));
  });
  if (masked.length === 0) return [];
  return [
    `${listOfKeys(masked)} ${masked.length === 1 ? 'looks' : 'look'} masked: export it again with show-sensitive=true, or write the secret`,
  ];
}

/** One note for each reason, whatever has it. */
export function ignoredKeyNotes(file: FileValue): readonly string[] {
  const keysByReason = new Map<string, string[]>();
  walkSchema(jsonSchemaOfFile(), file.value, (path, schema) => {
    if (schema.ignored === undefined) return;
    keysByReason.set(schema.ignored, [...(keysByReason.get(schema.ignored) ?? []), file.nameOf(path)]);
  });
  return [...keysByReason].map(
    ([reason, keys]) =>
      `${listOfKeys(keys)} ${keys.length === 1 ? 'is' : 'are'} accepted without effect: ${reason}`,
  );
}

function listOfKeys(keys: readonly string[]): string {
  const more = keys.length - MAX_KEYS_NAMED;
  return `${keys.slice(0, MAX_KEYS_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

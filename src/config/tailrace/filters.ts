// The `where` of sinks and their tables: parsed all at once, with what is wrong in each said at its place in the file.
import { beyondTheRow } from '../../functions/where/named-columns.ts';
import { parseFilters } from '../../functions/where/parsing.ts';
import type { WhereFault } from '../../functions/where/fault.ts';
import type { Filter } from '../../functions/where/syntax.ts';
import type { PlacedFilter } from '../../pipeline/settings.ts';
import { formatFault } from '../file/faults.ts';
import { listOf, valueAt, type FileValue, type Path } from '../file/file-value.ts';
import type { Reader } from './cross-checks.ts';

export type SinkFilters = {
  readonly where: PlacedFilter | undefined;
  /** By the index of the table's entry. */
  readonly tables: readonly (PlacedFilter | undefined)[];
};

/** By the index of the sink. */
export type Filters = readonly SinkFilters[];

export const NO_FILTERS: SinkFilters = { where: undefined, tables: [] };

/** Faults go to the reader; a filter that has one is left out. */
export async function readFilters({ file, faults }: Reader): Promise<Filters> {
  const written = listOf(file, 'sinks').flatMap((_, sink) => conditionsOf(file, sink));
  const parsed = await parseFilters(written.map(({ text }) => text));
  const filters = new Map<string, PlacedFilter>();
  for (const [i, { path }] of written.entries()) {
    const found = parsed[i]!;
    const fault = found.kind === 'fault' ? found.fault : moveFault(file, path, found.filter);
    if (fault !== undefined) faults.push(file.faultWithin(path, fault.message, fault.at));
    else if (found.kind === 'filter')
      filters.set(JSON.stringify(path), {
        ...found.filter,
        place: formatFault(file.fault(path, '')).trimEnd(),
      });
  }
  const at = (path: Path): PlacedFilter | undefined => filters.get(JSON.stringify(path));
  return listOf(file, 'sinks').map((_, sink) => ({
    where: at(['sinks', sink, 'where']),
    tables: tablesOf(file, sink).map((__, table) => at(['sinks', sink, 'tables', table, 'where'])),
  }));
}

/** Where rows move in and out, each row has to be inside or outside by itself. */
function moveFault(file: FileValue, path: Path, { syntax }: Filter): WhereFault | undefined {
  if (valueAt(file.value, [...path.slice(0, 2), 'where_moves']) !== 'convert') return undefined;
  const found = beyondTheRow(syntax);
  if (found === undefined) return undefined;
  const { image, name, at } = found;
  const message = `with where_moves: convert a row is inside or outside by its own columns: ${image}.${name} says more than they do`;
  return { message, at };
}

function tablesOf(file: FileValue, sink: number): readonly unknown[] {
  const tables = valueAt(file.value, ['sinks', sink, 'tables']);
  return Array.isArray(tables) ? tables : [];
}

function conditionsOf(file: FileValue, sink: number): { readonly path: Path; readonly text: string }[] {
  const paths: Path[] = [
    ['sinks', sink, 'where'],
    ...tablesOf(file, sink).map((_, table) => ['sinks', sink, 'tables', table, 'where']),
  ];
  return paths.flatMap((path) => {
    const text = file.text(path);
    return text === undefined ? [] : [{ path, text }];
  });
}

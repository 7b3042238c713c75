// A sink that is told where transactions begin and end gets everything in one order: what it says of groups and routes must let it.
import { TailraceError } from '../../core/errors.ts';
import { isTemplate, parseTemplate } from '../../core/template.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import type { GroupTemplate } from '../../sinks/sink.ts';

type WrittenSink = {
  readonly message_grouping: boolean;
  readonly group_column_names?: unknown;
  readonly tables: readonly { readonly group_column_names?: unknown }[];
  readonly destination: unknown;
};

type TransactionCheck = { readonly path: (string | number)[]; readonly message: string };

const WHY = 'include-transaction puts all messages into one group, in one order';

/** Asked where the format tells of transactions. */
export function* transactionFaults(sink: WrittenSink): Generator<TransactionCheck> {
  if (!sink.message_grouping)
    yield { path: ['message_grouping'], message: `${WHY}: leave message_grouping out` };
  const grouped = [
    { path: ['group_column_names'], holder: sink },
    ...sink.tables.map((holder, i) => ({ path: ['tables', i, 'group_column_names'], holder })),
  ];
  for (const { path, holder } of grouped)
    if (holder.group_column_names !== undefined)
      yield { path, message: `${WHY}: leave group_column_names out` };
  yield* destinationFaults(sink.destination);
}

function* destinationFaults(destination: unknown): Generator<TransactionCheck> {
  const definition = sinkDefinition((destination as { type: string }).type);
  const path = ['destination'];
  const routes = definition?.routeTemplates?.(destination) ?? [];
  const byRow = routes.find(({ template }) => isTemplate(template));
  if (byRow !== undefined) {
    const message = `include-transaction needs one route for all messages, and in ${byRow.key} rows decide: write a fixed one, or a sink for each`;
    yield { path, message };
  } else if (routes.length > 0 && !areOne(routes, ({ table }) => table === undefined)) {
    const message = `include-transaction needs one route for all messages: write one at the top of the destination instead of ${keysOf(routes)}, or a sink for each`;
    yield { path, message };
  }
  const groups = definition?.groupTemplates?.(destination) ?? [];
  const varying = groups.find(({ template }) => !isConstant(template));
  if (varying !== undefined) {
    yield { path, message: `${WHY}: ${varying.key} may be a fixed text, and names nothing of a row` };
  } else if (groups.length > 0 && !areOne(groups, (each) => each.table === undefined && !each.action)) {
    const message = `${WHY}: write one group_id at the top of the destination instead of ${keysOf(groups)}`;
    yield { path, message };
  }
}

/** Do they all say the same, and one of them for everything? */
const areOne = (
  templates: readonly GroupTemplate[],
  isForAll: (template: GroupTemplate) => boolean,
): boolean => new Set(templates.map(({ template }) => template)).size === 1 && templates.some(isForAll);

const keysOf = (templates: readonly GroupTemplate[]): string => templates.map(({ key }) => key).join(', ');

/** Of one that cannot be read its field says so. */
function isConstant(template: string): boolean {
  try {
    return parseTemplate(template).every(({ kind }) => kind === 'text');
  } catch (error) {
    if (error instanceof TailraceError) return true;
    throw error;
  }
}

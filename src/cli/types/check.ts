// Compares a directory of generated types with what they would be now: what changed for who reads the messages. Pure.
import { compareMessages, type TableDifference } from './comparison.ts';
import { filesOf } from './directory.ts';
import { SCHEMA_END, type Layout, type TableFiles } from './files.ts';
import { readSchemaText } from './json-schema.ts';

/** `title`: `orders / public.orders`, or a file. */
export type Change = TableDifference & { readonly title: string };

export function compareTypes(present: ReadonlyMap<string, string>, layout: Layout): readonly Change[] {
  const changes = layout.tables.flatMap((table) => changesOf(table, present));
  const paths = new Set(filesOf(layout).map(({ path }) => path));
  for (const [path, text] of present) {
    if (paths.has(path) || !path.endsWith(SCHEMA_END)) continue;
    changes.push({ ...NOTHING, title: titleIn(text) ?? path, says: 'is gone', breaks: true });
  }
  // What follows from these is in their files, too.
  return changes.length > 0 ? changes : otherTexts(present, layout);
}

const NOTHING = { member: '', actions: [], breaks: false } as const;

function changesOf({ title, described, schema }: TableFiles, present: ReadonlyMap<string, string>): Change[] {
  const before = present.get(schema.path);
  if (before === schema.text) return [];
  if (before === undefined) return [{ ...NOTHING, title, says: 'is new' }];
  try {
    return compareMessages(readSchemaText(before), described.messages).map((each) => ({ ...each, title }));
  } catch {
    return [{ ...NOTHING, title, says: `has a file that cannot be read, ${schema.path}: write it again` }];
  }
}

/** The same types in other words. */
function otherTexts(present: ReadonlyMap<string, string>, layout: Layout): Change[] {
  const files = filesOf(layout);
  const differing = files.filter(({ path, text }) => present.get(path) !== text).map(({ path }) => path);
  const stale = [...present.keys()].filter((path) => !files.some((file) => file.path === path));
  return [...differing, ...stale].map((title) => ({
    ...NOTHING,
    title,
    says: 'has another text for the same types: it was edited, or another version wrote it',
  }));
}

function titleIn(schema: string): string | undefined {
  try {
    return (JSON.parse(schema) as { readonly title?: string }).title;
  } catch {
    return undefined;
  }
}

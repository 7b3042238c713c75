// Rows of the store's tables as values.

/** The columns that are no NULL, as texts under these names. */
export function present<Name extends string>(
  row: Readonly<Record<string, unknown>>,
  columns: Readonly<Record<Name, string>>,
): Partial<Record<Name, string>> {
  const found = Object.entries<string>(columns).filter(([, column]) => row[column] !== null);
  return Object.fromEntries(found.map(([name, column]) => [name, String(row[column])])) as Partial<
    Record<Name, string>
  >;
}

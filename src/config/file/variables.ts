// Puts environment variables into configuration texts: `${NAME}` and `${NAME:-default}`.

export type Variables = Readonly<Record<string, string | undefined>>;

const REFERENCE = /\$?\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;

/**
 * As a shell does: the default stands in for a variable that is unset or empty. `$${NAME}` is the text `${NAME}`.
 * Anything else in braces (`${%table%}`) stays as it is.
 */
export function substituteVariables(
  text: string,
  variables: Variables,
): { text: string; missing: readonly string[]; changed: boolean } {
  const missing: string[] = [];
  let changed = false;
  const result = text.replace(REFERENCE, (written, name: string, fallback: string | undefined) => {
    changed = true;
    if (written.startsWith('$$')) return written.slice(1);
    const value = variables[name];
    if (fallback !== undefined) return value === undefined || value === '' ? fallback : value;
    if (value === undefined) missing.push(name);
    return value ?? '';
  });
  return { text: result, missing, changed };
}

// Puts environment variables into configuration texts: `${NAME}` and `${NAME:-default}`.

export type Variables = Readonly<Record<string, string | undefined>>;

/** Up to the default, or to the brace that ends it. */
const REFERENCE = /\$?\$\{([A-Za-z_][A-Za-z0-9_]*)(:-|\})/g;

/**
 * As a shell does: the default stands in for a variable that is unset or empty, and may hold references of its own.
 * `$${NAME}` is the text `${NAME}`. Anything else in braces (`${%table%}`) stays as it is.
 */
export function substituteVariables(
  text: string,
  variables: Variables,
): { text: string; missing: readonly string[]; changed: boolean } {
  const missing: string[] = [];
  let result = '';
  let at = 0;
  for (const { 0: opening, 1: name, 2: ending, index } of text.matchAll(REFERENCE)) {
    if (index < at) continue; // inside a default
    const start = index + opening.length;
    const end = ending === '}' ? start : endOfDefault(text, start);
    if (end === undefined) break;
    result += text.slice(at, index);
    at = end;
    const value = variables[name!];
    if (opening.startsWith('$$')) result += text.slice(index + 1, end);
    else if (ending === '}') {
      if (value === undefined) missing.push(name!);
      result += value ?? '';
    } else if (value === undefined || value === '') {
      const fallback = substituteVariables(text.slice(start, end - 1), variables);
      missing.push(...fallback.missing);
      result += fallback.text;
    } else result += value;
  }
  return { text: result + text.slice(at), missing, changed: at > 0 };
}

/** Behind the brace that ends the default: each `${` in it has one of its own. */
function endOfDefault(text: string, start: number): number | undefined {
  let depth = 1;
  for (let at = start; at < text.length; at++) {
    if (text.startsWith('${', at)) depth++;
    else if (text[at] === '}' && --depth === 0) return at + 1;
  }
  return undefined;
}

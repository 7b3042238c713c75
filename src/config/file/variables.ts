// Puts environment variables into configuration texts, as envsubst does: `$NAME`, `${NAME}`, `${NAME:-default}` and the rest.
// https://github.com/a8m/envsubst#docs

export type Variables = Readonly<Record<string, string | undefined>>;

export type Substitution = {
  readonly text: string;
  /** What is wrong, for an operator. */
  readonly problems: readonly string[];
  /** Was anything replaced? */
  readonly changed: boolean;
};

/**
 * `$$`, `$NAME`, or `${NAME` up to its operator or closing brace. A name is as envsubst has it: letters, digits and `_`, but
 * not `_` alone. Where a point or nothing of this follows (`${row.id}`, `${%table%}`), it is no variable.
 */
const REFERENCE =
  /\$(?:(\$)|(?!_(?![\p{L}\p{Nd}_]))([\p{L}\p{Nd}_]+)|\{(?!_[}:?=+-])([\p{L}\p{Nd}_]+)(?![\p{L}\p{Nd}_.])(:?[-=+?]|\}|))/gu;

/** Defaults of defaults: each level is read again. */
const MAX_NESTED = 20;
const NESTED_TOO_DEEP = `variables are nested deeper than ${MAX_NESTED} levels`;

/** Names of variables of an environment; what else stands behind a dollar sign may be part of a secret. */
const USUAL_NAME = /^[A-Z_][A-Z0-9_]*$/;

/** `mayBeColumn`: of an unset name it is said how a column would be written. */
export function substituteVariables(
  text: string,
  variables: Variables,
  { depth = 0, mayBeColumn = false } = {},
): Substitution {
  if (depth > MAX_NESTED) return { text, problems: [NESTED_TOO_DEEP], changed: false };
  const problems: string[] = [];
  let result = '';
  let at = 0;
  for (const match of text.matchAll(REFERENCE)) {
    const { 0: opening, 1: dollar, 2: bare, 3: name = bare, 4: operator, index } = match;
    if (index < at) continue; // inside an operand
    result += text.slice(at, index);
    at = index + opening.length;
    if (dollar !== undefined) result += '$';
    else if (bare !== undefined || operator === '}') {
      const value = valueOf(variables, name!);
      if (value === undefined) problems.push(missing(name!, bare !== undefined, mayBeColumn));
      result += value ?? '';
    } else {
      const end = operator === '' ? undefined : endOfOperand(text, at);
      if (end === undefined) {
        problems.push(operator === '' && text[at] !== undefined ? unknownForm(name!) : neverEnds(name!));
        return { text, problems, changed: false };
      }
      const operand = text.slice(at, end);
      const chosen = choose({ name: name!, operator: operator!, operand }, variables, { depth: depth + 1 });
      problems.push(...chosen.problems);
      result += chosen.text;
      at = end + 1;
    }
  }
  return { text: result + text.slice(at), problems, changed: at > 0 };
}

/** Every environment inherits `constructor` and the like, which nobody has set. */
export const valueOf = (variables: Variables, name: string): string | undefined =>
  Object.hasOwn(variables, name) ? variables[name] : undefined;

/** What stands for `${NAME<operator>operand}`. */
function choose(
  { name, operator, operand }: { name: string; operator: string; operand: string },
  variables: Variables,
  depth: { readonly depth: number },
): Pick<Substitution, 'text' | 'problems'> {
  const value = valueOf(variables, name);
  const rule = operator.at(-1);
  const nothing = { text: '', problems: [] };
  // As in envsubst, an empty variable is one that is set, with and without the colon.
  if (rule === '+') return value === undefined ? nothing : substituteVariables(operand, variables, depth);
  if (value !== undefined && (value !== '' || operator.length === 1)) return { text: value, problems: [] };
  if (rule !== '?') return substituteVariables(operand, variables, depth);
  return { text: '', problems: [`the variable ${name} is needed: ${operand || 'it is not set'}`] };
}

/** Where the brace stands that ends it: each `${` in it has one of its own. */
function endOfOperand(text: string, start: number): number | undefined {
  let depth = 1;
  for (let at = start; at < text.length; at++) {
    if (text.startsWith('${', at)) depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  return undefined;
}

/** The text behind a bare dollar sign is named only where it looks like a variable: it may be a part of a password. */
function missing(name: string, isBare: boolean, mayBeColumn: boolean): string {
  if (!isBare && mayBeColumn && !USUAL_NAME.test(name))
    return `the variable ${name} is not set: did you mean the column, \${row.${name}}? Else set it, or give a default: \${${name}:-value}`;
  if (!isBare) return `the variable ${name} is not set; set it, or give a default: \${${name}:-value}`;
  const what = USUAL_NAME.test(name)
    ? `the variable ${name} is`
    : 'what follows the dollar sign is a variable that is';
  return `${what} not set; set it, or write $$ for the sign itself`;
}

const unknownForm = (name: string): string =>
  `\${${name}… is no form of a variable: \${${name}}, \${${name}:-default} and \${${name}:+other} are; write $$ for a dollar sign`;

const neverEnds = (name: string): string => `\${${name} has no closing brace; write $$ for a dollar sign`;

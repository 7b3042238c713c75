// Reads the file of variables that ENV_FILE names, in the form that pg2sqs reads.
// https://github.com/joho/godotenv#readme
import type { Fault } from '../file/faults.ts';
import { valueOf, type Variables } from '../file/variables.ts';

export const ENV_FILE = 'ENV_FILE';

/** `export NAME=`, or with a colon, and what follows on this line. */
const ASSIGNMENT = /^[ \t]*(?:export[ \t]+)?([A-Za-z0-9_.]+)[ \t]*[=:][ \t]*/;
const NOTHING = /^[ \t]*(?:#.*)?\r?(?:\n|$)/;
/** Up to the line's end, or to a comment behind a blank. */
const BARE_VALUE = /^((?:(?![ \t]#)[^\n])*)[^\n]*(?:\n|$)/;
const QUOTED_VALUE = /^(?:'((?:\\'|[^'])*)'|"((?:\\.|[^"\\])*)")[ \t]*(?:#[^\n]*)?\r?(?:\n|$)/s;

/** The variables of the file, in its order; what is no assignment goes to `faults`. */
export function parseEnvFile(
  text: string,
  { file, env, faults }: { readonly file: string; readonly env: Variables; readonly faults: Fault[] },
): Record<string, string> {
  // No prototype: a variable may have any name.
  const variables = Object.create(null) as Record<string, string>;
  const known = (name: string): string | undefined => variables[name] ?? valueOf(env, name);
  let rest = text.replace(/^\uFEFF/, '');
  while (rest !== '') {
    const nothing = NOTHING.exec(rest);
    if (nothing !== null) {
      rest = rest.slice(nothing[0].length);
      continue;
    }
    const assignment = ASSIGNMENT.exec(rest);
    const written = rest.slice(assignment?.[0].length ?? 0);
    const isQuoted = /^['"]/.test(written);
    const value = (isQuoted ? QUOTED_VALUE : BARE_VALUE).exec(written);
    if (assignment === null || value === null) {
      const line = text.slice(0, text.length - rest.length).split('\n').length;
      // The line is not repeated: it may hold a secret.
      const message = assignment === null ? 'NAME=value is expected here' : 'this quote does not end';
      faults.push({ file, line, column: 1, path: assignment?.[1] ?? '', message });
      return variables;
    }
    const [, first = '', double] = value;
    const isLiteral = isQuoted && double === undefined;
    variables[assignment[1]!] = isLiteral
      ? first
      : expand(double === undefined ? first.trim() : unescape(double), known);
    rest = written.slice(value[0].length);
  }
  return variables;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r' };

/** A dollar sign keeps its backslash until variables are put in. */
const unescape = (text: string): string =>
  text.replaceAll(/\\([^$])/gs, (_, escaped: string) => ESCAPES[escaped] ?? escaped);

/** Only names in capitals are variables: `${id}` and `${%table%}` are templates of group ids. What is not set stays. */
const expand = (text: string, known: (name: string) => string | undefined): string =>
  text.replaceAll(
    /\\\$|\$(?:\{([A-Z0-9_]+)\}|([A-Z0-9_]+))/g,
    (reference, braced: string | undefined, bare: string | undefined) => {
      const name = braced ?? bare;
      return name === undefined ? '$' : (known(name) ?? reference);
    },
  );

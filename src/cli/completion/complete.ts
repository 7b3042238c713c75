// What may stand next on a command line, found in the program's own tree of commands and options.
import type { Argument, Command, Option } from 'commander';

export type Candidate = { readonly word: string; readonly about: string };

export type Completion =
  | { readonly kind: 'words'; readonly candidates: readonly Candidate[] }
  | { readonly kind: 'files' | 'directories' };

/** What a configuration gives names to. */
export type Configured = 'sink' | 'database';

/** Of the configuration, which `-c` may name; asked only where such a name may stand. */
export type ConfiguredNames = (what: Configured, config: string | undefined) => Promise<readonly string[]>;

const NOTHING: Completion = { kind: 'words', candidates: [] };

/** `words`: those behind the program's name, the last of which is being written and may be empty. */
export async function complete(
  program: Command,
  words: readonly string[],
  namesOf: ConfiguredNames,
): Promise<Completion> {
  const current = words.at(-1) ?? '';
  const found = await candidatesAt(read(program, words.slice(0, -1)), current, namesOf);
  if (found.kind !== 'words') return found;
  return { kind: 'words', candidates: found.candidates.filter(({ word }) => word.startsWith(current)) };
}

/** What stands in front of the word that is being written. */
type Line = {
  readonly command: Command;
  /** How many operands the command has. */
  readonly operands: number;
  /** The option whose value comes next, or may. */
  readonly pending: Option | undefined;
  readonly used: ReadonlySet<Option>;
  /** Behind `--`. */
  readonly onlyOperands: boolean;
  readonly config: string | undefined;
};

function read(program: Command, words: readonly string[]): Line {
  let command = program;
  let operands = 0;
  let pending: Option | undefined;
  let onlyOperands = false;
  let config: string | undefined;
  const used = new Set<Option>();
  for (const word of words) {
    const isOption = !onlyOperands && word.startsWith('-') && word.length > 1;
    if (pending !== undefined && (pending.required || !isOption) && !(pending.variadic && isOption)) {
      if (pending.attributeName() === 'config') config = word;
      if (!pending.variadic) pending = undefined;
      continue;
    }
    pending = undefined;
    if (isOption && word === '--') onlyOperands = true;
    else if (isOption) {
      const [name, value] = splitOption(word);
      const option = command.options.find(({ long, short }) => name === long || name === short);
      if (option === undefined) continue;
      used.add(option);
      if (option.attributeName() === 'config') config = value;
      if (value === undefined && (option.required || option.optional)) pending = option;
    } else {
      const child = operands === 0 ? childOf(command, word) : undefined;
      if (child === undefined) operands++;
      else command = child;
    }
  }
  return { command, operands, pending, used, onlyOperands, config };
}

async function candidatesAt(line: Line, current: string, namesOf: ConfiguredNames): Promise<Completion> {
  const { command, operands, pending, onlyOperands, config } = line;
  const named = async (what: Configured): Promise<Completion> => ({
    kind: 'words',
    candidates: (await namesOf(what, config)).map((word) => ({ word, about: what })),
  });
  const [name, value] = splitOption(current);
  if (pending?.required === true && !(pending.variadic && current.startsWith('-')))
    return await valuesOf(pending, named);
  if (!onlyOperands && current.startsWith('-')) {
    if (value === undefined) return { kind: 'words', candidates: optionsOf(line) };
    const option = command.options.find(({ long }) => long === name);
    const values = option === undefined ? NOTHING : await valuesOf(option, named);
    if (values.kind !== 'words') return values;
    return {
      kind: 'words',
      candidates: values.candidates.map(({ word, about }) => ({ word: `${name}=${word}`, about })),
    };
  }
  const optional = pending === undefined ? NOTHING : await valuesOf(pending, named);
  if (optional.kind === 'words' && optional.candidates.length > 0) return optional;
  const children = operands === 0 ? childrenOf(command) : [];
  if (children.length > 0) return { kind: 'words', candidates: children };
  const argument = argumentAt(command, operands);
  if (argument === undefined) return { kind: 'words', candidates: onlyOperands ? [] : optionsOf(line) };
  if (argument.name() === 'sink') return await named('sink');
  return choices(argument.argChoices);
}

function splitOption(word: string): [name: string, value: string | undefined] {
  const at = word.startsWith('--') ? word.indexOf('=') : -1;
  return at === -1 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

const childOf = (command: Command, word: string): Command | undefined =>
  command.commands.find((child) => child.name() === word || child.aliases().includes(word));

const childrenOf = (command: Command): Candidate[] =>
  command.commands.length === 0
    ? []
    : command
        .createHelp()
        .visibleCommands(command)
        .map((child) => ({ word: child.name(), about: child.description() }));

const optionsOf = ({ command, used }: Line): Candidate[] =>
  command
    .createHelp()
    .visibleOptions(command)
    .filter((option) => option.variadic || !used.has(option))
    .flatMap(({ long, short, description }) => {
      const word = long ?? short;
      return word === undefined ? [] : [{ word, about: description }];
    });

/** The help's name of a value says what it is: `<file>`, `<dir>`, `<sink>`, `<database>`. */
async function valuesOf(
  { flags, argChoices }: Option,
  named: (what: Configured) => Promise<Completion>,
): Promise<Completion> {
  const [, what] = /[<[](\w+)[\]>]/.exec(flags) ?? [];
  if (what === 'file') return { kind: 'files' };
  if (what === 'dir') return { kind: 'directories' };
  if (what === 'sink' || what === 'database') return await named(what);
  return choices(argChoices);
}

const choices = (words: readonly string[] | undefined): Completion => ({
  kind: 'words',
  candidates: (words ?? []).map((word) => ({ word, about: '' })),
});

function argumentAt(command: Command, operands: number): Argument | undefined {
  const { registeredArguments } = command;
  const last = registeredArguments.at(-1);
  return registeredArguments[operands] ?? (last?.variadic === true ? last : undefined);
}

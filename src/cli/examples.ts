// Examples in the help of every command: command lines as somebody would write them, each of which a test parses.
import type { Command } from 'commander';

/** A command line, and what it does. */
export type Example = readonly [line: string, does: string];

/** By the command's path below `tailrace`. */
const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  '': [
    ['tailrace demo --rows 1000', 'see it work, with nothing set up'],
    ['tailrace check -c tailrace.yaml', 'is the configuration right?'],
    ['tailrace doctor', 'are Postgres and the sinks ready?'],
    ['tailrace run', 'run the service'],
    ['tailrace status --watch', 'see how it stands'],
  ],
  run: [
    ['tailrace run', 'with ./tailrace.yaml and ./tailrace-data'],
    ['tailrace run -c /etc/tailrace.yaml --data-dir /var/lib/tailrace', 'with files of their own'],
  ],
  check: [
    ['tailrace check', 'every fault of ./tailrace.yaml, with file:line:column'],
    ['tailrace check -c staging.yaml --json', 'the same as data'],
  ],
  doctor: [
    ['tailrace doctor', 'what is missing, with the SQL or the policy that cures it'],
    ['tailrace doctor -c staging.yaml --json', 'the same as data'],
  ],
  status: [
    ['tailrace status', 'databases, sinks, lag, and what is not well'],
    ['tailrace status --watch --interval 5', 'again every five seconds'],
    [
      'tailrace status --check',
      'for monitoring: ends with 0 healthy, 1 degraded, 2 halted or silent, 3 unknown',
    ],
    ['tailrace status --check halted', 'for a container: a degraded service is well enough'],
    ['tailrace status --orphans', 'after a failover that lost changes: which of them had been delivered'],
    ['tailrace status --url http://10.0.0.7:7376 --json', 'of a service elsewhere, as data'],
  ],
  slots: [['tailrace slots list', 'what the servers keep for Tailrace']],
  'slots list': [
    ['tailrace slots list', 'which server has the slot, and how much WAL it keeps for it'],
    ['tailrace slots list --json', 'the same as data'],
  ],
  'slots drop': [
    ['tailrace slots drop shop', 'say what would be dropped on the standbys'],
    ['tailrace slots drop shop --yes', 'drop it there'],
    ['tailrace slots drop shop --everywhere --yes', 'for good: on the primary, too'],
  ],
  drain: [
    ['tailrace drain', 'before the servers are replaced: ends once all is delivered and confirmed'],
    ['tailrace drain --undo', 'it stays as it is after all'],
  ],
  databases: [['tailrace databases adopt shop', 'another server takes the place of the one before']],
  'databases adopt': [
    ['tailrace databases adopt shop', 'say what would be done'],
    [
      'tailrace databases adopt shop --nothing-missing --yes',
      'after a drain, with the slot made before the first write',
    ],
  ],
  tail: [
    ['tailrace tail postgresql://app@localhost/shop', 'every change of the database, until Ctrl-C'],
    ['tailrace tail postgresql://app@localhost/shop --table public.users public.orders', 'of two tables'],
    ['tailrace tail postgresql://app@localhost/shop --publication app --format tailrace', 'of a publication'],
  ],
  demo: [
    ['tailrace demo', 'until Ctrl-C'],
    ['tailrace demo --rows 1000', 'ends by itself: did each change come exactly once, and in order?'],
    ['tailrace demo --keep ./demo', 'what it made stays there, and a second one goes on'],
  ],
  completion: [
    ['tailrace completion bash >> ~/.bashrc', 'from the next shell on'],
    ['tailrace completion zsh > "${fpath[1]}/_tailrace"', 'from the next shell on'],
    ['tailrace completion fish > ~/.config/fish/completions/tailrace.fish', 'at once'],
  ],
  pause: [
    ['tailrace pause users', 'once what is in flight is settled'],
    ['tailrace pause shop/users --now', 'at once: what is in flight is sent again later'],
  ],
  resume: [['tailrace resume users', 'from where it stopped']],
  disable: [['tailrace disable users', 'it holds nothing, and may miss changes']],
  rewind: [
    ['tailrace rewind users --to 2026-01-02T03:04:05Z', 'what was committed since'],
    ['tailrace rewind users --to 16/B374D848', 'from an LSN on'],
    ['tailrace rewind users --to earliest', 'everything that the log still has'],
    ['tailrace rewind users --to-row public.users 17', 'the changes of one row, and no others'],
    [
      `tailrace rewind users --where 'total>100' --table public.orders --dry-run`,
      'how many changes of how many rows would come again, and since when',
    ],
  ],
  explain: [
    ['tailrace explain users', 'what becomes of the last ten changes in the log'],
    [
      'tailrace explain users --position 16/B374D848:0',
      'of one change: sent where, in which bytes, or why not',
    ],
    ['tailrace explain shop/users --last 100 --json', 'of the last hundred, as data'],
  ],
  types: [
    ['tailrace types --sink users', 'TypeScript of its messages'],
    ['tailrace types --out src/messages', 'files for every sink and table, TypeScript and JSON Schema'],
    ['tailrace types --out src/messages --check', 'in CI: has a migration changed what consumers get?'],
  ],
  where: [["tailrace where test users 'amount>100'", 'which changes would pass']],
  'where test': [
    ["tailrace where test users 'amount>100'", 'how many changes in the log would pass, with some of them'],
    ["tailrace where test users 'amount>100' --last 1000", 'of the last thousand'],
  ],
  'where help': [['tailrace where help test', 'how to try a condition']],
  'dead-letters': [
    ['tailrace dead-letters list', 'of every sink'],
    ['tailrace dead-letters replay users --all --rate 50', 'send them again, gently'],
  ],
  'dead-letters list': [
    ['tailrace dead-letters list', 'of every sink'],
    [
      'tailrace dead-letters list users --code InvalidMessageContents --limit 20',
      'of one sink and one reason',
    ],
  ],
  'dead-letters show': [
    ['tailrace dead-letters show users 17', 'with its payload, which holds values of the row'],
  ],
  'dead-letters replay': [
    ['tailrace dead-letters replay users 17 18', 'two of them'],
    [
      'tailrace dead-letters replay users --table public.users --since 2026-01-02T03:04:05Z',
      'by what they are',
    ],
    ['tailrace dead-letters replay users --all --rate 50', 'all, fifty a second'],
  ],
  'dead-letters discard': [['tailrace dead-letters discard users 17', 'forget one of them']],
  'dead-letters help': [['tailrace dead-letters help replay', 'how to send them again']],
  gaps: [
    ['tailrace gaps list', 'what may be missing, and why'],
    ['tailrace gaps accept 3', 'somebody knows: go on'],
  ],
  'gaps list': [
    ['tailrace gaps list', 'those that nobody has accepted'],
    ['tailrace gaps list --all --json', 'all that were ever declared, as data'],
  ],
  'gaps show': [['tailrace gaps show 3', 'with the SQL that shows the rows it can concern']],
  'gaps accept': [
    ['tailrace gaps accept 3 4', 'of a running service, or of one that is stopped'],
    ['tailrace gaps accept 3 -c /etc/tailrace.yaml', 'found through this configuration'],
  ],
  repair: [
    ['tailrace repair shop --dry-run', 'what would be read, of its only gap'],
    ['tailrace repair shop --gap 3', 'read it, and send it to the sinks'],
    [
      'tailrace repair shop --keys users.txt --table public.users',
      'and delete what the consumer has and the table does not',
    ],
    ['tailrace repair shop --orphans', 'after a failover that lost changes: put consumers right'],
  ],
  backfill: [
    ['tailrace backfill start users', 'every row of its tables, once more'],
    ['tailrace backfill list', 'how far each is'],
  ],
  'backfill start': [
    ['tailrace backfill start users --table public.users', 'one table'],
    [`tailrace backfill start users --table public.users --where "total>100"`, 'some of its rows'],
    [
      'tailrace backfill start users --table orders --sort-column updated_at --from 2026-01-01',
      'what was changed since',
    ],
    ['tailrace backfill start users --table orders --keys lost.txt', 'the rows with these keys'],
    ['tailrace backfill start --all-sinks --max-rows-per-second 500', 'for every sink, gently'],
  ],
  'backfill list': [
    ['tailrace backfill list', 'with rows, rate and time left'],
    ['tailrace backfill list users --json', 'of one sink, as data'],
  ],
  'backfill show': [
    ['tailrace backfill show k7x2m9p4qa', 'with its tables'],
    ['tailrace backfill show k7x2m9p4qa --watch', 'until it is over; ends with 1 where not all was read'],
  ],
  'backfill pause': [
    ['tailrace backfill pause k7x2m9p4qa', 'of a running service, or of one that is stopped'],
  ],
  'backfill resume': [['tailrace backfill resume k7x2m9p4qa', 'from where it was']],
  'backfill cancel': [['tailrace backfill cancel k7x2m9p4qa', 'nothing more is read']],
  'backfill help': [['tailrace backfill help start', 'how to start one']],
  'gaps help': [['tailrace gaps help accept', 'how to accept one']],
  'slots help': [['tailrace slots help drop', 'how to drop one']],
  'databases help': [['tailrace databases help adopt', 'how to go on with another server']],
  help: [['tailrace help dead-letters replay', 'the same as tailrace dead-letters replay --help']],
};

/** The words of a command below the program: `dead-letters list`. */
export const pathOf = (command: Command): string =>
  command.parent === null ? '' : `${pathOf(command.parent)} ${command.name()}`.trim();

export const examplesOf = (command: Command): readonly Example[] => EXAMPLES[pathOf(command)] ?? [];

/** Gives every command of the tree its examples. */
export function addExamples(command: Command, paint: (text: string) => string): void {
  const examples = examplesOf(command);
  if (examples.length > 0) {
    const lines = examples.map(([line, does]) => `  ${line}\n      ${paint(does)}`);
    command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
  }
  for (const child of command.commands) addExamples(child, paint);
}

// What the demo tells to look at: commands that work as they stand, while it runs and after it.
import { quoted } from '../../core/shell.ts';
import type { DemoPlace } from './place.ts';

/** In a checkout the sources run through npm; installed, the program has its name. */
const PROGRAM = import.meta.url.endsWith('.ts') ? 'npm run -s tailrace --' : 'tailrace';

/** While it runs: `apiUrl` and `postgresUrl` are the demo's own. */
export const meanwhile = (apiUrl: string | undefined, postgresUrl: string): string[] => [
  'look at it meanwhile, from another terminal:',
  ...(apiUrl === undefined ? [] : [`  ${PROGRAM} status --url ${apiUrl}`]),
  `  ${PROGRAM} tail ${postgresUrl} --table public.users`,
];

export function afterwards(place: Pick<DemoPlace, 'kept' | 'root' | 'configFile'>): string[] {
  const own = [
    'your own database and queue: docs/getting-started.md',
    'every key of tailrace.yaml: docs/configuration.md',
  ];
  if (!place.kept) {
    return [
      'next:',
      ...own.map(indent),
      indent('keep configuration and data of a demo:'),
      `  ${PROGRAM} demo --keep`,
    ];
  }
  return [
    `kept: tailrace.yaml, data (change log, state), postgres`,
    `  in ${place.root}`,
    'go on there:',
    `  ${PROGRAM} demo --keep ${quoted(place.root)}`,
    'next:',
    ...own.map(indent),
    indent('a copy of that tailrace.yaml is a start; check it:'),
    `  ${PROGRAM} check -c ${quoted(place.configFile)}`,
  ];
}

const indent = (line: string): string => `  ${line}`;

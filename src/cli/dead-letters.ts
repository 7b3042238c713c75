// `tailrace dead-letters list | show | replay | discard`: messages that a running service's sinks refused for good.
import { inOneLine } from '../core/json.ts';
import { EXIT, painterFor, usageError, writeJson, writeLine, type CliPorts } from './ports.ts';
import { connectToService, type ServiceClient, type ServiceOptions } from './service-client.ts';
import { sinkPath } from './sink-commands.ts';
import { table, widthOf } from './layout.ts';
import { formatBytes } from './status-table.ts';

/** Which letters. */
export type ChoiceOptions = ServiceOptions & {
  readonly table?: string;
  readonly code?: string;
  readonly since?: string;
};
export type ListOptions = ChoiceOptions & { readonly limit?: number; readonly after?: number };
export type ActOptions = ChoiceOptions & { readonly all?: boolean };

type Letter = Readonly<Record<string, unknown>>;

/** Of one sink, or of every sink. */
export async function list(sink: string | undefined, options: ListOptions, ports: CliPorts): Promise<number> {
  const service = await connectToService(options, ports);
  const sinks = sink === undefined ? await allSinks(service) : [sink];
  const letters: Letter[] = [];
  let next: number | null = null;
  for (const name of sinks) {
    const page = await service.ask(`${sinkPath(name)}/dead_letters${queryOf(options)}`);
    letters.push(...(page['dead_letters'] as Letter[]));
    next ??= page['next'] as number | null;
  }
  if (options.json === true) {
    writeJson(ports.stdout, { dead_letters: letters, next }, 2);
    return EXIT.ok;
  }
  if (letters.length === 0) writeLine(ports.stdout, 'no dead letters');
  else for (const line of rendered(letters, ports)) writeLine(ports.stdout, line);
  if (next !== null) writeLine(ports.stderr, `there are more: --limit, or --after ${String(next)}`);
  return EXIT.ok;
}

export async function show(
  sink: string,
  id: number,
  options: ServiceOptions,
  ports: CliPorts,
): Promise<number> {
  const service = await connectToService(options, ports);
  const letter = await service.ask(`${sinkPath(sink)}/dead_letters/${id}`);
  if (options.json === true) {
    writeJson(ports.stdout, letter, 2);
    return EXIT.ok;
  }
  const paint = painterFor(ports.stdout, ports.env);
  const { payload, has_payload: _, ...fields } = letter;
  for (const [name, value] of Object.entries(fields)) {
    writeLine(ports.stdout, `${paint('dim', `${name}:`.padEnd(17))} ${String(value)}`);
  }
  const gone = 'no payload: the row was larger than log.max_message_bytes';
  writeLine(ports.stdout, typeof payload === 'string' ? inOneLine(payload) : gone);
  return EXIT.ok;
}

export async function replay(
  sink: string,
  ids: readonly number[],
  options: ActOptions & { readonly rate?: number; readonly force?: boolean },
  ports: CliPorts,
): Promise<number> {
  const { rate, force } = options;
  const body = {
    ...choiceOf(ids, options),
    ...(rate === undefined ? {} : { per_second: rate }),
    ...(force === true && { force }),
  };
  const service = await connectToService(options, ports);
  const answer = await service.ask(`${sinkPath(sink)}/dead_letters/replay`, { method: 'POST', body });
  if (options.json === true) {
    writeLine(ports.stdout, JSON.stringify(answer));
    return EXIT.ok;
  }
  const { replaying, without_payload: lost, of_lost_history: withheld, sink_state: state } = answer;
  writeLine(ports.stdout, `${String(replaying)} dead letters are sent again; list shows those that remain`);
  if (lost !== 0)
    writeLine(
      ports.stderr,
      `${String(lost)} have no payload and stay: their rows were too large for the log`,
    );
  if (withheld !== 0)
    writeLine(
      ports.stderr,
      `${String(withheld)} are of changes that the server does not have any more, and stay: --force sends them all the same`,
    );
  if (state !== 'running') writeLine(ports.stderr, `the sink is ${String(state)}: they go when it runs`);
  return EXIT.ok;
}

export async function discard(
  sink: string,
  ids: readonly number[],
  options: ActOptions,
  ports: CliPorts,
): Promise<number> {
  const body = choiceOf(ids, options);
  const service = await connectToService(options, ports);
  const answer = await service.ask(`${sinkPath(sink)}/dead_letters/discard`, { method: 'POST', body });
  writeLine(
    ports.stdout,
    options.json === true
      ? JSON.stringify(answer)
      : `${String(answer['discarded'])} dead letters are discarded`,
  );
  return EXIT.ok;
}

/** Names with their database: two databases may have a sink of one name. */
async function allSinks(service: ServiceClient): Promise<string[]> {
  const { sinks } = await service.ask('/api/sinks');
  return (sinks as Letter[]).map((sink) => `${String(sink['database'])}/${String(sink['name'])}`);
}

function queryOf(options: ListOptions): string {
  const query = new URLSearchParams();
  for (const name of ['table', 'code', 'since', 'limit', 'after'] as const) {
    const value = options[name];
    if (value !== undefined) query.set(name, String(value));
  }
  return query.size === 0 ? '' : `?${query.toString()}`;
}

function choiceOf(ids: readonly number[], options: ActOptions): object {
  const { table, code, since, all } = options;
  const conditions = Object.entries({ table, code, since }).filter(([, value]) => value !== undefined);
  if (all === true && (ids.length > 0 || conditions.length > 0)) {
    throw usageError('--all goes with no ids and no conditions', 'name the letters, or all of them');
  }
  if (all !== true && ids.length === 0 && conditions.length === 0) {
    throw usageError('no dead letters are named', 'give ids, --table, --code or --since, or --all');
  }
  return {
    ...Object.fromEntries(conditions),
    ...(ids.length === 0 ? {} : { ids }),
    ...(all === true ? { all } : {}),
  };
}

function rendered(letters: readonly Letter[], ports: CliPorts): string[] {
  const paint = painterFor(ports.stdout, ports.env);
  const rows = [
    ['ID', 'SINK', 'TABLE', 'ACTION', 'CODE', 'ATTEMPTS', 'SIZE', 'STATE', 'LAST FAILED', 'REASON'],
    ...letters.map((letter) => [
      String(letter['id']),
      `${String(letter['database'])}/${String(letter['sink'])}`,
      (letter['table'] as string | null) ?? '-',
      String(letter['action']),
      String(letter['code']),
      String(letter['attempts']),
      formatBytes(Number(letter['payload_bytes'])),
      String(letter['state']),
      String(letter['last_failed_at']),
      String(letter['reason']),
    ]),
  ];
  return table(paint, rows, widthOf(ports.stdout));
}

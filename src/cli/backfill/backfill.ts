// `tailrace backfill list | show | pause | resume | cancel`: the backfills that there are, and how far each is.
import { setTimeout as sleep } from 'node:timers/promises';
import { isOver } from '../../core/backfill.ts';
import { inOneLine } from '../../core/json.ts';
import { widthOf, wrap } from '../layout.ts';
import { abortWhenUnwanted, EXIT, painterFor, writeJson, writeLine, type CliPorts } from '../ports.ts';
import { screenOn } from '../screen.ts';
import type { ServiceOptions } from '../service-client.ts';
import { backfillWith, withBackfills, type BackfillVerb, type FoundBackfill } from './ports.ts';
import { renderBackfill, renderBackfills } from './rendering.ts';

export type ShowOptions = ServiceOptions & { readonly watch?: boolean };

const WATCH_INTERVAL_MS = 1000;

export async function list(
  sink: string | undefined,
  options: ServiceOptions,
  ports: CliPorts,
): Promise<number> {
  const all = await withBackfills(options, ports, (store) => store.list());
  const backfills = sink === undefined ? all : all.filter((backfill) => isFor(sink, backfill));
  if (options.json === true) writeJson(ports.stdout, { backfills }, 2);
  else if (backfills.length === 0) writeLine(ports.stdout, 'no backfills');
  else for (const line of renderBackfills(backfills, ports)) writeLine(ports.stdout, line);
  return EXIT.ok;
}

/** `users`, or `shop/users`. */
function isFor(sink: string, { database, sinks }: FoundBackfill): boolean {
  return sinks.some((name) => name === sink || `${database}/${name}` === sink);
}

export async function show(id: string, options: ShowOptions, ports: CliPorts): Promise<number> {
  const look = (): Promise<Look> =>
    withBackfills(options, ports, async (store) => ({
      backfill: backfillWith(id, await store.list()),
      stopped: store.stopped,
    }));
  if (options.watch === true) return watch(look, options, ports);
  const { backfill } = await look();
  if (options.json === true) writeJson(ports.stdout, backfill, 2);
  else for (const line of renderBackfill(backfill, ports)) writeLine(ports.stdout, line);
  return EXIT.ok;
}

type Look = { readonly backfill: FoundBackfill; readonly stopped: boolean };

/** Until nothing more comes of it; the exit code says whether all was read. */
async function watch(look: () => Promise<Look>, { json }: ShowOptions, ports: CliPorts): Promise<number> {
  using interruption = abortWhenUnwanted(ports);
  const { signal } = interruption;
  using screen = screenOn(ports);
  while (!signal.aborted) {
    const { backfill, stopped } = await look();
    if (json === true) writeJson(ports.stdout, backfill);
    else
      screen.show(renderBackfill(backfill, ports).flatMap((line) => wrap(line, widthOf(ports.stdout), '  ')));
    if (stopped || isOver(backfill.state) || backfill.state === 'failed')
      return backfill.state === 'completed' ? EXIT.ok : EXIT.no;
    await sleep(WATCH_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
  return EXIT.ok;
}

const DONE: Readonly<Record<BackfillVerb, string>> = {
  pause: 'is paused: what is in the log is delivered, and it goes on where it was when it is resumed',
  resume: 'is read on',
  cancel: 'is cancelled: what is in the log is delivered, nothing more is read',
};

export async function move(
  id: string,
  verb: BackfillVerb,
  options: ServiceOptions,
  ports: CliPorts,
): Promise<number> {
  const { moved, stopped } = await withBackfills(options, ports, async (store) => ({
    moved: await store.move(backfillWith(id, await store.list()), verb),
    stopped: store.stopped,
  }));
  if (options.json === true) {
    writeJson(ports.stdout, moved, 2);
    return EXIT.ok;
  }
  const paint = painterFor(ports.stdout, ports.env);
  const from = stopped && verb === 'resume' ? ' from the next start on' : '';
  writeLine(ports.stdout, `${paint('bold', inOneLine(moved.id))} ${DONE[verb]}${from}`);
  return EXIT.ok;
}

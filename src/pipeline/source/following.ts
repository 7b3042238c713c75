// What runs while a connection streams: the reading, and the loops that sync, answer, look and watch beside it.
import type { Client } from 'pg';
import { aborted } from '../../core/abort.ts';
import { TailraceError } from '../../core/errors.ts';
import type { Look } from '../../core/look.ts';
import type { Lsn } from '../../core/lsn.ts';
import { LOG_DISK_FULL } from '../../log/errors.ts';
import type { Followed, Primary } from '../../postgres/connection/hosts.ts';
import type { Backfills } from './backfill/backfills.ts';
import type { SlotKeeper } from '../../postgres/preflight/standby.ts';
import type { ReplicationStream } from '../../postgres/replication/stream.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import { drainLoop, type DrainPorts } from './drain.ts';
import type { JoinPorts } from './joining.ts';
import { readAll, type Reading } from './reading.ts';
import type { SourceState } from './status.ts';
import type { TablePorts } from './streamed-tables.ts';
import { watchTables } from './tables.ts';
import { watchServer } from './watch.ts';
import { watchConfirmation } from './watch/confirmation.ts';
import { watchPromotion } from './watch/followed-standby.ts';
import { watchHosts } from './watch/hosts.ts';
import type { MarkerLoop } from './watch/marker.ts';
import { watchPromotions } from './watch/promotion.ts';
import { watchReplay } from './watch/replay.ts';
import { keepStandbySlots } from './watch/standby-slots.ts';

export type FollowPorts = JoinPorts & {
  readonly state: SourceState;
  readonly backfills: Backfills;
  /** Everything up to here has come. */
  onReached(lsn: Lsn): void;
  /** For what may be said again on every connection. */
  readonly lines: Pick<RepeatedLines, 'say'>;
  readonly signal: AbortSignal;
};

export function tablePorts({ client, target }: Primary, { options, state, looks }: FollowPorts): TablePorts {
  const { settings, selections, logger, streamed } = options;
  const altered: TablePorts['altered'] = (alteration) => looks.altered(alteration);
  return { client, target, settings, selections, state, logger, streamed, altered };
}

export type Following = Reading & {
  readonly stream: ReplicationStream;
  readonly primary: Followed;
  /** To the primary, where a standby is followed and the primary answers. */
  readonly beside: Client | undefined;
  readonly pid: number;
  readonly markers: MarkerLoop | undefined;
  /** Who keeps the slot on the standbys. */
  readonly keeper: SlotKeeper | undefined;
  readonly serverVersion: number;
  /** A look was taken. */
  readonly looked: (look: Look) => Promise<void>;
  readonly ports: FollowPorts;
};

/** Reads until stopped. Whatever breaks first, reading or a loop beside it, ends all and is thrown. */
export async function follow(following: Following): Promise<void> {
  const { stream, source, opened, primary, beside, pid, looking, markers, ports } = following;
  const { state, options, signal: stopped } = ports;
  const { keeper, budget } = opened;
  const { keeper: slotKeptBy, serverVersion } = following;
  const done = new AbortController();
  const faults: unknown[] = [];
  const end = (error?: unknown): void => {
    if (error !== undefined) faults.push(error);
    if (error instanceof TailraceError && error.code === LOG_DISK_FULL) budget.filled();
    stream.interrupt();
    done.abort();
  };
  const onStop = (): void => end();
  stopped.addEventListener('abort', onStop);
  if (stopped.aborted) end();
  // A fast shutdown ends ordinary backends first and then waits for ours to have confirmed everything, which may
  // take for ever: let go. https://www.postgresql.org/docs/current/server-shutdown.html
  primary.client.once('end', () => end(serverLetGo(options.settings.name)));
  const warn = ({ code, message }: TailraceError): void =>
    ports.lines.say({ level: 'warn', message, fields: { code }, kind: code });
  const { client } = primary;
  const { settings } = options;
  const isReading = (): boolean => !keeper.behind && !budget.spent && source.readsBack !== true;
  const lookAgain = async (): Promise<void> => {
    const look = await ports.looks.again(looking);
    const { catalog } = look;
    // A publication that we are to make is made at the next connection.
    if (catalog.publication === undefined && settings.publication.createIfNotExists) {
      end(publicationGone(settings));
    }
    await following.looked(look);
  };
  stream.onPublicationMissing = () => void Promise.race([lookAgain(), aborted(done.signal)]).catch(end);
  const loops = [
    keeper.syncLoop(done.signal),
    keeper.flushLoop(stream, done.signal),
    budget.loop(state, warn, done.signal),
    ports.backfills.follow(
      {
        options,
        state,
        opened,
        followed: primary,
        serverVersion,
        gate: following.gate,
        shapes: following.shapes,
        look: () => ports.looks.last,
        logFailed: end,
      },
      done.signal,
    ),
    // A server that fell silent leaves their questions unanswered: the end does not wait for them.
    ...[
      watchServer(
        {
          client,
          writer: beside ?? client,
          pid,
          settings,
          keeper,
          stream,
          sinkSlots: options.sinkSlots,
          isReading,
          markers,
          state,
          warn,
        },
        done.signal,
      ),
      watchTables(tablePorts(primary, ports), lookAgain, done.signal),
      watchPromotions({ primary, settings }, done.signal),
      watchReplay({ followed: primary, primary: beside, settings, state, warn }, done.signal),
      watchHosts({ primary, settings, keeper: slotKeptBy, state, warn }, done.signal),
      keepStandbySlots(
        {
          followed: primary,
          primary: primary.inRecovery ? beside : client,
          settings,
          serverVersion,
          keeper: slotKeptBy,
          state,
          store: options.store.standbySlots,
          logger: options.logger,
          warn,
        },
        done.signal,
      ),
      watchPromotion({ ...primary, name: settings.name }, done.signal),
      watchConfirmation(
        { client, pid, settings, isFailoverSlot: slotKeptBy === 'postgres', state, warn },
        done.signal,
      ),
      drainLoop(drainPorts(following), done.signal),
    ].map((asking) => Promise.race([asking, aborted(done.signal)])),
  ].map((loop) => loop.catch(end));
  try {
    await readAll(following, done.signal);
    if (!done.signal.aborted) end(serverEnded(settings.name));
  } catch (error) {
    end(error);
  } finally {
    stopped.removeEventListener('abort', onStop);
    await Promise.all(loops);
  }
  if (faults.length > 0) throw faults[0];
  await keeper.sync();
  await keeper.flush(stream);
}

const drainPorts = ({ primary, opened, looking, ports }: Following): DrainPorts => ({
  database: ports.options.settings.name,
  client: primary.client,
  systemIdentifier: looking.server.systemIdentifier,
  handovers: ports.options.store.handovers,
  keeper: opened.keeper,
  signals: ports.options.signals,
  sinkSlots: ports.options.sinkSlots,
  state: ports.state,
  isOpen: () => opened.feed.openTransaction || opened.log.context.inTransaction,
});

const publicationGone = ({ name, publication }: DatabaseSettings): TailraceError =>
  new TailraceError(`database "${name}": publication "${publication.name}" is gone`, {
    code: 'PUBLICATION_GONE',
    kind: 'retryable',
    hint: 'Tailrace connects again and makes it anew',
  });

const serverAway = (name: string, what: string): TailraceError =>
  new TailraceError(`database "${name}": ${what}`, {
    code: 'SERVER_NOT_READY',
    kind: 'retryable',
    hint: 'Tailrace goes on as soon as the server takes connections',
  });

const serverEnded = (name: string): TailraceError => serverAway(name, 'the server ended the stream');

const serverLetGo = (name: string): TailraceError =>
  serverAway(name, 'the server ended our connection: it shuts down, most likely');

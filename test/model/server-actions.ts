// What befalls the server of the model, its slot and its publications.
import { TABLES, type ServerState } from './server-state.ts';
import type { PretendedServer } from './server.ts';
import type { PublicationAction, ServerAction, SlotAction } from './sequence.ts';

export type Chances = {
  /** From 0 to 1. */
  readonly random: () => number;
  /** A whole number from 0 on, below the limit. */
  readonly below: (limit: number) => number;
};

/**
 * A server that lost commits on its timeline, and a slot that is moved before we met it again, to where we had come on the `lost`
 * one, or after it was promoted as if nothing had been: what lies between cannot be refuted (docs/concepts.md).
 */
export function isBeyondProof(
  { history, timeline, walEnd }: ServerState,
  met: { readonly history: number; readonly lost: Pick<ServerState, 'timeline' | 'walEnd'> },
): boolean {
  return history !== met.history && (walEnd <= met.lost.walEnd || timeline > met.lost.timeline);
}

export function meetSlot(server: PretendedServer, action: SlotAction): void {
  if (action === 'slot advanced') return server.confirm(server.walEnd);
  server.state.slot = undefined;
  if (action === 'slot remade') server.makeSlot();
}

export type PublicationMeeting = {
  /** The one that is followed. */
  readonly name: string;
  readonly below: Chances['below'];
  /** Some writes. */
  readonly meanwhile: () => void;
};

/** With some writes while it is so. */
export function meetPublication(
  server: PretendedServer,
  action: PublicationAction,
  { name, below, meanwhile }: PublicationMeeting,
): void {
  const chosen = TABLES[below(TABLES.length)]!;
  switch (action) {
    case 'publication dropped':
    case 'publication remade':
      server.dropPublication(name);
      meanwhile();
      if (action === 'publication remade' && !server.state.publications.has(name))
        server.makePublication(name);
      return;
    case 'publication narrowed':
    case 'publication narrowed and restored':
      server.publish(name, ['update']);
      meanwhile();
      if (action === 'publication narrowed and restored') server.publish(name);
      return;
    case 'table remade':
      server.remakeTable(chosen);
      return meanwhile();
    case 'table taken out':
    case 'table taken out and put in':
      server.removeMember(name, chosen);
      meanwhile();
      if (action === 'table taken out and put in') server.completeMembers(name);
      return;
    default:
      return action satisfies never;
  }
}

/** `copy`: of its files, taken some time before. */
export function meetServer(
  server: PretendedServer,
  action: ServerAction,
  { copy, below }: { readonly copy: ServerState | undefined; readonly below: Chances['below'] },
): void {
  const { wal } = server.state;
  const last = wal.at(-1)?.number ?? 0;
  switch (action) {
    case 'server crashed':
      return server.restart({ crash: true });
    case 'server restarted':
      return server.restart({ crash: false });
    case 'server restored':
    case 'server recovered to a point':
      if (copy === undefined) return;
      return server.restore(copy, { timeline: action !== 'server restored' });
    case 'failover to a level standby':
      return server.failOver(last, { withSlot: true });
    case 'failover to a standby behind':
      return server.failOver(wal.at(-1 - below(4))?.number ?? 0, { withSlot: true });
    case 'failover without the slot':
      return server.failOver(last, { withSlot: false });
    default:
      return action satisfies never;
  }
}

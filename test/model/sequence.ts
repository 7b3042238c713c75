// What can happen to a service in the model, and sequences of it.

const PUBLICATION_ACTIONS = [
  'publication dropped',
  'publication remade',
  'publication narrowed',
  'publication narrowed and restored',
  'table taken out',
  'table taken out and put in',
  'table remade',
] as const;
const SERVER_ACTIONS = [
  'server crashed',
  'server restarted',
  'server restored',
  'server recovered to a point',
  'failover to a level standby',
  'failover to a standby behind',
  'failover without the slot',
] as const;
const SLOT_ACTIONS = ['slot dropped', 'slot remade', 'slot advanced'] as const;
const OTHER_ACTIONS = [
  'go on',
  'kill',
  'stop',
  'power cut',
  'connection lost',
  'log moved away',
  'ledger deleted',
  'store deleted',
  'directory copied',
  'directory put back',
  'options changed',
  'server checkpoint',
  'server copied',
  'clock moved',
  'gaps accepted',
  'disk full',
  'disk freed',
  'new sink',
] as const;
export const ACTIONS = [
  ...OTHER_ACTIONS,
  ...SLOT_ACTIONS,
  ...PUBLICATION_ACTIONS,
  ...SERVER_ACTIONS,
] as const;
export type PublicationAction = (typeof PUBLICATION_ACTIONS)[number];
export type SlotAction = (typeof SLOT_ACTIONS)[number];
export type ServerAction = (typeof SERVER_ACTIONS)[number];
export type Action = (typeof ACTIONS)[number];

export const isPublicationAction = (action: Action): action is PublicationAction =>
  PUBLICATION_ACTIONS.some((known) => known === action);
export const isSlotAction = (action: Action): action is SlotAction =>
  SLOT_ACTIONS.some((known) => known === action);
export const isServerAction = (action: Action): action is ServerAction =>
  SERVER_ACTIONS.some((known) => known === action);

/** What happens, after some traffic: `seed` says which. */
export type Step = { readonly action: Action; readonly seed: number };
export type Sequence = {
  readonly steps: readonly Step[];
  readonly ack: 'auto' | 'delivered' | 'durable';
  readonly version: 17 | 18;
};

/** Nothing of that can cost a change, and so nothing may be declared. */
export const HARMLESS: ReadonlySet<Action> = new Set<Action>([
  'go on',
  'kill',
  'stop',
  'power cut',
  'connection lost',
  'directory copied',
  'server crashed',
  'server restarted',
  'server checkpoint',
  'server copied',
  'clock moved',
  'gaps accepted',
  'disk full',
  'disk freed',
  'new sink',
]);

/** Histories that part, and what leaves log, ledgers and store as they are: what is lost is accounted for to the row. */
export const EXACT: ReadonlySet<Action> = new Set<Action>([
  'go on',
  'kill',
  'stop',
  'connection lost',
  'server crashed',
  'server restarted',
  'server checkpoint',
  'server copied',
  'clock moved',
  'gaps accepted',
  'new sink',
  'server recovered to a point',
  'server restored',
  'failover to a level standby',
  'failover to a standby behind',
  'failover without the slot',
]);

/** What asks how much of a disk there is, and what of it is durable. */
export const WATCHED: ReadonlySet<Action> = new Set<Action>(['power cut', 'disk full']);

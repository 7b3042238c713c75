// What a running sink is told.
import type { Envelope } from '../../formats/format.ts';
import type { SharedBlocks } from '../../log/shared-blocks.ts';
import type { Asker } from './asker.ts';
import type { PlaceOptions } from './place.ts';

export type SinkOptions = PlaceOptions & {
  readonly envelope: Envelope;
  /** What idempotency keys of this stream begin with. */
  readonly streamKey: string;
  /** Who asks the server, for all sinks of the thread. Undefined: nobody. */
  readonly asker?: (() => Promise<Asker>) | undefined;
  /** What it shares with the other sinks of its thread. Undefined: there is no other. */
  readonly blocks?: SharedBlocks | undefined;
};

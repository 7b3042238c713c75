// What a running sink is told.
import type { Envelope } from '../../formats/format.ts';
import type { PlaceOptions } from './place.ts';

export type SinkOptions = PlaceOptions & {
  readonly envelope: Envelope;
  /** What idempotency keys of this stream begin with. */
  readonly streamKey: string;
};

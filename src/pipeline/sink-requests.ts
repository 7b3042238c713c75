// What the main thread may ask of a running sink, and what it is answered. A new question is one entry here.
import type { SinkSettings } from './settings.ts';

/** By type: what the question carries, and its answer. Plain values only: both cross between threads. */
export type SinkExchanges = {
  /** Answered once the sink does it: what was in flight is settled. */
  readonly set_status: {
    readonly ask: { readonly status: SinkSettings['status'] };
    readonly reply: { readonly status: SinkSettings['status'] };
  };
};

export type SinkRequest = {
  [Type in keyof SinkExchanges]: { readonly type: Type } & SinkExchanges[Type]['ask'];
}[keyof SinkExchanges];

export type SinkReply<Request extends SinkRequest> = SinkExchanges[Request['type']]['reply'];

/** A reply, and the memory that moves to the other thread with it instead of being copied. */
export type SinkAnswer<Request extends SinkRequest> = {
  readonly reply: SinkReply<Request>;
  readonly transfer?: readonly ArrayBuffer[];
};

// What the main thread may ask of a running sink, and what it is answered. A new question is one entry here.
import type { Partings } from '../../core/partings.ts';
import type { WantedStatus } from '../../core/status.ts';
import type { ReceiveRequest } from '../../sinks/sink.ts';
import type { SinkStart } from '../settings.ts';
import type { LostKeys } from './rows/lost-keys.ts';
import type { RowChoice, Surveyed } from './rows/survey.ts';

/** Where to rewind to: everything committed from there on is delivered again. */
export type RewindTarget = Exclude<SinkStart, { readonly from: 'default' }>;

/** By type: what the question carries, and its answer. Plain values only: both cross between threads. */
export type SinkExchanges = {
  /** Answered once the sink does it: what was in flight is settled. */
  readonly set_status: {
    readonly ask: {
      readonly status: WantedStatus;
      /** What is in flight is not waited for: it is sent again when the sink goes on. */
      readonly now?: boolean;
    };
    readonly reply: { readonly status: WantedStatus };
  };
  /** Answered once it is decided, whatever crashes then. */
  readonly rewind: {
    readonly ask: { readonly to: RewindTarget };
    readonly reply: {
      /** How often this sink was rewound, this time included. */
      readonly rewinds: number;
      /** Commit LSN of the first change that is sent again. */
      readonly from: string;
      /** Dead letters from there on: their changes are sent again too. */
      readonly withdrawnDeadLetters: number;
    };
  };
  /** What the log has of some rows. Nothing is begun. */
  readonly survey_rows: { readonly ask: { readonly choice: RowChoice }; readonly reply: Surveyed };
  /** Of its log, which rows were changed by what is lost by these partings. */
  readonly lost_keys: { readonly ask: { readonly partings: Partings }; readonly reply: LostKeys };
  /** There are rows to be sent again, or not any more: the store says which. */
  readonly rewind_rows: { readonly ask: object; readonly reply: object };
  /** There are dead letters to be sent again: the store says which. */
  readonly replay: { readonly ask: object; readonly reply: object };
  /** Of a pull sink: the answer of its consumer, or undefined when there are no messages in time. */
  readonly receive: {
    readonly ask: ReceiveRequest;
    readonly reply: { readonly messages: Uint8Array<ArrayBuffer> | undefined };
  };
  readonly ack: { readonly ask: { readonly ids: readonly string[] }; readonly reply: object };
  readonly nack: { readonly ask: { readonly ids: readonly string[] }; readonly reply: object };
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

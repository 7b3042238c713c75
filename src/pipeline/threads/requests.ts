// Questions from one thread to another and their answers: matched by number, cancelled by signal, errors with their cure.
import { describeError, TailraceError, type ErrorKind, type Mend } from '../../core/errors.ts';

/** `to` names who shall answer in the other thread. */
export type RequestMessage<Request> = {
  readonly type: 'request';
  readonly id: number;
  readonly to: string;
  readonly request: Request;
};
export type CancelMessage = { readonly type: 'cancel'; readonly id: number };
export type ReplyMessage =
  | { readonly type: 'reply'; readonly id: number; readonly reply: unknown }
  | { readonly type: 'refusal'; readonly id: number; readonly error: ErrorOnWire };

/** An error as it crosses between threads: its class would be lost. */
export type ErrorOnWire = {
  readonly message: string;
  readonly code: string;
  readonly kind: ErrorKind;
  readonly mend: Mend;
  readonly hint: string | undefined;
};

export type Answer = { readonly reply: unknown; readonly transfer?: readonly ArrayBuffer[] };

/** Questions without an answer yet, in one thread: above that whoever asks must wait (invariant 8). */
const MAX_OUTSTANDING = 10_000;

type Outstanding = {
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly forget: () => void;
};

/** The asking side. Every question is answered once: with a reply, an error, its signal's abort, or the thread's end. */
export class ThreadRequests<Request> {
  readonly #post: (message: RequestMessage<Request> | CancelMessage) => void;
  readonly #outstanding = new Map<number, Outstanding>();
  #lastId = 0;
  #ended: TailraceError | undefined;

  constructor(post: (message: RequestMessage<Request> | CancelMessage) => void) {
    this.#post = post;
  }

  /** Resolves to the reply as it came. Rejects with TailraceError, or with the signal's reason. */
  ask(to: string, request: Request, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      if (signal?.aborted === true) return reject(signal.reason as Error);
      if (this.#outstanding.size >= MAX_OUTSTANDING) return reject(tooMany());
      const id = ++this.#lastId;
      const cancel = (): void => {
        this.#outstanding.delete(id);
        this.#post({ type: 'cancel', id });
        reject(signal!.reason as Error);
      };
      signal?.addEventListener('abort', cancel, { once: true });
      const forget = (): void => signal?.removeEventListener('abort', cancel);
      this.#outstanding.set(id, { resolve, reject, forget });
      try {
        this.#post({ type: 'request', id, to, request });
      } catch (error) {
        // It cannot be cloned: nobody will answer.
        this.#take(id)?.reject(error);
      }
    });
  }

  /** Takes an answer. One to a question that was cancelled meanwhile is nobody's. */
  settle(message: ReplyMessage): void {
    const asked = this.#take(message.id);
    if (asked === undefined) return;
    if (message.type === 'reply') asked.resolve(message.reply);
    else asked.reject(fromWire(message.error));
  }

  /** The other thread answers no more: rejects what is outstanding, and everything asked from now on. */
  end(error: TailraceError): void {
    this.#ended ??= error;
    for (const id of this.#outstanding.keys()) this.#take(id)?.reject(this.#ended);
  }

  #take(id: number): Outstanding | undefined {
    const asked = this.#outstanding.get(id);
    this.#outstanding.delete(id);
    asked?.forget();
    return asked;
  }
}

export type RequestAnswerer<Request> = {
  accept(message: RequestMessage<Request> | CancelMessage): void;
  /** Aborts what is under way and what comes now, and resolves when all that was under way has been answered. */
  close(): Promise<void>;
};

/** The answering side: `handle` gets a signal that aborts when nobody waits for the answer any more. */
export function answerRequests<Request>(
  post: (message: ReplyMessage, transfer: readonly ArrayBuffer[]) => void,
  handle: (to: string, request: Request, signal: AbortSignal) => Promise<Answer>,
): RequestAnswerer<Request> {
  const underWay = new Map<number, { controller: AbortController; done: Promise<void> }>();
  let closed = false;
  const answer = async (
    { id, to, request }: RequestMessage<Request>,
    controller: AbortController,
  ): Promise<void> => {
    try {
      const { reply, transfer = [] } = await handle(to, request, controller.signal);
      post({ type: 'reply', id, reply }, transfer);
    } catch (error) {
      post({ type: 'refusal', id, error: toWire(error) }, []);
    } finally {
      underWay.delete(id);
    }
  };
  return {
    accept: (message) => {
      if (message.type === 'cancel') return underWay.get(message.id)?.controller.abort();
      const controller = new AbortController();
      if (closed) controller.abort();
      const entry = { controller, done: Promise.resolve() };
      underWay.set(message.id, entry);
      entry.done = answer(message, controller);
    },
    close: async () => {
      closed = true;
      const open = [...underWay.values()];
      for (const { controller } of open) controller.abort();
      await Promise.all(open.map(({ done }) => done));
    },
  };
}

const toWire = (error: unknown): ErrorOnWire =>
  error instanceof TailraceError
    ? { message: error.message, code: error.code, kind: error.kind, mend: error.mend, hint: error.hint }
    : { message: describeError(error), code: 'INTERNAL', kind: 'fatal', mend: 'operator', hint: undefined };

const fromWire = ({ message, ...details }: ErrorOnWire): TailraceError => new TailraceError(message, details);

const tooMany = (): TailraceError =>
  new TailraceError(`${MAX_OUTSTANDING} requests wait for an answer already`, {
    code: 'TOO_MANY_REQUESTS',
    kind: 'retryable',
    hint: 'ask again when some of them are answered',
  });

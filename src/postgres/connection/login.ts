// One login to a server: who we say that we are, and what must hold before a password goes there.
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Client } from 'pg';
import { refuseUnwantedQuestion, refuseUnwantedWelcome, watchAuthentication } from './authentication.ts';
import { passwordFor } from './secrets.ts';
import type { Target } from './target.ts';
import { refuseOtherProtocol } from './tls.ts';
import type { DatabaseSettings } from '../settings.ts';

/** pg's own fields that its types do not show. */
export type PgInternals = {
  enableChannelBinding: boolean;
  readonly connection: EventEmitter & { readonly stream: Socket | TLSSocket };
};

/** Of one connection. */
export class Login {
  readonly isDirect: boolean;
  /** Why another password was not taken. */
  passedOver: string | undefined;
  readonly #settings: DatabaseSettings;
  readonly #target: Target;
  readonly #isEncrypted: boolean;
  #refuse: ((judge: typeof refuseUnwantedQuestion) => void) | undefined;

  constructor(settings: DatabaseSettings, target: Target, isEncrypted: boolean) {
    this.#settings = settings;
    this.#target = target;
    this.#isEncrypted = isEncrypted;
    this.isDirect = isEncrypted && settings.tls.negotiation === 'direct';
  }

  /** Before it connects. */
  watch(client: Client): void {
    const internals = client as unknown as PgInternals;
    const { connection } = internals;
    const asked = watchAuthentication(connection);
    const [settings, target] = [this.#settings.authentication, this.#target];
    this.#refuse = (judge) => {
      if (this.isDirect) refuseOtherProtocol((connection.stream as TLSSocket).alpnProtocol, target);
      judge({ asked, settings, target, isEncrypted: this.#isEncrypted });
      if (asked.isUnbindable) internals.enableChannelBinding = false;
    };
  }

  /** When the server asks for it. */
  async password(): Promise<string> {
    this.#refuse?.(refuseUnwantedQuestion);
    const found = await passwordFor(this.#settings.password, this.#settings, this.#target);
    this.passedOver = found.passedOver;
    return found.password;
  }

  /** When the server has let us in. */
  refuseUnwanted(): void {
    this.#refuse?.(refuseUnwantedWelcome);
  }
}

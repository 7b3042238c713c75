// What a stall is called, and which faults are the healing of one: the connection ends, and the next one goes on.
import { TailraceError } from '../../../core/errors.ts';
import { CONNECTION_SILENT } from '../../../postgres/replication/protocol.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import type { Stall } from './stall.ts';

const HEALS: ReadonlySet<string> = new Set([CONNECTION_SILENT, 'STALL_SOCKET_DEAD', 'STALL_REPLIES_LOST']);

/** Does a stall end with this? */
export const isHealing = ({ code }: TailraceError): boolean => HEALS.has(code);

export const stallCode = (cause: Stall['cause']): string => `STALL_${cause.toUpperCase()}`;

/** `heals`: a new connection mends it. */
export function stallFault(
  stall: Stall,
  { name, slot, receiveTimeoutMs }: DatabaseSettings,
): { readonly error: TailraceError; readonly heals: boolean } {
  const fault = (what: string, hint: string): TailraceError =>
    new TailraceError(`database "${name}": ${what}`, {
      code: stallCode(stall.cause),
      kind: 'retryable',
      hint,
    });
  const forLong = `for more than ${receiveTimeoutMs} ms`;
  const again = 'Tailrace connects again by itself; if this repeats, look at the network between the two';
  switch (stall.cause) {
    case 'socket_dead':
      return {
        error: fault(
          `the stream is dead: the server waits or has given it up, and nothing came ${forLong}`,
          again,
        ),
        heals: true,
      };
    case 'replies_lost':
      return {
        error: fault(`the server has not heard ${forLong} what it may forget, although it sends`, again),
        heals: true,
      };
    case 'log_writer':
      return {
        error: fault(
          `the disk has not taken anything of the change log ${forLong}`,
          'look at the disk of the data directory: it hangs, or is far too slow (dmesg, iostat)',
        ),
        heals: false,
      };
    case 'sink': {
      const names = stall.sinks.map((sink) => `"${sink}"`).join(', ');
      return {
        error: fault(
          `what Postgres may forget has not moved ${forLong}: slot "${slot.name}" waits for sink ${names}`,
          `mend, resume or disable it (tailrace status says what it waits for)${slot.ack === 'auto' ? '; from slot.max_retained on the change log holds it instead of Postgres' : ''}`,
        ),
        heals: false,
      };
    }
    case 'decoder': {
      const { spilledBytes } = stall;
      const spilled =
        spilledBytes === undefined || spilledBytes === 0
          ? ''
          : ` (${Math.ceil(spilledBytes / 1024 ** 2)} MB have gone through its disk so far)`;
      return {
        error: fault(
          `the server decodes, and has sent nothing ${forLong}${spilled}`,
          `a large transaction, most likely: it comes once it is decoded. More memory for that: ALTER SYSTEM SET logical_decoding_work_mem = '256MB'; SELECT pg_reload_conf();`,
        ),
        heals: false,
      };
    }
    default:
      return stall satisfies never;
  }
}

// Sizes and addresses as people write them in a configuration.
import { isIPv6 } from 'node:net';

/** A timer of Node's holds 31 bits of milliseconds and fires at once above that. https://nodejs.org/api/timers.html */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Bytes of `128MB`, `10GB`, `64KiB`, `1024`. The units are powers of 1024, with and without the `i`, as in Postgres:
 * https://www.postgresql.org/docs/current/config-setting.html
 */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgt])i?)?b?$/i.exec(text.trim());
  if (match === null) return undefined;
  const power = match[2] === undefined ? 0 : 'kmgt'.indexOf(match[2].toLowerCase()) + 1;
  const bytes = Math.round(Number(match[1]) * 1024 ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

export type HostPort = { readonly host: string; readonly port: number };

/** `host`, `host:port`, `[::1]:port`, or an IPv6 address alone; undefined when it is none of them. */
export function parseHostPort(text: string, defaultPort: number): HostPort | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:\s]+))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return isIPv6(text) ? { host: text, port: defaultPort } : undefined;
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  return port > 65_535 ? undefined : { host: match[1] ?? match[2]!, port };
}

/** Does traffic to this host stay on this machine? A path is a Unix socket. */
export const isLoopback = (host: string): boolean =>
  host.startsWith('/') || /^(localhost|127(\.\d{1,3}){3}|::1)$/i.test(host);

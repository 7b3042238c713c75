// File descriptors of this process: how many it may have, and, by a look, whether one is free at all.
import { closeSync, openSync, readFileSync } from 'node:fs';
import { shortageOf, type Shortage } from './shortages.ts';

/** Of a system that does not say: what none has less of. https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/limits.h.html */
const LIMIT_UNKNOWN = 256;

/** The soft limit, which Node has raised to the hard one; Infinity: there is none. https://man7.org/linux/man-pages/man2/getrlimit.2.html */
export function descriptorLimit(): number {
  return (knownLimit ??= askLimit());
}

/** Nobody changes it while the process runs; and asking takes a descriptor. */
let knownLimit: number | undefined;

function askLimit(): number {
  try {
    return parseDescriptorLimit(readFileSync('/proc/self/limits', 'utf8')) ?? LIMIT_UNKNOWN;
  } catch {
    // No Linux.
    // Or it would resolve the name of every peer.
    (process.report as { excludeNetwork?: boolean }).excludeNetwork = true;
    const { userLimits } = process.report.getReport() as {
      userLimits?: { open_files?: { soft?: number | string } };
    };
    const soft = userLimits?.open_files?.soft;
    if (soft === 'unlimited') return Infinity;
    return typeof soft === 'number' ? soft : LIMIT_UNKNOWN;
  }
}

/** Of a text as in /proc/self/limits. */
export function parseDescriptorLimit(limits: string): number | undefined {
  const soft = /^Max open files +(\S+)/m.exec(limits)?.[1];
  if (soft === 'unlimited') return Infinity;
  return soft === undefined || !/^\d+$/.test(soft) ? undefined : Number(soft);
}

/** Is none free? Asked after a failure whose words hide it: a resolver without a descriptor says that there is no such host. */
export function descriptorShortage(): Shortage | undefined {
  try {
    closeSync(openSync('/', 'r'));
    return undefined;
  } catch (error) {
    const found = shortageOf(error);
    return found?.kind === 'descriptors' ? found : undefined;
  }
}

/** Are so many free? Asked for a moment, not held. */
export function areDescriptorsFree(count: number): boolean {
  const opened: number[] = [];
  try {
    while (opened.length < count) opened.push(openSync('/', 'r'));
    return true;
  } catch {
    return false;
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

/** What names are resolved with says no more than this when it lacks a descriptor, or memory. */
const RESOLVER_CODES: ReadonlySet<string> = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_MEMORY']);

/** The shortage that an error of the network names, or hides. */
export function shortageBehind(error: unknown): Shortage | undefined {
  const named = shortageOf(error);
  if (named !== undefined) return named;
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' && RESOLVER_CODES.has(code) ? descriptorShortage() : undefined;
}

// What the operating system says when it has no more of something, or a disk fails: one table of names and cures for
// everybody who meets it (log, store, ledgers, leases, listeners, sinks, Postgres, DNS). Pure.
// https://man7.org/linux/man-pages/man3/errno.3.html

/** `descriptors`, `space`, `memory`: pass as soon as somebody gives some back. `device`: somebody has to look. */
export type ShortageKind = 'descriptors' | 'space' | 'memory' | 'device';

export type Shortage = {
  readonly kind: ShortageKind;
  /** Of the system. */
  readonly code: string;
  /** What there is none of, with the code. */
  readonly what: string;
  readonly cure: string;
};

const FREE_SPACE = 'free disk space or enlarge the volume of the data directory';
const GOES_ON = 'Tailrace goes on by itself';

const SHORTAGES: Readonly<Record<string, Omit<Shortage, 'code'>>> = {
  EMFILE: {
    kind: 'descriptors',
    what: 'the process has no file descriptor left',
    cure: `raise its limit (ulimit -Hn, LimitNOFILE= of the systemd unit, nofile of the container), or lower the sinks’ lanes; ${GOES_ON} as soon as one is free`,
  },
  ENFILE: {
    kind: 'descriptors',
    what: 'the machine has no file descriptor left',
    cure: `end what holds so many files open, or raise fs.file-max (sysctl); ${GOES_ON} as soon as one is free`,
  },
  ENOSPC: { kind: 'space', what: 'the disk is full', cure: `${FREE_SPACE}: ${GOES_ON}` },
  EDQUOT: {
    kind: 'space',
    what: 'the disk quota is used up',
    cure: `raise the quota of the user that runs Tailrace, or free disk space: ${GOES_ON}`,
  },
  ENOMEM: {
    kind: 'memory',
    what: 'the system has no memory left',
    cure: `give the machine or the container more memory, or end what takes it: ${GOES_ON}`,
  },
  ENOBUFS: {
    kind: 'memory',
    what: 'the system has no memory left for sockets',
    cure: `give the machine more memory, or end what holds so many connections: ${GOES_ON}`,
  },
  EROFS: {
    kind: 'device',
    what: 'the file system is mounted read-only',
    cure: 'mount it writable; a file system that met errors is made read-only by the kernel, whose log (dmesg) says so',
  },
  EIO: {
    kind: 'device',
    what: 'the disk reports an input/output error',
    cure: 'look into the kernel’s log (dmesg), and check or replace the disk',
  },
};

/** Undefined: this code names no shortage. */
export function shortageNamed(code: string): Shortage | undefined {
  const known = Object.hasOwn(SHORTAGES, code) ? SHORTAGES[code] : undefined;
  return known && { ...known, code, what: `${known.what} (${code})` };
}

/** What the error, or what caused it, says of a shortage. */
export function shortageOf(error: unknown): Shortage | undefined {
  let at = error;
  for (let depth = 0; at instanceof Error && depth < MAX_CAUSES; depth++) {
    const { code } = at as NodeJS.ErrnoException;
    const found = typeof code === 'string' ? shortageNamed(code) : undefined;
    if (found !== undefined) return found;
    at = at instanceof AggregateError && at.cause === undefined ? (at.errors[0] as unknown) : at.cause;
  }
  return undefined;
}

/** A cause may be its own, by mistake. */
const MAX_CAUSES = 8;

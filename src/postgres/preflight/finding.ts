// A finding: one thing that was looked at in the database, whether it is as it must be, and the cure if not.
import { TailraceError } from '../../core/errors.ts';

export type Finding = {
  readonly ok: boolean;
  /** Of a finding that is not ok: an error keeps us from streaming, a warning does not. */
  readonly severity: 'error' | 'warning';
  readonly code: string;
  /** What was looked at: `slot "tailrace"`. */
  readonly title: string;
  readonly detail: string;
  /** The exact SQL or setting that cures it. */
  readonly cure?: string;
};

export const passed = (title: string, detail: string): Finding => ({
  ok: true,
  severity: 'error',
  code: 'OK',
  title,
  detail,
});

type Fault = Omit<Finding, 'ok' | 'severity'>;
export const failed = (fault: Fault): Finding => ({ ok: false, severity: 'error', ...fault });
export const warned = (fault: Fault): Finding => ({ ok: false, severity: 'warning', ...fault });

/** The errors among `findings` as one TailraceError; undefined when there are none. */
export function faultOf(databaseName: string, findings: readonly Finding[]): TailraceError | undefined {
  const faults = findings.filter((finding) => !finding.ok && finding.severity === 'error');
  const [first] = faults;
  if (first === undefined) return undefined;
  return new TailraceError(`database "${databaseName}": ${faults.map(describeFinding).join('; ')}`, {
    code: first.code,
    kind: 'fatal',
    hint: faults.flatMap((fault) => fault.cure ?? []).join(' | '),
  });
}

/** What a finding says while the source streams: it degrades, and ends nothing. */
export const alarmOf = (databaseName: string, finding: Finding, more = ''): TailraceError =>
  new TailraceError(`database "${databaseName}": ${describeFinding(finding)}${more}`, {
    code: finding.code,
    kind: 'retryable',
    hint: finding.cure,
  });

/**
 * How much TLS verifies, how a database is encoded, what a failover costs, when large transactions come, what is known of old rows, what a
 * role may see, what is filtered where and what a default stands for are the user's choice: worth knowing, and nothing is left out for it.
 */
const NOTES: ReadonlySet<string> = new Set([
  'TLS_UNVERIFIED',
  'ENCODING_UNCHECKED',
  'FAILOVER_LOSES_SLOT',
  'FAILOVER_MAY_PART',
  'STREAMING_UNSUPPORTED',
  'WHERE_DELETES_UNJUDGED',
  'WHERE_VALUE_MAY_BE_ABSENT',
  'WHERE_TYPES_HIDDEN',
  'WHERE_PUBLISHABLE',
  'ROUTE_DEFAULT_TAKEN',
]);

/** Said where it is met, and no fault. */
export const isNote = ({ ok, code }: Finding): boolean => !ok && NOTES.has(code);

export const describeFinding = (finding: Finding): string => `${finding.title}: ${finding.detail}`;

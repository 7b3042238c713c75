// What `run` says when it is asked to stop: what is waited for, and at the end what stays undelivered. Pure.
import type { ServiceStatus, SinkStatus } from '../core/status.ts';
import { counted } from './layout.ts';
import { formatBytes } from './status-table.ts';

/** `status` undefined: the service is still starting. */
export function stoppingLine(status: ServiceStatus | undefined, until: Date): string {
  const latest = `until ${until.toTimeString().slice(0, 8)} at the latest; a second Ctrl-C ends at once`;
  if (status === undefined) return `stopping: breaks off the start, and closes what is open, ${latest}`;
  const busy = status.sinks.filter(({ inFlight }) => inFlight > 0);
  if (busy.length === 0) return `stopping: nothing is in flight; closes files and connections, ${latest}`;
  const waiting = busy.map((sink) => `${nameOf(sink)} ${sink.inFlight}`).join(', ');
  return `stopping: waits for messages in flight (${waiting}), ${latest}`;
}

/** One line a sink that is behind. */
export function undeliveredLines({ sinks }: ServiceStatus): string[] {
  return sinks.flatMap((sink) => {
    const read = sink.inFlight + sink.buffered + sink.parked;
    if (read === 0 && sink.lagBytes === 0) return [];
    if (sink.state === 'disabled') return [];
    const messages = read === 0 ? '' : `, ${counted(read, 'message')} of it read already`;
    const when = sink.state === 'paused' ? 'once it is resumed' : 'at the next start';
    return [
      `sink ${nameOf(sink)} stays behind: ${formatBytes(sink.lagBytes)} of the log undelivered${messages}; delivered ${when}`,
    ];
  });
}

const nameOf = ({ database, name }: SinkStatus): string => `${database}/${name}`;

// tailrace.yaml texts for end-to-end tests: one database, sinks to a local SQS or SNS endpoint.
import type { TestDatabase } from './postgres.ts';

export type SinkText = {
  readonly name?: string;
  readonly queue?: string;
  /** An SNS topic's name instead of a queue. */
  readonly topic?: string;
  readonly tables: readonly string[];
  /** Another destination; `destination` says the rest of it. */
  readonly type?: string;
  /** More lines of the sink, as YAML. */
  readonly extra?: string;
  /** More lines of the destination, as YAML. */
  readonly destination?: string;
};

const indent = (text: string, spaces: number): string => text.trim().replaceAll(/^/gm, ' '.repeat(spaces));

const placeText = (sink: SinkText, endpoint: string): string => `
${sink.topic === undefined ? `queue_name: ${sink.queue ?? 'changes.fifo'}` : `topic_name: ${sink.topic}`}
create_if_not_exists: true
region: us-east-1
emulator_base_url: ${endpoint}`;

export function configText(options: {
  readonly database: TestDatabase;
  readonly endpoint: string;
  readonly sinks: readonly SinkText[];
  /** More lines of `slot`, as YAML. */
  readonly slot?: string;
  /** More top-level lines. */
  readonly extra?: string;
}): string {
  const { database } = options;
  const sinks = options.sinks.map(
    (sink, i) => `
  - name: ${sink.name ?? `sink-${i}`}
    database: shop
    source: { include_tables: ${JSON.stringify(sink.tables.map((table) => `public.${table}`))} }
${indent(sink.extra ?? '', 4)}
    destination:
      type: ${sink.type ?? (sink.topic === undefined ? 'sqs' : 'sns')}
${indent(sink.type === undefined ? placeText(sink, options.endpoint) : '', 6)}
${indent(sink.destination ?? '', 6)}`,
  );
  return `
databases:
  - name: shop
    hostname: ${database.host}
    port: ${database.port}
    database: ${database.name}
    username: postgres
    password: postgres
    slot:
      name: ${database.name}
      create_if_not_exists: true
${indent(options.slot ?? '', 6)}
    publication: { name: ${database.name}, create_if_not_exists: true }
sinks:${sinks.join('')}
api: { listen: "127.0.0.1:0" }
metrics: { listen: off }
${options.extra ?? ''}
`;
}

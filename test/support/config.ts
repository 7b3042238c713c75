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
  /** `source`, as YAML in one line, instead of these tables. */
  readonly source?: string;
  /** More lines of the sink, as YAML. */
  readonly extra?: string;
  /** More lines of the destination, as YAML. */
  readonly destination?: string;
  /** The whole destination, as YAML, where it is none of AWS. */
  readonly to?: string;
};

const indent = (text: string, spaces: number): string => text.trim().replaceAll(/^/gm, ' '.repeat(spaces));

/** A queue, or a topic. */
const awsPlace = (sink: SinkText, endpoint: string): string => `
${sink.topic === undefined ? 'type: sqs' : 'type: sns'}
${sink.topic === undefined ? `queue_name: ${sink.queue ?? 'changes.fifo'}` : `topic_name: ${sink.topic}`}
create_if_not_exists: true
region: us-east-1
emulator_base_url: ${endpoint}
${sink.destination ?? ''}`;

const placeOf = (sink: SinkText, endpoint: string): string =>
  sink.type === undefined ? awsPlace(sink, endpoint) : `type: ${sink.type}\n${sink.destination ?? ''}`;

export function configText(options: {
  readonly database: Pick<TestDatabase, 'name' | 'host'> & { readonly port: number | string };
  readonly endpoint: string;
  readonly sinks: readonly SinkText[];
  /** More lines of `slot`, as YAML. */
  readonly slot?: string;
  /** More of `publication`, as YAML in one line. */
  readonly publication?: string;
  /** More lines of the database, as YAML. */
  readonly databaseExtra?: string;
  /** More top-level lines. */
  readonly extra?: string;
}): string {
  const { database } = options;
  const sinks = options.sinks.map(
    (sink, i) => `
  - name: ${sink.name ?? `sink-${i}`}
    database: shop
    source: ${sink.source ?? `{ include_tables: ${JSON.stringify(sink.tables.map((table) => `public.${table}`))} }`}
${indent(sink.extra ?? '', 4)}
    destination:
${indent(sink.to ?? placeOf(sink, options.endpoint), 6)}`,
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
    publication: { name: ${database.name}, create_if_not_exists: true${options.publication === undefined ? '' : `, ${options.publication}`} }
${indent(options.databaseExtra ?? '', 4)}
sinks:${sinks.join('')}
api: { listen: "127.0.0.1:0" }
metrics: { listen: off }
${options.extra ?? ''}
`;
}

// What derives from the declaration of the metrics: the page that explains each, and the alert rules for Prometheus.
import { stringify } from 'yaml';
import type { LabelValues, Metric } from '../src/telemetry/metrics/definition.ts';
import { METRICS } from '../src/telemetry/metrics/metrics.ts';

type Described = Omit<Metric<never>, 'value'>;

const SECTIONS = {
  service: { title: 'The service', every: 'Once in each process.' },
  database: { title: 'Each database', every: 'Once for each of `databases`.' },
  sink: { title: 'Each sink', every: 'Once for each of `sinks`.' },
} as const;
const ROOMS = ['service', 'database', 'sink'] as const;
const GROUP = 'tailrace';

const metricsOf = (room: (typeof ROOMS)[number]): readonly Described[] => METRICS[room].metrics;

/** Markdown of docs/metrics.md. */
export function metricsPage(): string {
  return `${introduction}\n${ROOMS.map(section).join('\n')}\n${alertsSection()}`;
}

const introduction = `# Metrics

<!-- Written by \`npm run docs\` from src/telemetry/metrics/ and scripts/metrics-docs.ts. Do not edit. -->

\`/metrics\` answers in Prometheus' text format, on \`metrics.listen\` (127.0.0.1:8376) and on the API's port. It needs no
token, but a user and a password where \`metrics.username\` or \`metrics.password\` is written ([HTTP](operations.md#http)).

\`\`\`yaml
# prometheus.yml
scrape_configs:
  - job_name: tailrace
    static_configs: [{ targets: ['127.0.0.1:8376'] }]
rule_files: [prometheus-alerts.yaml]
\`\`\`

- The rules under [Alerts](#alerts) are ready in [deploy/prometheus-alerts.yaml](../deploy/prometheus-alerts.yaml).
- The number of series follows the configuration alone: no label holds a table, a message group, a queue or a host. A sink that is
  removed is gone from the next scrape.
- Counters (\`_total\`) begin at zero when the process starts, unless their line says otherwise: use \`rate\` and \`increase\`.
- Times are in seconds, sizes in bytes. A position (\`_lsn\`) is an LSN as a number, exact to 2^53; the difference of two is a number of bytes.
`;

function section(room: (typeof ROOMS)[number]): string {
  const { title, every } = SECTIONS[room];
  const { labels } = METRICS[room];
  const subject =
    labels.length === 0 ? '' : ` Labels: ${labels.map(code).join(', ')}, as the configuration names them.`;
  const rows = metricsOf(room).map((metric) => {
    const own = Object.entries(metric.labels ?? {}).map(
      ([label, values]) => `${code(label)}: ${valuesOf(values)}`,
    );
    const meaning = [metric.help, metric.meaning].filter((text) => text !== undefined).join(' ');
    const alerts = (metric.alerts ?? []).map(({ name }) => `[${name}](#${name.toLowerCase()})`);
    return [code(metric.name), metric.kind, metric.unit, own.join('; '), cell(meaning), alerts.join(', ')];
  });
  return [
    `## ${title}\n`,
    `${every}${subject}\n`,
    table(['metric', 'type', 'unit', 'more labels', 'meaning', 'alert on it'], rows),
  ].join('\n');
}

function alertsSection(): string {
  const sections = alerts().map(({ name, expression, holdsFor, severity, summary, description }) =>
    [
      `### ${name}\n`,
      `${severity}, ${holdsFor === '0m' ? 'at once' : `after ${holdsFor}`}: ${summary.replaceAll(/\{\{ (.*?) \}\}/g, (_, value: string) => `\`${value}\``)}\n`,
      `\`\`\`promql\n${expression}\n\`\`\`\n`,
      `${description.replaceAll(/\{\{ (.*?) \}\}/g, (_, value: string) => `\`${value}\``)}\n`,
    ].join('\n'),
  );
  return `## Alerts\n\nLimits are a beginning: set them to what your consumers and your disks bear.\n\n${sections.join('\n')}`;
}

const alerts = () => ROOMS.flatMap(metricsOf).flatMap(({ alerts = [] }) => alerts);

/** A file of rules as Prometheus reads it. */
export function alertRules(): string {
  const rules = alerts().map(({ name, expression, holdsFor, severity, summary, description }) => ({
    alert: name,
    expr: expression,
    ...(holdsFor !== '0m' && { for: holdsFor }),
    labels: { severity },
    annotations: { summary, description },
  }));
  return `# Alert rules of Tailrace for Prometheus: docs/metrics.md explains each.
# Written by \`npm run docs\` from src/telemetry/metrics/. Do not edit: copy it, and set the limits to your own.
${stringify({ groups: [{ name: GROUP, rules }] }, { lineWidth: 0 })}`;
}

const code = (text: string): string => `\`${text}\``;
const cell = (text: string): string => text.replaceAll('|', '\\|');
const valuesOf = (values: LabelValues): string =>
  typeof values === 'string' ? values : values.map(code).join(', ');

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n') + '\n';

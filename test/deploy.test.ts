// The ready files of deploy/ and examples/, and the image: what they name is there, and what they start is a command of ours.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { EXIT } from '../src/cli/ports.ts';
import { CLOSING_GRACE_MS } from '../src/cli/run.ts';
import { loadSettings } from '../src/config/load.ts';
import { startCli } from './support/cli.ts';
import { pageBlocks } from './support/page.ts';

const root = resolve(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const PAGE = 'docs/getting-started.md';
const ENVIRONMENT = { PGHOST: 'db.internal', PGPASSWORD: 'secret', AWS_REGION: 'eu-central-1' };
const VARIABLES = Object.keys(ENVIRONMENT);

/** A folder with the certificate that the configuration names. */
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tailrace-test-'));
  writeFileSync(join(folder, 'ca.pem'), '-----BEGIN CERTIFICATE-----\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** `check` of this text. */
async function check(text: string): Promise<{ code: number; stderr: string }> {
  writeFileSync(join(folder, 'tailrace.yaml'), text);
  const cli = startCli(['check'], { cwd: folder, env: ENVIRONMENT });
  return { code: await cli.code, stderr: cli.stderr() };
}

/** The longest that a stop may take. */
async function longestStopSeconds(): Promise<number> {
  writeFileSync(join(folder, 'tailrace.yaml'), read('deploy/tailrace.yaml'));
  const { settings } = await loadSettings({ cwd: folder, env: ENVIRONMENT });
  return (settings.shutdownTimeoutMs + CLOSING_GRACE_MS) / 1000;
}

/** Does the command line know this command with these options? `--help` behind them ends well then. */
async function isKnownCommand(args: readonly string[]): Promise<boolean> {
  const cli = startCli([...args, '--help']);
  return (await cli.code) === EXIT.ok && cli.stdout().includes(`tailrace ${args[0]}`);
}

const dockerfile = read('Dockerfile');
const imageEnvironment = (name: string): string | undefined =>
  new RegExp(`\\b${name}=(\\S+)`).exec(dockerfile)?.[1];
const imagePort = imageEnvironment('TAILRACE_METRICS_LISTEN')?.split(':')[1];

test('every block of the page that quotes a file has its text', () => {
  const quotes = pageBlocks(PAGE).filter(({ file }) => file !== undefined);
  expect(quotes.map(({ file }) => file)).toEqual(['deploy/iam-policy.json', 'deploy/tailrace.yaml']);
  expect(quotes.map(({ text }) => text)).toEqual(quotes.map(({ file }) => read(file!)));
});

test('the page links every ready file', () => {
  const files = readdirSync(join(root, 'deploy')).filter((file) => file !== 'iam-policy.json');
  expect(files.filter((file) => !read(PAGE).includes(`(../deploy/${file})`))).toEqual([]);
});

test('what the page copies and applies is there, or made on the page', () => {
  const made = ['tailrace.yaml', 'ca.pem', 'environment'];
  const commands = pageBlocks(PAGE).filter(
    ({ language, role }) => language === 'sh' && ['systemd', 'compose', 'kubernetes'].includes(role),
  );
  expect(commands).toHaveLength(3);
  const FILE = /(?:^|[\s=])((?:deploy\/)?[\w-]+\.(?:yaml|pem|service)|environment)(?=\s|$)/gm;
  const named = commands.flatMap(({ text }) => [...text.matchAll(FILE)].map(([, file]) => file!));
  expect(named.length).toBeGreaterThan(8);
  expect(named.filter((file) => !made.includes(file) && !existsSync(join(root, file)))).toEqual([]);
});

test('the configuration of the page is right', async () => {
  expect(await check(read('deploy/tailrace.yaml'))).toEqual({ code: EXIT.ok, stderr: '' });
});

test('the policy allows what the SQS sink asks for, and nothing else', () => {
  const sources = readdirSync(join(root, 'src/sinks/sqs')).map((file) => read(`src/sinks/sqs/${file}`));
  const operations = new Set(
    sources.flatMap((text) =>
      [...text.matchAll(/\b(?:call|callFor|callForUrl)\((?:client, )?'([A-Z]\w+)'/g)].map(
        ([, name]) => name!,
      ),
    ),
  );
  // A batch needs the right of the single one: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html
  const rights = [...operations].map((name) => `sqs:${name.replace(/Batch$/, '')}`);
  const policy = JSON.parse(read('deploy/iam-policy.json')) as { Statement: { Action: string[] }[] };
  expect(policy.Statement[0]?.Action.toSorted()).toEqual(rights.toSorted());
});

describe('the unit of systemd', () => {
  const unit = read('deploy/tailrace.service');
  const settings = (key: string): string[] =>
    [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value]) => value!);

  test('starts commands that there are, and stops no sooner than the service can', async () => {
    const lines = [...settings('ExecStart'), ...settings('ExecStartPre')];
    const programs = lines.map((line) => line.split(' ')[0]);
    expect(programs).toEqual(['/usr/local/bin/tailrace', '/usr/local/bin/tailrace']);
    const known = await Promise.all(lines.map((line) => isKnownCommand(line.split(' ').slice(1))));
    expect(known).toEqual([true, true]);
    expect(Number(settings('TimeoutStopSec')[0])).toBeGreaterThan(await longestStopSeconds());
    expect(settings('RestartPreventExitStatus')).toEqual([String(EXIT.usage)]);
  });

  test('puts the data where it may write', () => {
    expect(settings('Environment')).toEqual([`TAILRACE_DATA_DIR=/var/lib/${settings('StateDirectory')[0]}`]);
  });

  test.runIf(spawnSync('systemd-analyze', ['--version']).status === 0)(
    'systemd has nothing against it',
    () => {
      const file = join(folder, 'tailrace.service');
      writeFileSync(file, unit.replaceAll('/usr/local/bin/tailrace', '/bin/true'));
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' });
      expect({ status, stderr: stderr.split('\n').filter((line) => line.includes('tailrace')) }).toEqual({
        status: 0,
        stderr: [],
      });
    },
  );
});

type Compose = {
  services: {
    tailrace: {
      build: string;
      environment: Record<string, string>;
      volumes: string[];
      ports: string[];
      stop_grace_period: string;
    };
  };
  configs?: { tailrace: { content: string } };
};

describe.each(['deploy/compose.yaml', 'examples/compose.yaml'])('%s', (file) => {
  const compose = parse(read(file)) as Compose;
  const { build, environment, volumes, ports, stop_grace_period: grace } = compose.services.tailrace;

  test('builds the image that is here, publishes its port, and keeps its data', () => {
    expect(existsSync(resolve(root, dirname(file), build, 'Dockerfile'))).toBe(true);
    expect(ports).toEqual([`127.0.0.1:${imagePort}:${imagePort}`]);
    expect(volumes.map((volume) => volume.split(':')[1])).toContain(imageEnvironment('TAILRACE_DATA_DIR'));
  });

  test('waits longer for a stop than the service can take', async () => {
    expect(Number.parseInt(grace, 10)).toBeGreaterThan(await longestStopSeconds());
  });

  const path = environment['CONFIG_FILE_PATH']!;
  test.runIf(compose.configs !== undefined)('brings a configuration that is right', async () => {
    expect(await check(compose.configs!.tailrace.content)).toEqual({ code: EXIT.ok, stderr: '' });
  });
  test.runIf(compose.configs === undefined)(
    'has the files of the page where the program looks for them',
    () => {
      expect(volumes).toContain(`./tailrace.yaml:${path}:ro`);
      expect(volumes).toContain(`./ca.pem:${dirname(path)}/ca.pem:ro`);
      expect(Object.keys(environment)).toEqual(expect.arrayContaining(VARIABLES));
    },
  );
});

type StatefulSet = {
  spec: {
    replicas: number;
    serviceName: string;
    template: {
      spec: {
        terminationGracePeriodSeconds: number;
        securityContext: { runAsUser: number; fsGroup: number };
        containers: {
          args: string[];
          env: { name: string; value: string }[];
          envFrom: { secretRef: { name: string } }[];
          ports: { name: string; containerPort: number }[];
          startupProbe: { tcpSocket: { port: string } };
          livenessProbe: { tcpSocket: { port: string } };
          readinessProbe: { httpGet: { path: string; port: string } };
          volumeMounts: { name: string; mountPath: string }[];
        }[];
        volumes: { name: string; configMap?: { name: string } }[];
      };
    };
    volumeClaimTemplates: { metadata: { name: string } }[];
  };
};

describe('the manifest of Kubernetes', () => {
  const [set, service] = read('deploy/kubernetes.yaml')
    .split(/^---$/m)
    .map((text) => parse(text) as unknown) as [
    StatefulSet,
    { metadata: { name: string }; spec: { ports: { port: number }[] } },
  ];
  const pod = set.spec.template.spec;
  const container = pod.containers[0]!;
  const valueOf = (name: string): string | undefined =>
    container.env.find((variable) => variable.name === name)?.value;
  const mountOf = (name: string): string | undefined =>
    container.volumeMounts.find((mount) => mount.name === name)?.mountPath;

  test('starts one pod with a command that there is, and waits longer for its stop than it can take', async () => {
    expect(set.spec.replicas).toBe(1);
    expect(await isKnownCommand(container.args)).toBe(true);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(await longestStopSeconds());
  });

  test('gives the volume to the user of the image, and puts the data on it', () => {
    // https://github.com/nodejs/docker-node: the user `node` is 1000.
    expect(dockerfile).toMatch(/^USER node$/m);
    expect(pod.securityContext).toMatchObject({ runAsUser: 1000, fsGroup: 1000 });
    expect(set.spec.volumeClaimTemplates.map(({ metadata }) => metadata.name)).toEqual(['data']);
    expect(valueOf('TAILRACE_DATA_DIR')?.startsWith(`${mountOf('data')}/`)).toBe(true);
  });

  test('probes the port of the image: restarts only where nothing listens', () => {
    expect(container.ports).toEqual([{ name: 'metrics', containerPort: Number(imagePort) }]);
    expect(service.spec.ports[0]?.port).toBe(Number(imagePort));
    expect(service.metadata.name).toBe(set.spec.serviceName);
    expect(container.livenessProbe.tcpSocket.port).toBe('metrics');
    expect(container.startupProbe.tcpSocket.port).toBe('metrics');
    expect(container.readinessProbe.httpGet).toEqual({ path: '/ready', port: 'metrics' });
  });

  test('reads what the commands of the page made', () => {
    const { text } = pageBlocks(PAGE).find(({ role }) => role === 'kubernetes')!;
    const config = pod.volumes.find(({ name }) => name === 'config')?.configMap?.name;
    expect(text).toContain(
      `kubectl create configmap ${config} --from-file=tailrace.yaml --from-file=ca.pem\n`,
    );
    expect(text).toContain(`kubectl create secret generic ${container.envFrom[0]?.secretRef.name} `);
    expect(valueOf('CONFIG_FILE_PATH')).toBe(`${mountOf('config')}/tailrace.yaml`);
  });
});

describe('the image', () => {
  test('stands on one base, by digest, whose Node the package takes', () => {
    const bases = new Set([...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base!));
    expect(bases.size).toBe(1);
    const [, major] = /^node:(\d+)\.\d+\.\d+-[\w-]+@sha256:[0-9a-f]{64}$/.exec([...bases][0]!) ?? [];
    const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
    expect(`>=${major}`).toBe(engines.node);
  });

  test('is made of files that are here and that the build is given', () => {
    const ignored = read('.dockerignore').split('\n');
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files]) =>
      files!.split(' '),
    );
    expect(copied).toContain('LICENSE');
    expect(
      copied.filter((file) => !existsSync(join(root, file)) || ignored.includes(file.replace('./', ''))),
    ).toEqual([]);
  });

  test('runs the service as a user without rights', async () => {
    const lines = dockerfile.split('\n');
    expect(lines.indexOf('USER node')).toBeGreaterThan(
      lines.findLastIndex((line) => line.startsWith('FROM ')),
    );
    expect(lines.indexOf('USER node')).toBeLessThan(lines.indexOf('ENTRYPOINT ["tailrace"]'));
    const [, command] = /^CMD (\[.*\])$/m.exec(dockerfile) ?? [];
    expect(await isKnownCommand(JSON.parse(command!) as string[])).toBe(true);
  });
});

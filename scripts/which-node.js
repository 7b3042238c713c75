// Says after `npm ci`, where the machine's Node is older than ours, which one is meant. Plain JavaScript: without the
// development dependencies it runs on the machine's own.
import { existsSync, readFileSync } from 'node:fs';

const json = (file) => JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8'));
const [, own] = /\bnode\/v([\d.]+)/.exec(process.env.npm_config_user_agent ?? '') ?? [];
const [, wanted] = /(\d+)/.exec(json('../package.json').engines.node);
const ours = '../node_modules/node/package.json';

if (own !== undefined && Number.parseInt(own, 10) < Number(wanted)) {
  console.error(
    existsSync(new URL(ours, import.meta.url))
      ? `Node ${own} has installed it; every npm script here runs on Node ${json(ours).version}, which came with it.`
      : `Tailrace runs on Node ${wanted} or newer; this is Node ${own}.`,
  );
}

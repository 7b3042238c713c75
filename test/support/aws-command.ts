// `aws sqs …` as far as a page of ours uses it, with the SDK instead of Python: operations and options are those of the API.
import * as sdk from '@aws-sdk/client-sqs';

const pascal = (name: string): string =>
  name.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());

/** The part that `--query` names; of JMESPath only names and `[n]`. */
function part(reply: unknown, query: string): unknown {
  let value = reply;
  for (const [, name, index] of query.matchAll(/(\w+)|\[(\d+)\]/g))
    value = (value as Readonly<Record<string, unknown>> | undefined)?.[name ?? index!];
  return value;
}

const [service, operation, ...rest] = process.argv.slice(2);
if (service !== 'sqs' || operation === undefined) throw new Error(`aws ${process.argv.slice(2).join(' ')}`);
const options = new Map<string, string>();
for (let at = 0; at < rest.length; at += 2) options.set(rest[at]!.replace(/^--/, ''), rest[at + 1]!);
const query = options.get('query') ?? '';
const output = options.get('output');
if (output !== 'text') throw new Error(`--output ${output}`);
const region = options.get('region') ?? '';
options.delete('region');
options.delete('query');
options.delete('output');

const input = Object.fromEntries(
  [...options].map(([name, value]) => [pascal(name), /^\d+$/.test(value) ? Number(value) : value]),
);
const commands = sdk as unknown as Readonly<Record<string, new (input: object) => sdk.GetQueueUrlCommand>>;
const Command = commands[`${pascal(operation)}Command`];
if (Command === undefined) throw new Error(`SQS has no operation ${operation}`);
const client = new sdk.SQSClient({ region, useQueueUrlAsEndpoint: false });
console.log(part(await client.send(new Command(input)), query));
client.destroy();

// The reference `plain client`: what a good engineer writes in a day with the usual libraries. Row changes of a slot go
// to a FIFO queue, 32 requests of up to ten in flight, in order per row, confirmed to Postgres when they are accepted.
import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { LogicalReplicationService, PgoutputPlugin, type Pgoutput } from 'pg-logical-replication';

export type PlainClientOptions = {
  readonly url: string;
  readonly slot: string;
  readonly publication: string;
  readonly endpoint: string;
  readonly queue: string;
};
/** Sent to the parent when the stream runs. */
export type PlainClientStarted = { readonly startUpCpuUs: number };

const LANES = 32;
const BATCH = 10;
const MAX_QUEUED = 10_000;
const CONFIRM_INTERVAL_MS = 1_000;

type Transaction = { endLsn: string | undefined; unsent: number };
type Queued = { group: string; id: string; body: string; transaction: Transaction };
type Lane = { queue: Queued[]; busy: boolean };

const options = JSON.parse(process.argv[2]!) as PlainClientOptions;
const sqs = new SQSClient({
  endpoint: options.endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  requestHandler: { httpAgent: { maxSockets: LANES } },
});
const QueueUrl = `${options.endpoint}/000000000000/${options.queue}`;
const service = new LogicalReplicationService(
  { connectionString: options.url },
  { acknowledge: { auto: false, timeoutSeconds: 0 }, flowControl: { enabled: true } },
);

const lanes: Lane[] = Array.from({ length: LANES }, () => ({ queue: [], busy: false }));
const transactions: Transaction[] = [];
let queued = 0;
let roomIsThere: (() => void) | undefined;
let begin: { commitLsn: number; commitTime: string } = { commitLsn: 0, commitTime: '' };
let current: Transaction = { endLsn: undefined, unsent: 0 };
let index = 0;

async function send(lane: Lane): Promise<void> {
  if (lane.busy) return;
  lane.busy = true;
  while (lane.queue.length > 0) {
    const batch = lane.queue.splice(0, BATCH);
    const { Failed } = await sqs.send(
      new SendMessageBatchCommand({
        QueueUrl,
        Entries: batch.map(({ group, id, body }, i) => ({
          Id: String(i),
          MessageBody: body,
          MessageGroupId: group,
          MessageDeduplicationId: id,
        })),
      }),
    );
    if (Failed !== undefined && Failed.length > 0) throw new Error(JSON.stringify(Failed));
    for (const { transaction } of batch) transaction.unsent--;
    queued -= batch.length;
    if (queued < MAX_QUEUED) roomIsThere?.();
  }
  lane.busy = false;
}

type RowMessage = Pgoutput.MessageInsert | Pgoutput.MessageUpdate | Pgoutput.MessageDelete;

async function add(message: RowMessage): Promise<void> {
  const { relation, tag } = message;
  const record = tag === 'delete' ? (message.key ?? message.old)! : message.new;
  const id = `${begin.commitLsn}-${index}`;
  const metadata = {
    table_schema: relation.schema,
    table_name: relation.name,
    idempotency_key: id,
    commit_timestamp: begin.commitTime,
    commit_lsn: begin.commitLsn,
    commit_idx: index++,
  };
  const rowId = record['id'] as number;
  const group = `${relation.schema}.${relation.name}:${rowId}`;
  const lane = lanes[rowId % LANES]!;
  const body = JSON.stringify({ record, changes: null, action: tag, metadata });
  current.unsent++;
  lane.queue.push({ group, id, body, transaction: current });
  void send(lane);
  if (++queued >= MAX_QUEUED) {
    await new Promise<void>((done) => (roomIsThere = done));
    roomIsThere = undefined;
  }
}

/** `16/B374D848` as a number. */
function lsnNumber(text: string): number {
  const [high, low] = text.split('/');
  return Number.parseInt(high!, 16) * 2 ** 32 + Number.parseInt(low!, 16);
}

service.on('data', async (_lsn: string, message: Pgoutput.Message) => {
  if (message.tag === 'begin') {
    const commitTime = new Date(Number(message.commitTime) / 1000).toISOString();
    begin = { commitLsn: lsnNumber(message.commitLsn!), commitTime };
    current = { endLsn: undefined, unsent: 0 };
    index = 0;
    transactions.push(current);
  } else if (message.tag === 'commit') {
    current.endLsn = message.commitEndLsn ?? undefined;
  } else if (message.tag === 'insert' || message.tag === 'update' || message.tag === 'delete') {
    await add(message);
  }
});
service.on('start', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ startUpCpuUs: user + system } satisfies PlainClientStarted);
});
setInterval(() => {
  let confirmed: string | undefined;
  while (transactions[0]?.endLsn !== undefined && transactions[0].unsent === 0) {
    confirmed = transactions.shift()!.endLsn;
  }
  if (confirmed !== undefined) void service.acknowledge(confirmed);
}, CONFIRM_INTERVAL_MS);
process.on('disconnect', () => process.exit(0));
await service.subscribe(
  new PgoutputPlugin({ protoVersion: 1, publicationNames: [options.publication] }),
  options.slot,
);

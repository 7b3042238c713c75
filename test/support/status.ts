// A service status for tests of what shows it: healthy, with values that can be told apart.
import type { BackfillStatus } from '../../src/core/backfill-progress.ts';
import { zeroCounts } from '../../src/core/counts.ts';
import type { Gap } from '../../src/core/gaps.ts';
import type { DatabaseStatus, Health, ServiceStatus, SinkStatus } from '../../src/core/status.ts';

export const databaseStatus = (overrides: Partial<DatabaseStatus> = {}): DatabaseStatus => ({
  health: 'healthy',
  since: '2026-01-02T03:04:05.000Z',
  name: 'shop',
  state: 'streaming',
  host: 'db-1.internal:5432',
  slot: 'tailrace',
  publication: 'tailrace',
  ack: 'auto',
  acknowledging: 'delivered',
  walEnd: '1/10',
  loggedEnd: '1/0',
  durableEnd: '0/F0',
  flushed: '0/E0',
  retainedBytes: 4096,
  logBytes: 8192,
  transactions: 10,
  streamedTransactions: 4,
  spooledBytes: 2048,
  changes: 100,
  receivedBytes: 5000,
  unprovedShapes: 0,
  reconnects: 2,
  stallsHealed: 6,
  gaps: [],
  backfills: [],
  lostHistories: { partings: 1, orphaned: 2, discarded: 3 },
  warnings: [],
  notes: [],
  tables: 3,
  joinedTables: [],
  ...overrides,
});

export const backfillStatus = (overrides: Partial<BackfillStatus> = {}): BackfillStatus => ({
  id: 'k7x2m9p4qa',
  sinks: ['users'],
  initial: false,
  state: 'running',
  createdAt: '2026-01-02T03:04:05.000Z',
  progress: {
    scanned: 1200,
    appended: 1100,
    dropped: 90,
    readAgain: 10,
    bytes: 54_321,
    estimatedRows: 5000,
    rowsPerSecond: 300,
    secondsLeft: 12.7,
  },
  ...overrides,
});

export const gap = (overrides: Partial<Gap> = {}): Gap => ({
  id: 3,
  cause: 'slot_remade',
  from: '0/1',
  to: '0/9',
  reason: 'the replication slot was gone and had to be made anew',
  since: '2026-01-02T03:04:05.000Z',
  halts: true,
  skips: false,
  ...overrides,
});

export const sinkStatus = (overrides: Partial<SinkStatus> = {}): SinkStatus => ({
  health: 'healthy',
  since: '2026-01-02T03:04:05.000Z',
  name: 'users',
  database: 'shop',
  type: 'sqs',
  state: 'running',
  settled: '0/E0',
  lagBytes: 300,
  lagSeconds: 1.5,
  ...zeroCounts(),
  delivered: 90,
  deadLettered: 1,
  deadLetters: 0,
  replaying: 0,
  deadLettersDropped: 0,
  rewinds: 0,
  gaps: [],
  retried: 5,
  requests: 20,
  failedRequests: 3,
  bytes: 9000,
  inFlight: 7,
  buffered: 8,
  parked: 9,
  markers: {
    skippedTransactions: 0,
    skippedChanges: 0,
    lastSkipped: [],
    ignored: 0,
    invalidAnnotations: 0,
  },
  blockedGroups: [],
  routes: [{ id: 'https://sqs.eu-west-1.amazonaws.com/123456789012/users.fifo', health: 'healthy' }],
  latency: { p50: 2.5, p99: 18, max: 40 },
  ...overrides,
});

/** Whose database is in this state, and the service with it. */
export const serviceThatIs = (health: Health): ServiceStatus =>
  serviceStatus({
    status: health,
    databases: [databaseStatus({ health, ...(health === 'healthy' ? {} : { reason: 'why' }) })],
  });

export const serviceStatus = (overrides: Partial<ServiceStatus> = {}): ServiceStatus => ({
  status: 'healthy',
  version: '0.1.0',
  startedAt: '2026-01-02T03:04:00.000Z',
  pid: 4242,
  dataDir: '/var/lib/tailrace',
  refusedConnections: 0,
  databases: [databaseStatus()],
  sinks: [sinkStatus()],
  ...overrides,
});

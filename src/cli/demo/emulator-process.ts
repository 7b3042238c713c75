// The SQS emulator's own process: says its port to the parent and ends with it.
import { startFauxqs } from 'fauxqs';

const server = await startFauxqs({ port: 0, host: '127.0.0.1', logger: false });
// Ctrl-C reaches the whole group of processes: deliveries in flight still need an answer.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit(0));
process.send?.({ port: server.port });

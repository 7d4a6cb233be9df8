/** A process that sends workflows, to be killed while it does: `node producer.js '<settings as JSON>'`. */
import { createApp } from '@umbel/core';
import { type ConnectionSettings, connectionOf } from './connection.js';
import { defineTasks } from './tasks.js';
import { send, Workload, type WorkloadSettings } from './workload.js';

export interface ProducerSettings {
  readonly app: string;
  readonly connection: ConnectionSettings;
  readonly workload: WorkloadSettings;
}

/** To send a workflow, and what came of it. */
export interface SendOrder {
  readonly index: number;
  readonly key: string | undefined;
}
export type SendReport =
  | { readonly index: number; readonly run: string }
  | { readonly index: number; readonly error: string; readonly code: unknown };

const settings = JSON.parse(process.argv[2] ?? '') as ProducerSettings;
const app = createApp({ name: settings.app, connection: connectionOf(settings.connection) });
const tasks = defineTasks(app);
const workload = new Workload(settings.workload);

process.on('message', ({ index, key }: SendOrder) => {
  const options = key === undefined ? {} : { idempotencyKey: key };
  const tell = (report: SendReport) => process.send?.(report);
  send(workload.at(index), tasks, options).then(
    ({ id }) => tell({ index, run: id }),
    (error: Error & { code?: unknown }) => tell({ index, error: `${error}`, code: error.code }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');

import { memory } from '@umbel/testing';
import { type Processor, Queue, QueueEvents, Worker } from 'bullmq';

const url = process.env.UMBEL_URL;
const store = memory();

/** For Umbel: the store that BullMQ has. */
export const connection = url || store;

/** BullMQ's own classes. On Redis they need no third argument, and all of this is `{ connection: { url } }`. */
export const openQueue = (name: string) =>
  url ? new Queue(name, { connection: { url } }) : new Queue(name, { connection: {} }, store);
export const openEvents = (name: string) =>
  url ? new QueueEvents(name, { connection: { url } }) : new QueueEvents(name, { connection: {} }, store);
export const startWorker = (name: string, run: Processor) =>
  url ? new Worker(name, run, { connection: { url } }) : new Worker(name, run, { connection: {} }, store);

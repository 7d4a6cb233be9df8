import { memory } from '@umbel/testing';
import { type Processor, Queue, QueueEvents, Worker } from 'bullmq';

const url = process.env.UMBEL_URL;
const store = memory();

/** For Umbel: the store that BullMQ has. */
export const connection = url || store;

/** BullMQ's own classes. On Redis they need no third argument, and all of this is `{ connection: { url } }`. */
export const openQueue = (name: string) =>
  url ? new Queue(name, { connection: { url } }) : new Queue(name, { connection: {} }, store);
/** From the first event on, so that none is missed that comes while it connects. */
const lastEventId = '0-0';
export const openEvents = (name: string) =>
  url
    ? new QueueEvents(name, { connection: { url }, lastEventId })
    : new QueueEvents(name, { connection: {}, lastEventId }, store);
export const startWorker = (name: string, run: Processor) =>
  url ? new Worker(name, run, { connection: { url } }) : new Worker(name, run, { connection: {} }, store);

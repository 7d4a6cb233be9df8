// The least that BullMQ's Worker and Queue can run on: one list of jobs, no locks, events, delays or flows. It shows
// what BullMQ's own classes cost, and so what a store in memory can reach at best.
import { EventEmitter } from 'node:events';

class BareBackend extends EventEmitter {
  minimumBlockTimeout = 0.001;
  maximumBlockTimeout = 3600;
  keys = {};
  closing = undefined;
  #waiting = new Set();

  constructor(name, jobs) {
    super();
    this.qualifiedName = `bare:${name}`;
    this.jobs = jobs;
  }

  toKey = (type) => `${this.qualifiedName}:${type}`;
  clientName = () => this.qualifiedName;
  waitUntilReady = async () => {};
  setName = async () => {};
  setQueueMeta = async () => 1;
  disconnect = async () => {};
  reconnectBlocking = async () => {};
  moveStalledJobsToWait = async () => [];
  extendLocks = async () => [];

  async disconnectBlocking() {
    for (const wake of this.#waiting) wake();
  }

  async close() {
    this.closing = Promise.resolve();
    await this.disconnectBlocking();
  }

  async addJobs(entries) {
    for (const { job } of entries) this.jobs.push(job);
    return entries.map((_entry, index) => `${index}`);
  }

  async moveToActive() {
    const job = this.jobs.pop();
    return job ? [{ ...job, attemptsMade: 0 }, `${this.jobs.length}`, 0, 0] : [null, 0, 0, 0];
  }

  async moveToCompleted(_job, _value, _keep, _token, fetchNext) {
    // Like a store in a process of its own, it answers in the next turn now and then: timers must get theirs.
    if (this.jobs.length % 100 === 0) await new Promise(setImmediate);
    return { result: fetchNext ? await this.moveToActive() : [], finishedOn: Date.now() };
  }

  waitForJob() {
    return new Promise((resolve) => {
      const wake = () => resolve({ member: '', score: Number.POSITIVE_INFINITY });
      this.#waiting.add(wake);
    });
  }
}

/** A backend factory; all that are given the same one share its jobs. */
export function bare() {
  const jobs = [];
  return (name) => new BareBackend(name, jobs);
}

// The app as it was: two queues, a function for each, and code that adds jobs and waits for them.
import { openEvents, openQueue } from './store.js';

interface LegacyJob {
  name: string;
  data: unknown;
}

export const runMail = async ({ name, data }: LegacyJob) =>
  `${name} mail to ${(data as { to: string }).to}, as before`;

export const runReport = async ({ data }: LegacyJob) =>
  `report for ${(data as { month: string }).month}, as before`;

const queues = { mails: openQueue('mails'), reports: openQueue('reports') };
const events = { mails: openEvents('mails'), reports: openEvents('reports') };

export async function addAndWait(queue: keyof typeof queues, name: string, data: object): Promise<string> {
  const job = await queues[queue].add(name, data, { removeOnComplete: 100 });
  return job.waitUntilFinished(events[queue]);
}

export const closeLegacy = () =>
  Promise.all([...Object.values(queues), ...Object.values(events)].map((each) => each.close()));

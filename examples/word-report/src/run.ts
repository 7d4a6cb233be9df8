/** One run, from the folder to the report. */
import { stat } from 'node:fs/promises';
import { tasksRunHere } from './activity.js';
import { app, storeUrl } from './app.js';
import type { Arguments } from './arguments.js';
import { findDocuments, MAX_BYTES } from './documents.js';
import { reasonOf, StoppedError, UsageError } from './errors.js';
import type { Report } from './report.js';
import { unlessAborted } from './stop.js';
import { counted, note, number, table, withProgress } from './terminal.js';
import { wordReport } from './workflow.js';

const SHOWN_DOCUMENTS = 10;
const SHOWN_WORDS = 12;

/** Sends the workflow, takes part in it, and shows what comes of it. */
export async function run({ folder, out, limit }: Arguments, stop: AbortSignal): Promise<void> {
  const paths = await unlessAborted(choose(folder, limit), stop);
  const workflow = wordReport({ from: folder, paths, to: out });
  const total = workflow.graph().jobs;
  note(`Counting the words and links of ${counted(paths.length, 'document')} in ${folder} …`);
  let runId = '';
  const ranHere = () => tasksRunHere(runId);
  const label = storeUrl === undefined ? 'tasks' : 'tasks run here'; // what other workers run is not seen here
  try {
    const startedAt = performance.now();
    const { report, files } = await withProgress({ total, done: ranHere, label }, async () => {
      const result = await unlessAborted(workflow.delay(), stop); // first, since it says when there is no store
      runId = result.id;
      await unlessAborted(app.worker().start(), stop);
      return result.get({ signal: stop });
    });
    const seconds = (performance.now() - startedAt) / 1000;
    show(report);
    console.log(`\nReport: ${files.html}\n        ${files.json}`);
    console.log(
      `${number(total)} tasks in ${seconds.toFixed(seconds < 1 ? 2 : 1)} s ${whereTheyRan(ranHere(), total)}`,
    );
  } catch (error) {
    throw error instanceof StoppedError
      ? new StoppedError(error.signal, whatIsLeft(ranHere(), total))
      : error;
  } finally {
    app.close().catch(() => {}); // not awaited: the outcome is known
  }
}

/** The documents to count. @throws {UsageError} if there are none. */
async function choose(folder: string, limit: number): Promise<readonly string[]> {
  const found = await stat(folder).catch((error: unknown) => {
    throw new UsageError(`Cannot open ${folder}: ${reasonOf(error)}.`);
  });
  if (!found.isDirectory()) throw new UsageError(`${folder} is not a folder.`);
  const { paths, tooLarge } = await findDocuments(folder);
  for (const path of tooLarge) note(`Left out ${path}: larger than ${MAX_BYTES / 1024} KiB.`);
  if (paths.length === 0)
    throw new UsageError(`${folder} holds no documents (.md, .markdown, .txt, .rst, README).`);
  if (paths.length > limit)
    note(`Left out the last ${counted(paths.length - limit, 'document')}: --limit is ${limit}.`);
  return paths.slice(0, limit);
}

function show({ totals, topWords, documents }: Report): void {
  const longest = documents.slice(0, SHOWN_DOCUMENTS);
  console.log(
    table(
      ['Document', 'Words', 'Distinct', 'Links'],
      [
        ...longest.map((line) => [line.path, line.words, line.distinctWords, line.links] as const),
        ...(documents.length > longest.length
          ? [[`… ${number(documents.length - longest.length)} more`] as const]
          : []),
        [`All ${number(totals.documents)}`, totals.words, totals.distinctWords, totals.links],
      ],
    ),
  );
  const words = topWords.slice(0, SHOWN_WORDS).map(({ word, count }) => `${word} ${number(count)}`);
  if (words.length > 0) console.log(`\nMost frequent: ${words.join(', ')}`);
}

function whereTheyRan(here: number, total: number): string {
  if (storeUrl === undefined) return 'on the memory engine.';
  return `on ${new URL(storeUrl).host}: ${number(here)} ran here, ${number(total - here)} in other workers.`;
}

function whatIsLeft(here: number, total: number): string {
  return storeUrl === undefined
    ? `Stopped after ${number(here)} of ${number(total)} tasks. No report was written.`
    : `Stopped here; ${number(here)} of ${number(total)} tasks ran in this process.\n` +
        'The run stays in Redis: workers that serve it, now or later, finish it.';
}

/** What workers run. Each task is small, takes and gives plain JSON, and may safely run twice. */
import { z } from 'zod';
import { ranHere } from './activity.js';
import { app } from './app.js';
import { countWords as count } from './count.js';
import { readText } from './documents.js';
import { linksIn } from './links.js';
import { DocumentFacts, describe, Findings, JoinedFacts, join, Report, rank } from './report.js';
import { writeReportFiles } from './write.js';

const Text = z.object({ text: z.string() });

export const readDocument = app.task({
  name: 'document.read',
  input: z.object({ folder: z.string(), path: z.string() }),
  run: async ({ folder, path }, ctx) => ranHere(ctx, { text: await readText(folder, path) }),
});

export const countWords = app.task({
  name: 'document.countWords',
  input: Text,
  run: ({ text }, ctx) => ranHere(ctx, count(text)),
});

export const collectLinks = app.task({
  name: 'document.collectLinks',
  input: Text,
  run: ({ text }, ctx) => ranHere(ctx, linksIn(text)),
});

export const describeDocument = app.task({
  name: 'document.describe',
  input: Findings,
  output: DocumentFacts,
  run: (findings, ctx) => ranHere(ctx, describe(findings)),
});

export const joinDocuments = app.task({
  name: 'report.join',
  input: z.array(DocumentFacts),
  output: JoinedFacts,
  run: (documents, ctx) => ranHere(ctx, join(documents)),
});

export const rankWords = app.task({
  name: 'report.rank',
  input: JoinedFacts,
  output: Report,
  run: (facts, ctx) => ranHere(ctx, rank(facts)),
});

export const writeReport = app.task({
  name: 'report.write',
  input: z.object({ from: z.string(), to: z.string(), report: Report }),
  run: async ({ from, to, report }, ctx) =>
    ranHere(ctx, { report, files: await writeReportFiles(from, to, report) }),
});

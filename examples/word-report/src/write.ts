import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonOf } from './errors.js';
import { reportPage } from './page.js';
import type { Report } from './report.js';

export interface ReportFiles {
  json: string;
  html: string;
}

/** Writes the report on the folder `from` into the folder `to`; files already there are replaced. */
export async function writeReportFiles(from: string, to: string, report: Report): Promise<ReportFiles> {
  const files = { json: join(to, 'report.json'), html: join(to, 'report.html') };
  try {
    await mkdir(to, { recursive: true });
    await writeFile(files.json, `${JSON.stringify({ folder: from, ...report }, null, 2)}\n`);
    await writeFile(files.html, reportPage(from, report));
  } catch (cause) {
    throw new Error(`Cannot write to ${to}: ${reasonOf(cause)}`, { cause });
  }
  return files;
}

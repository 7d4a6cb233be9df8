import { chain, chord, group } from '@umbel/canvas';
import {
  collectLinks,
  countWords,
  describeDocument,
  joinDocuments,
  rankWords,
  readDocument,
  writeReport,
} from './tasks.js';

/**
 * The report on the documents at `paths` below the folder `from`, written to the folder `to`.
 *
 * Every document is read, then looked at in two ways in parallel. The chord waits for all documents, whatever
 * worker has them, and joins them; the chain goes on with what the join gives.
 */
export function wordReport({ from, paths, to }: { from: string; paths: readonly string[]; to: string }) {
  const documents = paths.map((path) =>
    chain(
      readDocument.si({ folder: from, path }),
      group({ words: countWords, links: collectLinks }),
      describeDocument.s({ path }),
    ),
  );
  return chain(chord(documents, joinDocuments), rankWords, writeReport.into('report', { from, to }));
}

/** What is known of documents, from the single one to the report on all of them. Pure. */
import { z } from 'zod';

/** A pair and not a key with a value: a word may be `constructor`. */
export const WordCount = z.tuple([z.string(), z.number().int().positive()]);
export type WordCount = z.infer<typeof WordCount>;

/** What was found in a document. */
export const Findings = z.object({
  path: z.string(),
  words: z.array(WordCount),
  links: z.array(z.string()),
});
export type Findings = z.infer<typeof Findings>;

/** A document's line in the report. */
const DocumentLine = z.object({
  path: z.string(),
  words: z.number(),
  distinctWords: z.number(),
  links: z.number(),
});

export const DocumentFacts = z.object({ line: DocumentLine, findings: Findings });
export type DocumentFacts = z.infer<typeof DocumentFacts>;

export const JoinedFacts = z.object({
  documents: z.array(DocumentLine),
  words: z.array(z.object({ word: z.string(), count: z.number(), documents: z.number() })),
  links: z.array(z.object({ url: z.string(), documents: z.number() })),
});
export type JoinedFacts = z.infer<typeof JoinedFacts>;

export const Report = z.object({
  totals: z.object({
    documents: z.number(),
    words: z.number(),
    distinctWords: z.number(),
    links: z.number(),
  }),
  /** The most frequent, without the commonest English ones. */
  topWords: JoinedFacts.shape.words,
  topSites: z.array(z.object({ host: z.string(), links: z.number() })),
  /** Longest first. */
  documents: JoinedFacts.shape.documents,
  /** Most linked first. */
  links: JoinedFacts.shape.links,
});
export type Report = z.infer<typeof Report>;

export function describe(findings: Findings): DocumentFacts {
  const { path, words, links } = findings;
  return {
    line: {
      path,
      words: sum(words.map(([, count]) => count)),
      distinctWords: words.length,
      links: links.length,
    },
    findings,
  };
}

/** The facts on all documents, added up. */
export function join(documents: readonly DocumentFacts[]): JoinedFacts {
  const words = new Map<string, JoinedFacts['words'][number]>();
  const links = new Map<string, JoinedFacts['links'][number]>();
  for (const { findings } of documents) {
    for (const [word, count] of findings.words) {
      const sum = words.get(word) ?? { word, count: 0, documents: 0 };
      words.set(word, { word, count: sum.count + count, documents: sum.documents + 1 });
    }
    for (const url of findings.links) {
      links.set(url, { url, documents: (links.get(url)?.documents ?? 0) + 1 });
    }
  }
  return {
    documents: documents.map(({ line }) => line),
    words: [...words.values()],
    links: [...links.values()],
  };
}

const TOP_WORDS = 24;
const TOP_SITES = 10;

/** The report: the greatest first, equals by name. */
export function rank({ documents, words, links }: JoinedFacts): Report {
  const sites = new Map<string, number>();
  for (const { url } of links) {
    const { host } = new URL(url);
    sites.set(host, (sites.get(host) ?? 0) + 1);
  }
  return {
    totals: {
      documents: documents.length,
      words: sum(documents.map((document) => document.words)),
      distinctWords: words.length,
      links: links.length,
    },
    topWords: descending(
      words.filter(({ word }) => word.length > 1 && !COMMON_WORDS.has(word)),
      ({ count }) => count,
      ({ word }) => word,
    ).slice(0, TOP_WORDS),
    topSites: descending(
      [...sites].map(([host, count]) => ({ host, links: count })),
      (site) => site.links,
      (site) => site.host,
    ).slice(0, TOP_SITES),
    documents: descending(
      documents,
      (document) => document.words,
      (document) => document.path,
    ),
    links: descending(
      links,
      (link) => link.documents,
      (link) => link.url,
    ),
  };
}

/** Would head every list of English words and say nothing about the documents. */
const COMMON_WORDS = new Set(
  `a about all also an and any are as at be been but by can do does each for from get has have how if in into is it
  its may more most no not of on one only or other our out over should so some such than that the their them then
  there these they this to up us use used using was we were what when where which will with without would you your`.split(
    /\s+/,
  ),
);

function descending<Item>(
  items: readonly Item[],
  size: (item: Item) => number,
  name: (item: Item) => string,
): Item[] {
  return items.toSorted((a, b) => size(b) - size(a) || (name(a) < name(b) ? -1 : 1));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

import { separateLinks } from './links.js';
import type { WordCount } from './report.js';

/** Letters, marks and digits with a letter among them, also with an apostrophe or a hyphen inside. */
const WORD = /[\p{L}\p{M}\p{N}]+(?:['’-][\p{L}\p{M}\p{N}]+)*/gu;

/**
 * How often each word occurs, in lower case, in order of first appearance.
 *
 * Links, HTML tags and entities, and fenced code blocks hold no words. Scripts without spaces between words, such as
 * Chinese, are not taken apart.
 */
export function countWords(text: string): WordCount[] {
  const prose = separateLinks(text)
    .prose.replace(/<[a-z!/][^<>]*>/gi, ' ')
    .replace(/&#?\w+;/g, ' ');
  const counts = new Map<string, number>();
  for (const [match] of prose.normalize().toLowerCase().matchAll(WORD)) {
    if (!/\p{L}/u.test(match)) continue;
    const word = match.replaceAll('’', "'");
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts];
}

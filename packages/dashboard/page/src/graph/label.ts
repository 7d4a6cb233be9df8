/** Labels of nodes and edges, which are cut to a length that their boxes hold. */

export const MAX_LABEL = 30;

export const cut = (text: string): string =>
  text.length > MAX_LABEL ? `${text.slice(0, MAX_LABEL - 1)}…` : text;

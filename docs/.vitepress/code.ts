/** How the pages show code. */

/** Languages that the highlighter does not know, by names of those whose colors they get. */
export const LANGUAGE_ALIASES = { acl: 'shell', mermaid: 'text' };

/** Of code without colors, which take half of the time of a build. The test of the site does without. */
export const WITHOUT_COLORS = {
  highlight: (code: string) =>
    `<pre v-pre><code>${code.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</code></pre>`,
};

/** The report as one HTML page that loads nothing. */
import { type Html, html } from './html.js';
import type { Report } from './report.js';

const MOST_LINKED = 12;

export function reportPage(folder: string, report: Report): string {
  const { totals, topWords, topSites, documents, links } = report;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Word report</title>
${STYLE}
</head>
<body>
<header>
<h1>Word report</h1>
<p class="folder">${folder}</p>
</header>
<dl class="totals">
${figure('Documents', totals.documents)}
${figure('Words', totals.words)}
${figure('Distinct words', totals.distinctWords)}
${figure('Distinct links', totals.links)}
</dl>
<main>
<section>
<h2>Most frequent words</h2>
<p class="note">Without the commonest English words.</p>
${bars(topWords.map(({ word, count }) => ({ name: html`${word}`, value: count })))}
</section>
<section>
<h2>Most linked sites</h2>
<p class="note">Different addresses on each site.</p>
${bars(topSites.map((site) => ({ name: html`${site.host}`, value: site.links })))}
<h2>Most linked addresses</h2>
<p class="note">Documents that link to each address.</p>
${bars(links.slice(0, MOST_LINKED).map((link) => ({ name: anchor(link.url), value: link.documents })))}
</section>
<section class="wide">
<h2>Documents</h2>
<div class="scroll"><table>
<thead><tr><th>Document</th><th>Words</th><th>Distinct</th><th>Links</th></tr></thead>
<tbody>
${documents.map(
  (
    document,
  ) => html`<tr><td>${document.path}</td>${[document.words, document.distinctWords, document.links].map((value) => html`<td>${number(value)}</td>`)}</tr>
`,
)}</tbody>
</table></div>
</section>
</main>
<footer>Written by <code>examples/word-report</code>, a workflow of Umbel tasks.</footer>
</body>
</html>
`.source;
}

function figure(name: string, value: number): Html {
  return html`<div><dt>${name}</dt><dd>${number(value)}</dd></div>`;
}

function bars(rows: readonly { name: Html; value: number }[]): Html {
  const max = Math.max(1, ...rows.map(({ value }) => value));
  if (rows.length === 0) return html`<p class="note">None.</p>`;
  return html`<ol class="bars">
${rows.map(
  ({
    name,
    value,
  }) => html`<li><span class="name">${name}</span><span class="value">${number(value)}</span><span class="track"><span class="bar" style="width: ${((100 * value) / max).toFixed(1)}%"></span></span></li>
`,
)}</ol>`;
}

/** Links are collected from http and https addresses only, so none of them runs a script. */
function anchor(url: string): Html {
  return html`<a href="${url}" rel="noopener noreferrer">${url.replace(/^https?:\/\//, '')}</a>`;
}

function number(value: number): string {
  return value.toLocaleString('en');
}

const STYLE = html`<style>
:root {
  color-scheme: light dark;
  --page: light-dark(#fafaf7, #16181a);
  --card: light-dark(#ffffff, #1f2225);
  --text: light-dark(#1d1f21, #e8e6e1);
  --muted: light-dark(#5f6368, #a1a5aa);
  --line: light-dark(#e4e3dd, #33373b);
  --accent: light-dark(#3d7a4f, #7cc492);
}
* { box-sizing: border-box; }
body {
  margin: 0 auto;
  padding: 2.5rem 1.25rem;
  max-width: 68rem;
  background: var(--page);
  color: var(--text);
  font: 1rem / 1.5 system-ui, sans-serif;
  font-variant-numeric: tabular-nums;
}
h1 { margin: 0; font-size: 1.9rem; }
h2 { margin: 0 0 0.25rem; font-size: 1.1rem; }
.bars + h2 { margin-top: 2rem; }
.folder, .note, footer { margin: 0; color: var(--muted); }
.folder { overflow-wrap: anywhere; }
.note { font-size: 0.85rem; margin-bottom: 0.75rem; }
.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem; margin: 1.5rem 0; }
.totals div, section {
  padding: 1rem 1.25rem;
  border: 1px solid var(--line);
  border-radius: 0.6rem;
  background: var(--card);
}
dt { color: var(--muted); font-size: 0.85rem; }
dd { margin: 0; font-size: 1.6rem; font-weight: 600; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem; }
.wide { grid-column: 1 / -1; }
.bars { margin: 0; padding: 0; list-style: none; }
.bars li { display: grid; grid-template-columns: 1fr auto; gap: 0 1rem; margin-bottom: 0.45rem; font-size: 0.9rem; }
.name { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.value { color: var(--muted); }
.track { grid-column: 1 / -1; height: 0.35rem; border-radius: 1rem; background: var(--line); }
.bar { display: block; height: 100%; border-radius: 1rem; background: var(--accent); }
a { color: inherit; text-decoration-color: var(--accent); text-underline-offset: 0.15em; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 0.9rem; }
th { color: var(--muted); font-weight: 500; }
th, td { padding: 0.35rem 0.6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { padding-left: 0; text-align: left; overflow-wrap: anywhere; }
footer { margin-top: 1.5rem; font-size: 0.85rem; }
</style>`;

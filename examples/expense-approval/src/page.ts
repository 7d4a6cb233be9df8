import type { OpenWait } from '@umbel/core';

const escaped = (text: string) => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);

/** A form for an expense, and the expenses that wait for a decision. */
export function page(open: readonly OpenWait[]): string {
  const rows = open.map(({ key, since }) => `<li>${escaped(key)}, since ${since.toISOString()}</li>`);
  return `<!doctype html>
<title>Expenses</title>
<form method="post" action="/expenses">
  <input name="id" value="exp-17"> <input name="what" value="A chair">
  <input name="amount" value="120"> <input name="approver" value="ann@shop.example">
  <button>Ask for approval</button>
</form>
<h1>Open</h1>
<ul>${rows.join('')}</ul>`;
}

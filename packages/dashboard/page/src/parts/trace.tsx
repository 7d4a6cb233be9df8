/** A link to the trace of a job, at the address that the option `traceUrl` says. */
import { useContext } from 'preact/hooks';
import { AppContext } from './action.js';
import { traceIdOf } from './trace-id.js';

export function TraceLink({ headers }: { readonly headers: Readonly<Record<string, string>> }) {
  const address = useContext(AppContext)?.traceUrl;
  const id = traceIdOf(headers);
  if (id === undefined) return <span class="dim">none</span>;
  if (address === undefined) return <code>{id}</code>;
  return (
    <a href={address.replaceAll('{traceId}', id)} target="_blank" rel="noreferrer">
      {id}
    </a>
  );
}

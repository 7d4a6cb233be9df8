/** A link to the trace of a job, at the address that the option `traceUrl` says. */
import { useContext } from 'preact/hooks';
import { AppContext } from './action.js';
import { traceIdOf } from './trace-id.js';

/** Returns the trace of a job; undefined if it has none. */
export function traceOf(headers: Readonly<Record<string, string>>) {
  const id = traceIdOf(headers);
  return id && <TraceLink id={id} />;
}

function TraceLink({ id }: { readonly id: string }) {
  const address = useContext(AppContext)?.traceUrl;
  if (address === undefined) return <code>{id}</code>;
  return (
    <a href={address.replaceAll('{traceId}', id)} target="_blank" rel="noreferrer">
      <code>{id}</code>
    </a>
  );
}

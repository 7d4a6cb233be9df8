/** A button that changes all failed jobs of a filter, after a preview of their number. */
import { useContext, useState } from 'preact/hooks';
import { act } from '../api.js';
import { plural } from '../format.js';
import { AppContext, Dialog, useSending } from './action.js';
import { Problem } from './parts.js';

interface Counts {
  readonly replayed?: number;
  readonly discarded?: number;
  readonly skipped: readonly { readonly id: string; readonly reason: string }[];
  readonly cursor?: string;
}

interface BulkProps {
  readonly action: string;
  readonly label: string;
  readonly filter: object;
  readonly isDangerous?: boolean;
  readonly onDone: () => void;
}

/** Changes all failed jobs that match, after it has shown how many these are. */
export function BulkAction({ action, label, filter, isDangerous, onDone }: BulkProps) {
  const app = useContext(AppContext);
  const [preview, setPreview] = useState<Counts>();
  const { error, setError, isBusy, run } = useSending();
  if (app?.actions.includes(action) !== true) return null;
  const send = (dryRun: boolean) =>
    run(async () => {
      const counts = await act<Counts>(action, { filter, dryRun });
      setPreview(dryRun ? counts : undefined);
      if (!dryRun) onDone();
    });
  const count = preview?.replayed ?? preview?.discarded ?? 0;
  const close = () => {
    setPreview(undefined);
    setError(undefined);
  };
  return (
    <>
      <button
        type="button"
        class={isDangerous ? 'danger' : ''}
        disabled={isBusy}
        onClick={() => void send(true)}
      >
        {label}
      </button>
      {(preview !== undefined || error !== undefined) && (
        <Dialog title={label} onClose={close}>
          <Problem error={error} />
          {preview !== undefined && (
            <>
              <p>
                {plural(count, 'job')} {isDangerous ? 'will be removed from the store' : 'will run again'}
                {preview.cursor !== undefined && ', then you can continue with the next ones'}.
              </p>
              {preview.skipped.length > 0 && (
                <p class="dim">
                  {plural(preview.skipped.length, 'job')} will be skipped, for instance:{' '}
                  {preview.skipped[0]?.reason}
                </p>
              )}
              <div class="actions end">
                <button type="button" onClick={close}>
                  Cancel
                </button>
                <button
                  type="button"
                  class={isDangerous ? 'danger solid' : 'solid'}
                  disabled={isBusy || count === 0}
                  onClick={() => void send(false)}
                >
                  {label}
                </button>
              </div>
            </>
          )}
        </Dialog>
      )}
    </>
  );
}

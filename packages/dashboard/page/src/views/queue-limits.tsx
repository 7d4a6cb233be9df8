/** The dialog for the limits of a queue: how many of its jobs run at a time, and how many start in a time. */
import { useContext, useState } from 'preact/hooks';
import { act } from '../api.js';
import { duration } from '../format.js';
import { AppContext, Dialog, useSending } from '../parts/action.js';
import { Problem } from '../parts/parts.js';
import { RATE_UNITS, rateTextOf } from '../parts/rate.js';
import type { Queue } from '../types.js';

interface LimitsProps {
  readonly queue: Queue;
  readonly onDone: () => void;
}

export function LimitsButton({ queue, onDone }: LimitsProps) {
  const app = useContext(AppContext);
  const [isOpen, setOpen] = useState(false);
  if (app?.actions.includes('queue.limit') !== true) return null;
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        Limits
      </button>
      {isOpen && <LimitsDialog queue={queue} onDone={onDone} onClose={() => setOpen(false)} />}
    </>
  );
}

function LimitsDialog({ queue, onDone, onClose }: LimitsProps & { readonly onClose: () => void }) {
  const { name, concurrency, rateLimit } = queue;
  const rate = rateLimit === null ? '' : rateTextOf(rateLimit);
  const [max = '', unit = 's'] = (rate ?? '').split('/');
  const before = { concurrency: concurrency === null ? '' : String(concurrency), max, unit: unit || 's' };
  const [texts, setTexts] = useState(before);
  const { error, isBusy, run } = useSending();
  const isRateChanged = texts.max !== before.max || (texts.max !== '' && texts.unit !== before.unit);
  const isConcurrencyChanged = texts.concurrency !== before.concurrency;
  const send = () =>
    run(async () => {
      await act('queue.limit', {
        id: name,
        ...(isConcurrencyChanged && {
          concurrency: texts.concurrency === '' ? null : Number(texts.concurrency),
        }),
        ...(isRateChanged && { rate: texts.max === '' ? null : `${texts.max}/${texts.unit}` }),
      });
      onClose();
      onDone();
    });
  const set = (field: keyof typeof texts) => (event: { currentTarget: { value: string } }) =>
    setTexts({ ...texts, [field]: event.currentTarget.value });
  return (
    <Dialog title={`Limits of ${name}`} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <p class="dim">They hold for all workers together. An empty field is no limit.</p>
        <label>
          Jobs that run at a time
          <input type="number" min={1} step={1} value={texts.concurrency} onInput={set('concurrency')} />
        </label>
        <div class="fields">
          <label>
            Jobs that start
            <input type="number" min={1} step={1} value={texts.max} onInput={set('max')} />
          </label>
          <label>
            in a
            <select value={texts.unit} onChange={set('unit')}>
              {RATE_UNITS.map(([key, text]) => (
                <option key={key} value={key}>
                  {text}
                </option>
              ))}
            </select>
          </label>
        </div>
        {rate === undefined && rateLimit !== null && (
          <p class="dim">
            Another program has set {rateLimit.max} in {duration(rateLimit.durationMs)}. It stays unless you
            type a number.
          </p>
        )}
        <Problem error={error} />
        <div class="actions end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="solid" disabled={isBusy || !(isRateChanged || isConcurrencyChanged)}>
            Set limits
          </button>
        </div>
      </form>
    </Dialog>
  );
}

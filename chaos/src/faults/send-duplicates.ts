import type { Fault } from './fault.js';

/** A workflow is sent again, fifty times at once, with the key that it was sent with. */
export function sendDuplicates(everyMs: Fault['everyMs']): Fault {
  return {
    name: 'send-duplicates',
    everyMs,
    async strike({ driver }, random) {
      if (driver.submitted === 0) return false;
      const index = random.below(driver.submitted);
      await driver.sendDuplicates(index - (index % 2)); // those have keys
      return true;
    },
  };
}

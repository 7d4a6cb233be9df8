/** What work costs, on a machine that has other work too. */

/** The processor time that this process has taken, in ms. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

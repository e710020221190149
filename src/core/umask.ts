/**
 * Runs a synchronous function under another umask. The umask is the process's, so files that other threads create meanwhile
 * get it, too. Those are in the data folder, which only the gate's user can enter.
 *
 * @param umask `undefined` leaves it as it is
 */
export function withUmask<T>(umask: number | undefined, run: () => T): T {
  if (umask === undefined) return run()
  const previous = process.umask(umask)
  try {
    return run()
  } finally {
    process.umask(previous)
  }
}

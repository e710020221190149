/**
 * Runs a synchronous function under another umask. The umask belongs to the whole process: files that other threads create
 * meanwhile get it, too. The gate's own are in its data folder, which only its user can enter.
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

/**
 * Seeds of random inputs. `npm test` takes these, so that it finds tomorrow what it finds today. `npm run test:hostile` takes a
 * new one; where it finds something it prints the seed: keep it here.
 */
export const KEPT_SEEDS: readonly number[] = [1]

/** A seed that nobody has tried yet. */
export const newSeed = (): number => Math.floor(Math.random() * 2 ** 31)

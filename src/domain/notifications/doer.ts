import type { By } from './notice.js'

/** Who made a change, in words. */
export function doer(by: By): string {
  switch (by.kind) {
    case 'owner':
      return by.ip === null ? 'yourself' : `yourself, from ${by.ip}`
    case 'account':
      return by.name
    case 'operator':
      return `${by.name}, on the command line of the server`
    case 'gate':
      return 'gitgate itself'
  }
}

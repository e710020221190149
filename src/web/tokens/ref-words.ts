import type { RefRule } from '../../domain/tokens/restriction.js'

const BRANCHES = 'refs/heads/'

/** A rule for refs as people read it: branches by their short names, and what it lets be done where that is not the usual. */
export function refWords({ pattern, verbs }: RefRule): { readonly pattern: string; readonly verbs: string } {
  const short = pattern.startsWith(BRANCHES) ? pattern.slice(BRANCHES.length) : pattern
  return {
    pattern: short,
    verbs: verbs.length < 2 ? verbs.join('') : `${verbs.slice(0, -1).join(', ')} and ${verbs.at(-1) ?? ''}`,
  }
}

import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'
import { parseRefPattern, checkRepositoryPattern, repositoryMatcher, wildcardMatcher } from '../../protocol/pattern.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'

/** What a push does to one ref. `force` is an update that isn't a fast-forward, and includes `update`. */
export type RefVerb = (typeof REF_VERBS)[number]

/** All verbs, in the order shown. */
export const REF_VERBS = ['create', 'update', 'force', 'delete'] as const

/** Allows a token some verbs on the refs that match a pattern. */
export type RefRule = { readonly pattern: string; readonly verbs: readonly RefVerb[] }

/**
 * The limits of a token besides its scopes. They only reduce what its account may do. Reading is limited by repository alone,
 * because a client that can read a repository can read all of it.
 */
export type Restrictions = {
  /** Patterns of the repositories that it can access; none: all that its account can access. */
  readonly repositories: readonly string[]
  /** What it may push; no rule: everything that its account may. */
  readonly refs: readonly RefRule[]
  /** The limits of the token that it was derived from, which apply as well. */
  readonly within: Restrictions | null
}

/** The limits on repositories. */
export type RepositoryLimits = Pick<Restrictions, 'repositories'> & { readonly within: RepositoryLimits | null }

/** The restrictions of a token that only its scopes limit. */
export const UNRESTRICTED: Restrictions = { repositories: [], refs: [], within: null }

const DEFAULT_VERBS: readonly RefVerb[] = ['create', 'update']
/** As many as anyone needs, and few enough to match against each ref of a push. */
const MAX_PATTERNS = 100
/** A push matches the same rules against each of its refs. */
const MATCHERS = new WeakMap<readonly RefRule[], readonly ReadyRule[]>()

type ReadyRule = Pick<RefRule, 'verbs'> & { readonly matches: (ref: string) => boolean }

/**
 * Parses restrictions as users type them.
 *
 * @param repositories patterns such as `team/*`
 * @param refs rules such as `agent/*` or `refs/tags/v*:create,delete`
 * @throws GitgateError `invalid`
 */
export function parseRestrictions(repositories: readonly string[], refs: readonly string[]): Restrictions {
  if (repositories.length > MAX_PATTERNS)
    throw new GitgateError('invalid', `a token can have at most ${MAX_PATTERNS} repository patterns`)
  if (refs.length > MAX_PATTERNS)
    throw new GitgateError('invalid', `a token can have at most ${MAX_PATTERNS} ref rules`)
  for (const pattern of repositories) checkRepositoryPattern(pattern)
  return { repositories: [...new Set(repositories)], refs: refs.map(parseRefRule), within: null }
}

/** A rule in the format of {@link parseRestrictions}. */
export function formatRefRule({ pattern, verbs }: RefRule): string {
  return `${pattern}:${verbs.join(',')}`
}

/** Restrictions in a few words; `-` if there are none. */
export function describeRestrictions({ repositories, refs, within }: Restrictions): string {
  const outer = within === null ? [] : [`(within ${describeRestrictions(within)})`]
  return [...repositories, ...refs.map(formatRefRule), ...outer].join(' ') || '-'
}

/** Whether there are any. */
export function isRestricted({ repositories, refs, within }: Restrictions): boolean {
  return repositories.length + refs.length > 0 || within !== null
}

/** Whether they limit repositories. */
export function limitsRepositories({ repositories, within }: Restrictions): boolean {
  return repositories.length > 0 || (within !== null && limitsRepositories(within))
}

/** Whether they limit refs. */
export function limitsRefs({ refs, within }: Restrictions): boolean {
  return refs.length > 0 || (within !== null && limitsRefs(within))
}

/** Whether a token with these restrictions can access a repository. */
export function reaches({ repositories, within }: Restrictions, path: RepositoryPath): boolean {
  const isOwn = repositories.length === 0 || repositories.some((pattern) => repositoryMatcher(pattern)(path))
  return isOwn && (within === null || reaches(within, path))
}

/** The verbs that the rules allow on a ref; empty if no rule matches it. */
export function verbsFor({ refs }: Restrictions, ref: string): ReadonlySet<RefVerb> {
  if (refs.length === 0) return new Set(REF_VERBS)
  const verbs = new Set(readyRules(refs).flatMap((rule) => (rule.matches(ref) ? rule.verbs : [])))
  if (verbs.has('force')) verbs.add('update')
  return verbs
}

function readyRules(refs: readonly RefRule[]): readonly ReadyRule[] {
  const known = MATCHERS.get(refs)
  if (known !== undefined) return known
  const ready = refs.map(({ pattern, verbs }) => ({ verbs, matches: wildcardMatcher(pattern) }))
  MATCHERS.set(refs, ready)
  return ready
}

function parseRefRule(text: string): RefRule {
  // Refs contain no colon.
  const colon = text.indexOf(':')
  if (colon === -1) return { pattern: parseRefPattern(text), verbs: DEFAULT_VERBS }
  const words = text.slice(colon + 1).split(',')
  const unknown = words.find((word) => !REF_VERBS.some((verb) => verb === word))
  if (unknown !== undefined) {
    throw new GitgateError(
      'invalid',
      `${unknown === '' ? 'a verb is missing after the colon' : `"${printable(unknown)}" is not a verb`}; the verbs are ${REF_VERBS.join(', ')}`,
    )
  }
  return { pattern: parseRefPattern(text.slice(0, colon)), verbs: REF_VERBS.filter((verb) => words.includes(verb)) }
}

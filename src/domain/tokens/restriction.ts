import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'
import { parseRefPattern, checkRepositoryPattern, repositoryMatcher, wildcardMatcher } from '../../protocol/pattern.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'

/** What a push does to one ref. `force` is an update that is no fast-forward; whoever may force may update, too. */
export type RefVerb = (typeof REF_VERBS)[number]

/** Every verb, in the order in which they are shown. */
export const REF_VERBS = ['create', 'update', 'force', 'delete'] as const

/** That a token may do something to the refs of a pattern. */
export type RefRule = { readonly pattern: string; readonly verbs: readonly RefVerb[] }

/**
 * What a token is limited to, beside its scopes. It only ever takes away of what its account may do; reading is limited by
 * repositories alone, since who reads a repository reads all of it.
 */
export type Restrictions = {
  /** Patterns of the repositories that it reaches; none: all that its account reaches. */
  readonly repositories: readonly string[]
  /** What it may push; no rule: whatever its account may. */
  readonly refs: readonly RefRule[]
  /** The limits of the token that it was derived from, which hold as well. */
  readonly within: Restrictions | null
}

/** Of limits, which repositories they leave. */
export type RepositoryLimits = Pick<Restrictions, 'repositories'> & { readonly within: RepositoryLimits | null }

/** Those of a token that is limited by nothing but its scopes. */
export const UNRESTRICTED: Restrictions = { repositories: [], refs: [], within: null }

const DEFAULT_VERBS: readonly RefVerb[] = ['create', 'update']
/** As many as anybody needs, and few enough to be compared with each ref of a push. */
const MAX_PATTERNS = 100
/** A push compares the same rules with each of its refs. */
const MATCHERS = new WeakMap<readonly RefRule[], readonly ReadyRule[]>()

type ReadyRule = Pick<RefRule, 'verbs'> & { readonly matches: (ref: string) => boolean }

/**
 * Reads restrictions as they are typed.
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

/** A rule as {@link parseRestrictions} reads it. */
export function formatRefRule({ pattern, verbs }: RefRule): string {
  return `${pattern}:${verbs.join(',')}`
}

/** Restrictions in a few words, for people; `-` where there are none. */
export function describeRestrictions({ repositories, refs, within }: Restrictions): string {
  const outer = within === null ? [] : [`(within ${describeRestrictions(within)})`]
  return [...repositories, ...refs.map(formatRefRule), ...outer].join(' ') || '-'
}

/** Whether there are any. */
export function isRestricted({ repositories, refs, within }: Restrictions): boolean {
  return repositories.length + refs.length > 0 || within !== null
}

/** Whether they are about repositories at all. */
export function limitsRepositories({ repositories, within }: Restrictions): boolean {
  return repositories.length > 0 || (within !== null && limitsRepositories(within))
}

/** Whether they are about refs at all. */
export function limitsRefs({ refs, within }: Restrictions): boolean {
  return refs.length > 0 || (within !== null && limitsRefs(within))
}

/** Whether a token of these restrictions reaches a repository at all. */
export function reaches({ repositories, within }: Restrictions, path: RepositoryPath): boolean {
  const isOwn = repositories.length === 0 || repositories.some((pattern) => repositoryMatcher(pattern)(path))
  return isOwn && (within === null || reaches(within, path))
}

/** What the rules let a token do to a ref; empty where no rule is about it. */
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
  // A ref holds no colon.
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

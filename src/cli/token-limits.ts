import type { Command } from 'commander'
import type { Budget } from '../domain/tokens/budget.js'
import { formatSize, parseBudget } from '../domain/tokens/budget.js'
import type { Restrictions } from '../domain/tokens/restriction.js'
import { describeRestrictions, formatRefRule, parseRestrictions } from '../domain/tokens/restriction.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'

/** The options that limit a new token. */
export type LimitOptions = { repo?: string[]; ref?: string[]; maxPushes?: string; maxPushBytes?: string }

/** Adds the options that limit a new token. */
export function addLimitOptions(command: Command): Command {
  return command
    .option('--repo <pattern>', 'reach these repositories only: team/app, team/*; may be repeated', gather)
    .option(
      '--ref <rule>',
      "push these refs only: 'agent/*' (branches; to create and update), 'refs/tags/v*:create,delete'; may be repeated",
      gather,
    )
    .option('--max-pushes <number>', 'so many pushes in all its life')
    .option('--max-push-bytes <size>', 'so much in all its pushes: 500k, 50M, 2G')
}

/** The limits that options ask for. @throws GitgateError `invalid` */
export function limitsOf({ repo = [], ref = [], maxPushes, maxPushBytes }: LimitOptions): {
  restrictions: Restrictions
  budget: Budget
} {
  return { restrictions: parseRestrictions(repo, ref), budget: parseBudget(maxPushes, maxPushBytes) }
}

/** A token's limits in a few words, for a table; `-` where there are none. */
export function describeLimits({ restrictions, budget }: PersonalAccessToken): string {
  const words = [
    describeRestrictions(restrictions),
    budget.pushes === null ? '-' : `${budget.pushes} pushes`,
    budget.bytes === null ? '-' : `${formatSize(budget.bytes)} of pushes`,
  ].filter((word) => word !== '-')
  return words.join(' ') || '-'
}

/** A token's limits, one a line. */
export function limitFields({ restrictions, budget, spent, parentId }: PersonalAccessToken): [string, string][] {
  const { repositories, refs, within } = restrictions
  return [
    ['Repositories', repositories.join(', ') || 'all that the account reaches'],
    ['May push', refs.map(formatRefRule).join(' ') || 'whatever the account may'],
    ...(budget.pushes === null ? [] : [['Pushes', `${spent.pushes} of ${budget.pushes}`] as [string, string]]),
    ...(budget.bytes === null
      ? []
      : [['Pushed', `${formatSize(spent.bytes)} of ${formatSize(budget.bytes)}`] as [string, string]]),
    ...(parentId === null ? [] : [['Derived from', `token ${parentId}`] as [string, string]]),
    ...(within === null ? [] : [['Within', describeRestrictions(within)] as [string, string]]),
  ]
}

function gather(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}

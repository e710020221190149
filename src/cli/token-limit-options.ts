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
    .option('--repo <pattern>', 'allow only these repositories: team/app, team/*; repeatable', collect)
    .option(
      '--ref <rule>',
      "allow pushes only to these refs: 'agent/*' (branches; create and update), 'refs/tags/v*:create,delete'; repeatable",
      collect,
    )
    .option('--max-pushes <number>', 'maximum number of pushes')
    .option('--max-push-bytes <size>', 'maximum size of all pushes together: 500k, 50M, 2G')
}

/** Parses the options that limit a token. @throws GitgateError `invalid` */
export function limitsOf({ repo = [], ref = [], maxPushes, maxPushBytes }: LimitOptions): {
  restrictions: Restrictions
  budget: Budget
} {
  return { restrictions: parseRestrictions(repo, ref), budget: parseBudget(maxPushes, maxPushBytes) }
}

/** A token's limits in a few words, for a table; `-` if there are none. */
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
    ['Repositories', repositories.join(', ') || 'all the account can read'],
    ['Push refs', refs.map(formatRefRule).join(' ') || 'all the account can push to'],
    ...(budget.pushes === null ? [] : [['Pushes', `${spent.pushes} of ${budget.pushes}`] as [string, string]]),
    ...(budget.bytes === null
      ? []
      : [['Pushed', `${formatSize(spent.bytes)} of ${formatSize(budget.bytes)}`] as [string, string]]),
    ...(parentId === null ? [] : [['Derived from', `token ${parentId}`] as [string, string]]),
    ...(within === null ? [] : [['Within', describeRestrictions(within)] as [string, string]]),
  ]
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}

import type { RefDecision } from '../../domain/access/decide.js'
import type { PushCommand, PushHead } from '../../protocol/push-head.js'
import { commandKind } from '../../protocol/push-head.js'
import type { PushReport, RefRefusal } from '../../protocol/push-report.js'
import { refusedRef, reportsStatus } from '../../protocol/push-report.js'
import { isBranch } from '../../protocol/pattern.js'

/** What is done with a push. */
export type PushPlan =
  /** All of it is allowed, and passes unchanged. */
  | { readonly kind: 'pass' }
  /** Nothing of it is allowed, for these reasons, one for each command; `reason` is the one that decided. */
  | { readonly kind: 'refuse'; readonly refusals: readonly RefRefusal[]; readonly reason: string }
  /** A part of it is allowed, or it is under a condition. */
  | { readonly kind: 'run'; readonly runs: readonly PushRun[]; readonly refusals: readonly RefRefusal[] }

/** One run of receive-pack. The second of a push brings no objects: the first has brought all. */
export type PushRun = {
  readonly commands: readonly PushCommand[]
  /** Commands that must be fast-forwards, each with the reason for when it is none; empty: no such condition. */
  readonly fastForwards: readonly RefRefusal[]
}

/**
 * Plans a push.
 *
 * @param decisions one for each command, in their order
 */
export function planPush(head: PushHead, decisions: readonly RefDecision[]): PushPlan {
  if (decisions.every(({ kind }) => kind === 'allow')) return { kind: 'pass' }
  const of = (kind: RefDecision['kind']): RefRefusal[] =>
    head.commands.flatMap((command, index) => {
      const decision = decisions[index]
      return decision?.kind === kind ? [{ command, reason: 'reason' in decision ? decision.reason : '' }] : []
    })
  const refused = of('refuse')
  const guarded = of('allow-fast-forward')
  const free = of('allow').map(({ command }) => command)
  const isAllOrNothing = head.isSigned || head.capabilities.has('atomic')

  if (guarded.length + free.length === 0) return refuseAll(head, refused, '')
  // Without a report, git takes an empty answer for success.
  if (!reportsStatus(head)) return refuseAll(head, [...refused, ...guarded], 'other refs of this push are refused')
  if (refused.length > 0 && isAllOrNothing) {
    const others = head.isSigned ? 'signed push holds a refused ref; nothing was changed' : 'atomic push failed'
    return refuseAll(head, refused, others)
  }
  // Git's own check is about the branches that are updated, all of them.
  const forceable = free.filter((command) => commandKind(command) === 'update' && isBranch(command.ref))
  if (guarded.length === 0) return { kind: 'run', runs: [{ commands: free, fastForwards: [] }], refusals: refused }
  const guardedCommands = guarded.map(({ command }) => command)
  if (forceable.length === 0) {
    const kept = new Set([...free, ...guardedCommands])
    const commands = head.commands.filter((command) => kept.has(command))
    return { kind: 'run', runs: [{ commands, fastForwards: guarded }], refusals: refused }
  }
  if (isAllOrNothing) {
    const kind = head.isSigned ? 'signed' : 'atomic'
    return refuseAll(head, [], `this ${kind} push mixes refs that may and may not be forced; push them apart`)
  }
  const runs = [
    { commands: free, fastForwards: [] },
    { commands: guardedCommands, fastForwards: guarded },
  ]
  return { kind: 'run', runs, refusals: refused }
}

function refuseAll(head: PushHead, reasons: readonly RefRefusal[], otherwise: string): PushPlan {
  const known = new Map(reasons.map(({ command, reason }) => [command, reason]))
  const refusals = head.commands.map((command) => ({ command, reason: known.get(command) ?? otherwise }))
  return { kind: 'refuse', refusals, reason: reasons[0]?.reason ?? otherwise }
}

/** A report of one run of a push, in which none of its refs was changed. */
export function failedReport({ commands }: PushRun, reason: string): PushReport {
  const lines = commands.map(({ refBytes }) =>
    Buffer.concat([Buffer.from('ng '), refBytes, Buffer.from(` ${reason}\n`)]),
  )
  return { unpack: 'ok', lines }
}

/** The reports of all runs as one, with our refusals, and with our reasons for what git calls a non-fast-forward. */
export function mergeReports(
  reports: readonly PushReport[],
  { runs, refusals }: PushPlan & { readonly kind: 'run' },
): { readonly report: PushReport; readonly refusals: readonly RefRefusal[] } {
  const guarded = new Map(
    runs.flatMap(({ fastForwards }) =>
      fastForwards.map((refusal) => [refusal.command.refBytes.toString('latin1'), refusal]),
    ),
  )
  const forced: RefRefusal[] = []
  const lines = reports
    .flatMap((report) => report.lines)
    .filter((line) => {
      const { ref = '', reason } = refusedRef(line) ?? {}
      const refusal = reason === 'non-fast-forward' ? guarded.get(ref) : undefined
      if (refusal !== undefined) forced.push(refusal)
      return refusal === undefined
    })
  const unpack = reports.find((report) => report.unpack !== 'ok')?.unpack ?? 'ok'
  return { report: { unpack, lines }, refusals: [...refusals, ...forced] }
}

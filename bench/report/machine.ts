import { spawnSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'

/** What the figures depend on. */
export type Machine = {
  readonly processor: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  /** Load of the minute before the run: anything near the cores, and the walls are worth little. */
  readonly loadBefore: number
  readonly node: string
  readonly git: string
  readonly nginx: string
  readonly apache: string
  /** The commit that was measured; with `+` where files were changed. */
  readonly commit: string
  /** ISO 8601, UTC. */
  readonly begun: string
}

export function readMachine(now: Date): Machine {
  const [first] = cpus()
  return {
    processor: first?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release().split('-')[0] ?? '',
    loadBefore: loadavg()[0] ?? 0,
    node: process.version,
    git: said('git', '--version').replace('git version ', ''),
    nginx: said('/usr/sbin/nginx', '-v').replace('nginx version: ', ''),
    apache: said('/usr/sbin/apache2', '-v')
      .replace('Server version: ', '')
      .replace(/\n[\s\S]*/, ''),
    commit: readCommit(import.meta.dirname),
    begun: now.toISOString(),
  }
}

/** The commit of a checkout; with `+` where files were changed. */
export function readCommit(folder: string): string {
  const git = (...args: readonly string[]): string => said('git', '-C', folder, ...args)
  return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '-uno') === '' ? '' : '+'}`
}

/** What a program prints; servers print their version to standard error. */
function said(program: string, ...args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', cwd: import.meta.dirname })
  return (stdout || stderr || '').trim()
}

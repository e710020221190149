import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** A disk that can be filled up. */
export type SmallDisk = {
  readonly folder: string
  /** Leaves not a byte free. */
  fill(): void
  /** Makes room again. */
  clear(): void
}

/** Whether a test must be skipped because this user may not mount; CI fails on any skip. */
export function requireMount(): false | string {
  const folder = mkdtempSync(join(tmpdir(), 'gitgate-mount-'))
  try {
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder], { stdio: 'ignore' })
    if (status === 0) execFileSync('umount', [folder])
    return status === 0 ? false : 'needs the right to mount a tmpfs'
  } finally {
    rmdirSync(folder)
  }
}

/** Mounts a small tmpfs, which goes with the test. */
export function smallDisk(t: Test, mebibytes: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'gitgate-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder])
  // Lazily: a process that the test has killed may not be gone yet.
  t.teardown(() => {
    execFileSync('umount', ['--lazy', folder])
    rmdirSync(folder)
  })
  const ballast = join(folder, 'ballast')
  return {
    folder,
    fill() {
      for (const piece of [Buffer.alloc(65_536), Buffer.alloc(1)]) {
        try {
          for (;;) appendFileSync(ballast, piece)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
        }
      }
    },
    clear: () => rmSync(ballast, { force: true }),
  }
}

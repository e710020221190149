// Requests to upload-pack as Git 2.39.5 and isomorphic-git 1.44 sent them over HTTP, for the repository created below.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodePktLine } from '../../../src/protocol/pkt-line.js'
import type { UploadPackRequest } from '../../../src/git/cache/upload-pack-request.js'
import { parseUploadPackRequest } from '../../../src/git/cache/upload-pack-request.js'

/** The tips of the repository's two branches and its tag, by SHA-1. */
export const MAIN = '64d096ded92aedb63d351abc3b927d5feb4851bf'
export const SIDE = '062fb0f09c92fd21325aae86a3f5b6668b23b825'
export const TAG = '1c01b5fa7a81b3510bdd932a007f5cab6ae9ce92'

// Git accepts no date of fewer than nine digits.
const START = 1_700_000_000

export type Captured = {
  /** The client's command; `(2)` marks the second request of the same command. */
  readonly client: string
  /** The request, as {@link describe} describes it. */
  readonly asks: string
  /** Its packets, between bars; `0000` and `0001` stand for themselves. */
  readonly packets: string
}

/** Encodes packets that are separated by bars. */
export function encode(packets: string): Buffer {
  return Buffer.concat(
    packets.split('|').map((packet) => (/^000[012]$/.test(packet) ? Buffer.from(packet) : encodePktLine(packet))),
  )
}

/** Parses packets as a request of a protocol version. */
export function ask(packets: string, version: number): UploadPackRequest {
  return parseUploadPackRequest(encode(packets), version === 0 ? undefined : `version=${version}`)
}

/** The key of a request, or `uncacheable`. */
export function keyIn(request: UploadPackRequest): string {
  return request.kind === 'uncacheable' ? request.kind : request.key
}

/** Everything but the key, as text. */
export function describe(request: UploadPackRequest): string {
  if (request.kind !== 'fetch') return request.kind
  const { tags, allRefs } = request.dependsOn
  const words = [tags && 'tags', allRefs && 'all-refs', !request.isStorable && 'not-storable']
  return [request.shape, ...words.filter((word) => word !== false)].join(' ')
}

/** Creates the repository of the requests. Its commits have the same IDs everywhere. */
export function makeRepository(folder: string, format: 'sha1' | 'sha256'): string {
  const repository = join(folder, format)
  const git = (date: number, ...args: readonly string[]): void => {
    const who = { NAME: 'A', EMAIL: 'a@example.org', DATE: `${date} +0000` }
    const people = ['AUTHOR', 'COMMITTER'].flatMap((role) =>
      Object.entries(who).map(([name, value]) => [`GIT_${role}_${name}`, value]),
    )
    const env = { PATH: process.env['PATH'], GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' }
    execFileSync('git', args, { cwd: repository, env: { ...env, ...(Object.fromEntries(people) as typeof env) } })
  }
  mkdirSync(join(repository, 'd'), { recursive: true })
  git(START, 'init', '-q', '-b', 'main', `--object-format=${format}`)
  const commit = (date: number, message: string, files: Readonly<Record<string, string>>): void => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(repository, name), text)
    git(date, 'add', '.')
    git(date, 'commit', '-qm', message)
  }
  let text = ''
  for (let i = 1; i <= 6; i++) {
    text += `line ${i}\n`
    commit(START + i, `commit ${i}`, { 'a.txt': text, [`d/${i}.txt`]: `${i}\n` })
    if (i === 2) git(START + i, 'tag', '-a', 'v1', '-m', 'v1')
    if (i === 3) git(START + i, 'branch', 'side')
  }
  git(START, 'checkout', '-q', 'side')
  commit(START + 6, 'side', { 'side.txt': 'side\n' })
  git(START, 'checkout', '-q', 'main')
  const settings = ['uploadpack.allowFilter', 'uploadpack.allowAnySHA1InWant', 'transfer.advertiseSID']
  for (const setting of settings) git(START, 'config', setting, 'true')
  return join(repository, '.git')
}

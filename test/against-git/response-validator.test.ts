// Whether a response is complete: those of the git that is installed, and those that must not be cached.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { encodePktLine, FLUSH } from '../../src/protocol/pkt-line.js'
import type { Completeness, ResponseShape } from '../../src/git/cache/response-validator.js'
import { ResponseValidator } from '../../src/git/cache/response-validator.js'
import { VERSION_0 } from '../git/cache/captured-v0.js'
import { VERSION_2 } from '../git/cache/captured-v2.js'
import { ask, encode, MAIN, makeRepository, SIDE } from '../git/cache/captured.js'

const folder = mkdtempSync(join(tmpdir(), 'gitgate-validator-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const repositories = { sha1: makeRepository(folder, 'sha1'), sha256: makeRepository(folder, 'sha256') }

function follow(shape: ResponseShape, ...pieces: readonly Buffer[]): Completeness {
  const validator = new ResponseValidator(shape)
  for (const piece of pieces) validator.push(piece)
  return validator.completeness
}

/** What git answers. @param request `undefined` for the advertisement */
function answerOf(version: number, format: 'sha1' | 'sha256', request: Buffer | undefined): Buffer {
  const args = ['upload-pack', '--stateless-rpc', ...(request === undefined ? ['--advertise-refs'] : [])]
  return execFileSync('git', [...args, repositories[format]], {
    input: request ?? '',
    env: {
      PATH: process.env['PATH'],
      GIT_PROTOCOL: `version=${version}`,
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_NOSYSTEM: '1',
    },
  })
}

/** The ends at which an answer that was cut off there would be taken for complete or for uncacheable. */
function wrongEnds(shape: ResponseShape, answer: Buffer): number[] {
  const validator = new ResponseValidator(shape)
  const wrong: number[] = []
  for (let end = 0; end < answer.length; end++) {
    if (validator.completeness !== 'incomplete') wrong.push(end)
    validator.push(answer.subarray(end, end + 1))
  }
  return validator.completeness === 'complete' ? wrong : [...wrong, answer.length]
}

t.test('a response of git is complete at its end, and nowhere before', async (t) => {
  for (const version of [0, 1, 2]) {
    for (const { client, packets } of version === 2 ? VERSION_2 : VERSION_0) {
      const request = ask(packets, version)
      if (request.kind === 'uncacheable') continue
      const shape = request.kind === 'refs' ? 'refs' : request.shape
      const answer = answerOf(version, client.includes('sha256') ? 'sha256' : 'sha1', encode(packets))
      t.strictSame([follow(shape, answer), wrongEnds(shape, answer)], ['complete', []], `${client}, version ${version}`)
      t.equal(follow(shape, answer, FLUSH), 'uncacheable', 'and more')
    }
  }
})

t.test('an advertisement of git is complete at its end, with the service line before it and without', async (t) => {
  const service = Buffer.concat([encodePktLine('# service=git-upload-pack\n'), FLUSH])
  for (const version of [0, 1, 2]) {
    const answer = answerOf(version, 'sha1', undefined)
    for (const whole of [answer, Buffer.concat([service, answer])]) {
      t.strictSame(wrongEnds('advertisement', whole), [], `version ${version}`)
    }
  }
})

t.test('an error response is uncacheable', async (t) => {
  const missing = 'f'.repeat(40)
  for (const version of [0, 2]) {
    const { packets } = (version === 2 ? VERSION_2 : VERSION_0).find(({ asks }) => asks.endsWith('-pack')) ?? {}
    const request = ask((packets ?? '').replaceAll(MAIN, missing), version)
    if (request.kind !== 'fetch') throw new Error('it is a fetch')
    t.equal(follow(request.shape, encode(`ERR upload-pack: not our ref ${missing}`)), 'uncacheable')
  }
})

const LIST = `acknowledgments\n|ACK ${SIDE}\n|`
const SHALLOW = `shallow ${MAIN}|`
const TABLE: readonly (readonly [shape: ResponseShape, answer: string, completeness: Completeness])[] = [
  ['refs', '0000', 'complete'],
  ['refs', 'unborn HEAD symref-target:refs/heads/main\n|0000', 'complete'],
  ['refs', `${MAIN} refs/heads/main\n|ERR no\n|0000`, 'uncacheable'],
  ['refs', '0001', 'uncacheable'],
  ['refs', '0002', 'uncacheable'],
  ['advertisement', '0000', 'uncacheable'],
  ['advertisement', '# service=git-upload-pack\n|0000', 'incomplete'],
  ['advertisement', '# service=git-upload-pack\n|0000|0000', 'uncacheable'],
  ['advertisement', '# service=git-upload-pack\n|version 2\n|0000', 'uncacheable'],
  ['advertisement', '# service=git-upload-pack\n|0000|ERR no\n|0000', 'uncacheable'],
  ['v2-pack', 'packfile\n|\x01PACK|0000', 'complete'],
  ['v2-pack', 'packfile\n|\x02words|\x01PACK|\x02words|\x01|0000', 'complete'],
  ['v2-pack', `shallow-info\n|${SHALLOW}un${SHALLOW}0001|packfile\n|\x01PACK|0000`, 'complete'],
  ['v2-pack', `${LIST}ready\n|0001|packfile\n|\x01PACK|0000`, 'complete'],
  ['v2-pack', `${LIST}0000`, 'uncacheable'],
  ['v2-pack', '0000', 'uncacheable'],
  ['v2-pack', 'packfile\n|0000', 'uncacheable'],
  ['v2-pack', 'packfile\n|\x01|\x02words|0000', 'uncacheable'],
  ['v2-pack', 'packfile\n|\x01PACK|\x03fatal|0000', 'uncacheable'],
  ['v2-pack', 'packfile\n|\x01PACK|\x03', 'uncacheable'],
  ['v2-pack', 'packfile\n|\x01PACK|ERR no\n|0000', 'uncacheable'],
  ['v2-pack', 'packfile\n|\x01PACK||0000', 'uncacheable'],
  ['v2-pack', 'packfile\n|\x01PACK|0001', 'uncacheable'],
  ['v2-pack', 'packfile\n|\x01PACK|0000|0000', 'uncacheable'],
  ['v2-pack', 'packfile\n\n|\x01PACK|0000', 'uncacheable'],
  ['v2-pack', 'acknowledgments\nx|NAK\n|0001|packfile\n|\x01PACK|0000', 'uncacheable'],
  ['v2-pack', 'wanted-refs\n|0001|packfile\n|\x01PACK|0000', 'uncacheable'],
  ['v2-pack', 'packfile-uris\n|0001|packfile\n|\x01PACK|0000', 'uncacheable'],
  ['v2-pack', 'toString|\x01PACK|0000', 'uncacheable'],
  ['v2-pack', 'ERR upload-pack: not our ref', 'uncacheable'],
  ['v2-round', `${LIST}0000`, 'complete'],
  ['v2-round', 'acknowledgments\n|NAK\n|0000', 'complete'],
  ['v2-round', `${LIST}ready\n|0001|shallow-info\n|${SHALLOW}0001|packfile\n|\x01PACK|0000`, 'complete'],
  ['v2-round', `${LIST}ready\n|0000`, 'uncacheable'],
  ['v2-round', `${LIST}ready\n|0001|0000`, 'uncacheable'],
  ['v2-round', `${LIST}ready\n|0001|acknowledgments\n|NAK\n|0000`, 'uncacheable'],
  ['v2-round', `${LIST}ERR no|0000`, 'uncacheable'],
  ['v0-pack', 'NAK\n|\x01PACK|0000', 'complete'],
  ['v0-pack', `ACK ${MAIN} common\n|ACK ${MAIN}\n|\x02words|\x01PACK|0000`, 'complete'],
  ['v0-pack', `${SHALLOW}0000|NAK\n|\x01|\x01PACK|0000`, 'complete'],
  ['v0-pack', '0000|NAK\n|\x01PACK|0000', 'complete'],
  ['v0-pack', `${SHALLOW}0000`, 'incomplete'],
  ['v0-pack', `${SHALLOW}NAK\n|\x01PACK|0000`, 'uncacheable'],
  ['v0-pack', `${SHALLOW}0000|0000|NAK\n|\x01PACK|0000`, 'uncacheable'],
  ['v0-pack', 'NAK\n|PACK', 'uncacheable'],
  ['v0-pack', 'NAK\n|0000', 'uncacheable'],
  ['v0-pack', 'NAK\n|\x01|0000', 'uncacheable'],
  ['v0-pack', 'NAK\n|\x01PACK|NAK\n|0000', 'uncacheable'],
  ['v0-pack', 'NAK\n|\x01PACK|\x03fatal|0000', 'uncacheable'],
  ['v0-pack', '\x01PACK|0000', 'uncacheable'],
  ['v0-pack', 'ERR no', 'uncacheable'],
  ['v0-depth', `${SHALLOW}0000`, 'complete'],
  ['v0-depth', '0000', 'complete'],
  ['v0-depth', `${SHALLOW}0000|NAK\n`, 'uncacheable'],
  ['v0-depth', 'ERR no', 'uncacheable'],
]

t.test('an answer is whole if it is built as it must be, and holds no error', async (t) => {
  for (const [shape, packets, completeness] of TABLE) {
    const answer = encode(packets)
    t.equal(follow(shape, answer), completeness, `${shape}: ${JSON.stringify(packets)}`)
    t.equal(follow(shape, ...Array.from(answer, (byte) => Buffer.from([byte]))), completeness, 'byte by byte')
  }
})

t.test('an invalid length is uncacheable', async (t) => {
  for (const length of ['0003', 'xxxx', 'fff5', '-001', '000g'])
    t.equal(follow('refs', Buffer.from(length)), 'uncacheable', length)
})

// What a client reads when the gate puts messages into a response, over real sockets.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import t from 'tap'
import type { RequestContext } from '../../../src/core/http.js'
import { GitResponse } from '../../../src/git/http/git-response.js'
import type { GitRequest } from '../../../src/protocol/git-request.js'
import { encodePktLine } from '../../../src/protocol/pkt-line.js'
import { PushHeadParser } from '../../../src/protocol/push-head.js'
import type { RepositoryPath } from '../../../src/protocol/repository-path.js'
import { pushResponseFormat, BAND, encodeBand, encodeProgress } from '../../../src/protocol/side-band.js'
import { http } from '../../acceptance/http-client.js'
import { command, encodeHead } from '../../protocol/push-bytes.js'

const PUSH: GitRequest = { repository: 'team/app' as RepositoryPath, service: 'git-receive-pack', phase: 'rpc' }
const QUEUE = { running: 1, waiting: 2 }

function headOf(capabilities: string) {
  const parsed = new PushHeadParser().push(encodeHead({ commands: [command('refs/heads/main')], capabilities }))
  if (parsed.kind !== 'head') throw new Error(parsed.kind)
  return parsed.head
}

/** Responds to one push with these capabilities. @returns what the client reads, and whether the backend was aborted */
async function respond(t: Test, capabilities: string, work: (response: GitResponse) => void, message?: string) {
  let isAborted = false
  const server = createServer((request, response) => {
    const context = { request, response } as unknown as RequestContext
    const gitResponse = new GitResponse(context, PUSH)
    const head = headOf(capabilities)
    const format = pushResponseFormat(head)
    gitResponse.expectReport(head)
    if (format !== undefined) gitResponse.multiplex(format, message)
    gitResponse.signal.addEventListener('abort', () => (isAborted = true))
    work(gitResponse)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
  const { port } = server.address() as AddressInfo
  const { body } = await http(`http://127.0.0.1:${port}`, '/', { method: 'POST', body: 'a pack' })
  return { body, isAborted: () => isAborted }
}

t.test('before the backend responds, a push is refused in its report', async (t) => {
  const { body, isAborted } = await respond(t, ' report-status side-band-64k', (response) => {
    t.ok(response.endWith('it was revoked'))
  })
  t.match(body, encodeProgress('it was revoked', 'side-band-64k').toString())
  t.match(body, 'ng refs/heads/main it was revoked')
  t.ok(isAborted())
})

t.test('once the response has begun, the push ends with an error message', async (t) => {
  const hook = encodeProgress('from a hook', 'side-band-64k')
  const { body, isAborted } = await respond(t, ' report-status side-band-64k', (response) => {
    response.begin().write(hook)
    t.ok(response.endWith('it was revoked'))
    response.begin().write(hook)
  })
  const error = encodeBand(BAND.fatal, Buffer.from('it was revoked\n'), 'side-band-64k')
  t.equal(body, Buffer.concat([hook, error]).toString())
  t.ok(isAborted())
})

t.test('a response that is not multiplexed has no place for a message once it has begun', async (t) => {
  const { body } = await respond(t, ' report-status', (response) => {
    response.begin().write(encodePktLine('unpack ok\n'))
    t.notOk(response.endWith('it was revoked'))
    response.end()
  })
  t.equal(body, '000eunpack ok\n')
})

t.test('a client without reports gets no message before it begins', async (t) => {
  const { body } = await respond(t, '', (response) => {
    t.notOk(response.endWith('it was revoked'))
    response.begin().end('nothing')
  })
  t.equal(body, 'nothing')
})

t.test('a client that waits sees the queue after the message, and then the response', async (t) => {
  const packet = encodeBand(BAND.answer, Buffer.from('the report'), 'side-band-64k')
  const work = (response: GitResponse) => {
    response.onQueued(QUEUE)
    response.begin({ contentLength: packet.length }).write(packet)
    // The second run of a push waits, too.
    response.onQueued(QUEUE)
    response.end()
  }
  const { body } = await respond(t, ' report-status side-band-64k', work, 'ends tomorrow')
  const waiting = encodeProgress('Waiting for a slot: 1 request running, 2 waiting.', 'side-band-64k')
  const message = encodeProgress('ends tomorrow', 'side-band-64k')
  t.equal(body, Buffer.concat([message, waiting, packet]).toString())
})

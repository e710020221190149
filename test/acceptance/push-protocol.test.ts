// What a refused ref looks like in every form that the protocol has, byte by byte.
import t from 'tap'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import { requireProgram } from './programs.js'
import { ONLY, populate, ZERO } from './pushes.js'

/** The report in an answer, with its packets' lengths taken away. */
function reportOf(body: string, isMultiplexed: boolean): string {
  const bytes = Buffer.from(body, 'utf8')
  let [at, report] = [0, '']
  while (isMultiplexed && at < bytes.length) {
    const length = Math.max(Number.parseInt(bytes.toString('latin1', at, at + 4), 16), 4)
    if (bytes[at + 4] === 1 && length > 4) report += bytes.toString('latin1', at + 5, at + length)
    at += length
  }
  const lines: string[] = []
  const text = isMultiplexed ? report : bytes.toString('latin1')
  for (let i = 0; i < text.length;) {
    const length = Math.max(Number.parseInt(text.slice(i, i + 4), 16), 4)
    lines.push(text.slice(i + 4, i + length).trimEnd())
    i += length
  }
  return lines.join('|')
}

for (const kind of [embedded, nginx]) {
  t.test(kind.name, { skip: requireProgram(...kind.programs) }, async (t) => {
    t.setTimeout(120_000)

    await t.test('a mixed push, in each form', async (t) => {
      const { post, old, next, refs, sound } = await populate(t, kind)
      let number = 0
      for (const status of ['report-status', 'report-status-v2']) {
        for (const band of ['', ' side-band', ' side-band-64k']) {
          for (const encoding of ['plain', 'chunked', 'gzip']) {
            const ref = `refs/heads/agent/${number++}`
            const lines = [`${old} ${next} refs/heads/main`, `${ZERO} ${next} ${ref}`]
            const answer = await post(lines, ` ${status}${band} object-format=sha1`, encoding)
            const name = `${status}${band} ${encoding}`
            t.equal(answer.status, 200, name)
            t.equal(
              reportOf(answer.body, band.endsWith('64k')),
              `unpack ok|ng refs/heads/main ${ONLY}|ok ${ref}|`,
              name,
            )
            t.match(await refs(), `${ref} ${next}`)
          }
        }
      }
      t.match(await refs(), `refs/heads/main ${old}`)
      t.equal(await sound(), '')
    })

    await t.test('nothing that is allowed, atomic, and only deletions left', async (t) => {
      const { post, old, next, refs, sound } = await populate(t, kind)
      const main = `${old} ${next} refs/heads/main`
      for (const encoding of ['plain', 'chunked', 'gzip']) {
        const caps = ' report-status side-band-64k'
        t.equal(reportOf((await post([main], caps, encoding)).body, true), `unpack ok|ng refs/heads/main ${ONLY}|`)
        const atomic = await post([main, `${ZERO} ${next} refs/heads/agent/1`], `${caps} atomic`, encoding)
        t.equal(
          reportOf(atomic.body, true),
          `unpack ok|ng refs/heads/main ${ONLY}|ng refs/heads/agent/1 atomic push failed|`,
        )
        await post([`${ZERO} ${next} refs/heads/agent/gone`], caps)
        const deletion = await post([main, `${next} ${ZERO} refs/heads/agent/gone`], caps, encoding)
        t.equal(
          reportOf(deletion.body, true),
          `unpack ok|ng refs/heads/main ${ONLY}|ok refs/heads/agent/gone|`,
          encoding,
        )
        t.equal(await refs(), `refs/heads/main ${old}`)
      }
      t.equal(await sound(), '')
    })

    await t.test('a client that takes no report is refused, and never told of success', async (t) => {
      const { post, old, next, refs } = await populate(t, kind)
      const lines = [`${old} ${next} refs/heads/main`, `${ZERO} ${next} refs/heads/agent/1`]
      const banded = await post(lines, ' side-band-64k')
      t.match(banded.body, `\x03push refused: ${ONLY}`)
      const bare = await post(lines, ' ofs-delta')
      t.equal(bare.status, 403)
      t.match(bare.body, `You are not allowed to push this: ${ONLY}.`)
      t.equal(await refs(), `refs/heads/main ${old}`)
    })

    await t.test('a signed push is all or nothing', async (t) => {
      const { post, old, next, refs } = await populate(t, kind)
      const certificate = (...commands: string[]) => [
        'push-cert',
        'certificate version 0.1\n',
        'pusher alice <alice@example.com> 1700000000 +0000\n',
        'pushee http://gate/team/app.git\n',
        '\n',
        ...commands.map((command) => `${command}\n`),
        '-----BEGIN PGP SIGNATURE-----\n',
        'not a signature\n',
        '-----END PGP SIGNATURE-----\n',
        'push-cert-end\n',
      ]
      const mixed = certificate(`${old} ${next} refs/heads/main`, `${ZERO} ${next} refs/heads/agent/1`)
      t.equal(
        reportOf((await post(mixed, ' report-status side-band-64k')).body, true),
        `unpack ok|ng refs/heads/main ${ONLY}|ng refs/heads/agent/1 signed push holds a refused ref; nothing was changed|`,
      )
      t.equal(await refs(), `refs/heads/main ${old}`)
      const allowed = await post(certificate(`${ZERO} ${next} refs/heads/agent/1`), ' report-status side-band-64k')
      t.equal(reportOf(allowed.body, true), 'unpack ok|ok refs/heads/agent/1|')
    })

    await t.test('commands that git would read otherwise than they look are refused', async (t) => {
      const { post, old, next, refs } = await populate(t, kind)
      const bad: string[][] = [
        [`${ZERO} ${next} refs/heads/agent/1`, `${old} ${next} refs/heads/main\0 report-status`],
        [`${ZERO} ${next} refs/heads/agent/1\0\0`],
        [`${ZERO} ${next.toUpperCase()} refs/heads/agent/1`],
        [`${ZERO} ${next} refs/heads/agent/1`, `${ZERO} ${next} refs/heads/agent/1`],
        [`${ZERO} ${next} HEAD`],
      ]
      for (const lines of bad) t.equal((await post(lines, ' report-status')).status, 400, lines.join(' '))
      t.equal(await refs(), `refs/heads/main ${old}`)
    })
  })
}

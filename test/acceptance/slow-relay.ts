import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import type { Test } from 'tap'

/**
 * A port that passes everything on, and the bytes from one side slowly.
 *
 * @param isInTime the end of the slowness: on a busy machine, what is already under way takes longer than the gate waits
 */
export async function slowRelay(
  t: Test,
  target: string,
  slow: 'client' | 'server',
  isInTime: () => boolean = () => false,
): Promise<string> {
  const { hostname, port } = new URL(target)
  // Half open: a gate that closes its side after an early answer still reads, and so must the relay.
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port: Number(port), host: hostname, allowHalfOpen: true })
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      const isSlow = from === (slow === 'client' ? client : upstream)
      from.on('error', () => to.destroy()).on('end', () => to.end())
      from.on('close', () => to.destroy())
      from.on('data', (chunk: Buffer) => {
        to.write(chunk)
        if (!isSlow || chunk.length < 4_096 || isInTime()) return
        from.pause()
        setTimeout(() => from.resume(), 6)
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

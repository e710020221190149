import { connect } from 'node:net'

const TIMEOUT = 2_000

/** Whether an upstream takes connections now. Says nothing about what it answers. */
export async function isReachable(url: URL): Promise<boolean> {
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return await new Promise((resolve) => {
    const socket = connect({ host, port, timeout: TIMEOUT })
    const finish = (answer: boolean) => (): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.on('connect', finish(true)).on('error', finish(false)).on('timeout', finish(false))
  })
}

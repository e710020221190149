/** A mail as its reader sees it. */
export type Mail = {
  readonly recipients: readonly string[]
  readonly subject: string
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly text: string
  readonly html: string
  /** Its bytes, as latin1. */
  readonly raw: string
}

/** Reads a mail of two parts (RFC 2045, 2046, 2047). */
export function readMail(raw: string, recipients: readonly string[]): Mail {
  const [headers, body] = split(raw)
  const boundary = /boundary="([^"]+)"/.exec(headers.get('content-type') ?? '')?.[1] ?? ''
  const parts = body.split(`--${boundary}`).slice(1, -1).map(split)
  const part = (type: string): string => {
    const [partHeaders, text] = parts.find(([found]) => found.get('content-type')?.startsWith(type) === true) ?? []
    return text === undefined ? '' : decode(text, partHeaders?.get('content-transfer-encoding') ?? '7bit')
  }
  const subject = decodeWords(headers.get('subject') ?? '')
  return { recipients, subject, headers, text: part('text/plain'), html: part('text/html'), raw }
}

function split(text: string): [Map<string, string>, string] {
  const end = text.indexOf('\r\n\r\n')
  const lines = text
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, ' ')
    .trim()
    .split('\r\n')
  const headers = lines.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
  })
  return [new Map(headers), text.slice(end + 4)]
}

function decode(body: string, encoding: string): string {
  const bytes = encoding === 'base64' ? Buffer.from(body, 'base64') : Buffer.from(unquote(body, encoding), 'latin1')
  return bytes.toString('utf8').replaceAll('\r\n', '\n')
}

function unquote(body: string, encoding: string): string {
  if (encoding !== 'quoted-printable') return body
  return body
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
}

function decodeWords(header: string): string {
  return header
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?utf-8\?([BQ])\?([^?]*)\?=/gi, (_, form: string, text: string) =>
      form.toUpperCase() === 'B'
        ? Buffer.from(text, 'base64').toString('utf8')
        : Buffer.from(unquote(text.replaceAll('_', ' '), 'quoted-printable'), 'latin1').toString('utf8'),
    )
}

import type { HttpAnswer, HttpOptions } from '../acceptance/http-client.js'
import { mask } from './recording.js'

/** A request and its response, as recordings hold them: all but the first line is indented, so that diffs name the request. */
export function httpText(target: string, options: HttpOptions, answer: HttpAnswer): string {
  const { method = 'GET', user = '', password, headers = {}, body } = options
  const sent = [
    ...(password === undefined ? [] : [`Authorization: Basic ${user}:${password}`]),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body === undefined ? [] : [body.toString()]),
  ]
  const lines = [...sent.map(mask), ...responseLines(answer)].flatMap((line) => line.split('\n'))
  return [mask(`${method} ${target}`), ...lines.map((line) => (line === '' ? '' : `  ${line}`)), ''].join('\n')
}

/** Status, headers by name, body. */
function responseLines({ status, headers, body }: HttpAnswer): string[] {
  const type = String(headers['content-type'])
  const text = Buffer.from(body, 'latin1').toString('utf8')
  const shown = mask(type.startsWith('application/x-git-') ? packetLines(body) : isJson(type) ? pretty(text) : text)
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((one) => `${name}: ${headerText(name, one, isVolatile(text))}`),
  )
  return [`HTTP ${status}`, ...lines.sort(), ...(shown === '' ? [] : ['', shown.trimEnd()])]
}

function headerText(name: string, value: string, isBodyVolatile: boolean): string {
  if (name === 'date') return '<date>'
  return name === 'content-length' && isBodyVolatile ? '<length>' : mask(value)
}

/** Whether a body's length may differ from run to run. */
function isVolatile(text: string): boolean {
  return mask(text) !== text
}

function isJson(type: string): boolean {
  return type.startsWith('application/json')
}

function pretty(text: string): string {
  return text === '' ? '' : JSON.stringify(JSON.parse(text), undefined, 2)
}

/** One packet a line (Git's protocol-common), without its length, and each capability on a line of its own. */
function packetLines(body: string): string {
  const lines: string[] = []
  for (let at = 0; at < body.length;) {
    const length = Number.parseInt(body.slice(at, at + 4), 16)
    // 0 to 3 are packets without data, such as the flush.
    const end = at + Math.max(length, 4)
    lines.push(length < 4 ? body.slice(at, end) : packetText(body.slice(at + 4, end)))
    at = end
  }
  return lines.join('\n')
}

function packetText(data: string): string {
  const [head = '', capabilities] = data.trimEnd().split('\0')
  return capabilities === undefined ? head : [head, ...capabilities.trim().split(' ')].join('\n    ')
}

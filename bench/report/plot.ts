import type { Curve } from '../result.js'

const [WIDTH, HEIGHT] = [720, 420]
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 24, 48, 56]
// Told apart without colours, too: each line has its own dashes.
const STYLES = [
  { colour: '#1f5fa8', dashes: '' },
  { colour: '#b3431e', dashes: '8 4' },
  { colour: '#2b7a3d', dashes: '2 4' },
]

/** Draws clones per second against concurrent clients, both on logarithmic scales. */
export function plot(curves: readonly Curve[]): string {
  const points = curves.flatMap((curve) => curve.points)
  const clients = [...new Set(points.map((point) => point.clients))].sort((a, b) => a - b)
  const rates = points.map(({ rate }) => rate)
  const [from, to] = [1, 10].map((edge, i) =>
    i === 0
      ? 10 ** Math.floor(Math.log10(Math.min(...rates, edge)))
      : 10 ** Math.ceil(Math.log10(Math.max(...rates, edge))),
  ) as [number, number]
  const x = (value: number): number => scale(value, clients[0] ?? 1, clients.at(-1) ?? 1, LEFT, WIDTH - RIGHT)
  const y = (value: number): number => scale(value, from, to, HEIGHT - BOTTOM, TOP)
  const decades = Array.from({ length: Math.round(Math.log10(to / from)) + 1 }, (_, i) => from * 10 ** i)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" font-family="sans-serif" font-size="13">`,
    '<title>Clones a second against clients at once</title>',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...decades.flatMap((rate) => [
      `<path d="M${LEFT} ${round(y(rate))}H${WIDTH - RIGHT}" stroke="#ddd"/>`,
      `<text x="${LEFT - 8}" y="${round(y(rate) + 4)}" text-anchor="end">${rate}</text>`,
    ]),
    ...clients.map(
      (count) => `<text x="${round(x(count))}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">${count}</text>`,
    ),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 12}" text-anchor="middle">clients at once</text>`,
    `<text transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">clones a second</text>`,
    ...curves.flatMap((curve, i) => line(curve, i, x, y)),
    '</svg>\n',
  ].join('\n')
}

function line({ subject, points }: Curve, index: number, x: (v: number) => number, y: (v: number) => number): string[] {
  const { colour, dashes } = STYLES[index % STYLES.length] ?? { colour: '#000', dashes: '' }
  const path = points.map(({ clients, rate }) => `${round(x(clients))} ${round(y(rate))}`).join('L')
  const legend = LEFT + index * 210
  return [
    `<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2" stroke-dasharray="${dashes}"/>`,
    ...points.map(
      ({ clients, rate }) => `<circle cx="${round(x(clients))}" cy="${round(y(rate))}" r="3" fill="${colour}"/>`,
    ),
    `<path d="M${legend} 24h28" stroke="${colour}" stroke-width="2" stroke-dasharray="${dashes}"/>`,
    `<text x="${legend + 34}" y="28">${subject}</text>`,
  ]
}

function scale(value: number, from: number, to: number, start: number, end: number): number {
  return from === to ? start : start + ((end - start) * Math.log(value / from)) / Math.log(to / from)
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10)
}

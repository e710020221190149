import { Eta } from 'eta'
import type { FastifyReply } from 'fastify'
import { TOKENS_PAGE } from '../domain/access/refusal.js'
import type { Assets } from './assets.js'
import { webFolder } from './assets.js'
import type { Cookies } from './cookies.js'
import { takeFlashMessage } from './session-state.js'
import type { WebOptions } from './web-options.js'
import { relativeTime, utcTime } from '../core/clock.js'
import { calendarDay, dayTag, timeTag } from './time.js'

/** Renders templates. `it` holds the data of the page, and what the layout needs. */
export class Views {
  readonly #eta = new Eta({ views: webFolder('views'), autoEscape: true, cache: true })
  readonly #assets: Assets
  readonly #cookies: Cookies
  readonly #options: WebOptions

  constructor(assets: Assets, cookies: Cookies, options: WebOptions) {
    this.#assets = assets
    this.#cookies = cookies
    this.#options = options
  }

  /** Sends a page. */
  async send(reply: FastifyReply, view: string, data: object, status: number): Promise<FastifyReply> {
    const { request } = reply
    const { principal } = request
    const now = this.#options.access.now()
    const html = this.#eta.render(view, {
      member: principal.kind === 'member' ? principal.account : undefined,
      twoFactorDeadline: principal.kind === 'member' ? principal.twoFactorDeadline : undefined,
      mustEnrol:
        principal.kind === 'member' && principal.twoFactorDeadline !== undefined && principal.twoFactorDeadline <= now,
      flash: principal.kind === 'anonymous' ? undefined : await takeFlashMessage(principal),
      path: request.url.split('?', 1)[0],
      csrfField: `<input type="hidden" name="csrf_token" value="${this.#cookies.csrfToken(request, reply)}">`,
      baseUrl: this.#options.baseUrl(),
      tokensPage: TOKENS_PAGE,
      // As on GitLab, the page doesn't exist while tokens are off. An anonymous page needs no store, which may have failed.
      hasTokens: principal.kind === 'member' && !(await this.#options.access.settings()).disable_personal_access_tokens,
      version: this.#options.version,
      now,
      asset: (name: string) => this.#assets.path(name),
      time: (instant: Date) => timeTag(instant, now),
      day: dayTag,
      text: { relative: (instant: Date) => relativeTime(instant, now), exact: utcTime, day: calendarDay },
      isWrong: status === 422,
      ...data,
    })
    return reply.status(status).type('text/html; charset=utf-8').send(html)
  }
}

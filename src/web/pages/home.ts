import type { Pages } from '../pages.js'

/** The first page that one sees when signed in. */
export function homePages(pages: Pages): void {
  pages.get('/', (_request, reply) => reply.page('home'))
}

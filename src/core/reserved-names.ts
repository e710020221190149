/**
 * First segments of the URLs that gitgate answers itself, or will (design: HTTP surface). No account and no group of
 * repositories may have such a name, or its repositories would hide behind those pages.
 */
const RESERVED = new Set([
  '-',
  'admin_area',
  'api',
  'assets',
  'dashboard',
  'explore',
  'favicon.ico',
  'health',
  'help',
  'jwt',
  'login',
  'logout',
  'metrics',
  'oauth',
  'profile',
  'projects',
  'robots.txt',
  'sign_in',
  'users',
  'v2',
])

/** Whether a name is kept for gitgate's own URLs; letters count the same in either case. */
export function isReservedName(name: string): boolean {
  return RESERVED.has(name.toLowerCase())
}

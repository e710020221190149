/**
 * First segments of gitgate's own URLs, present and planned. No account and no group of repositories may have such a name,
 * or those pages would hide its repositories.
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

/** Whether a name is reserved for gitgate's own URLs, in any case. */
export function isReservedName(name: string): boolean {
  return RESERVED.has(name.toLowerCase())
}

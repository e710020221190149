/** Under which paths style sheets, scripts and images are. */
export const ASSETS = '/-/assets/'

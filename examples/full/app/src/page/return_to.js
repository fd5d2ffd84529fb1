// The page to show after a login. The gate of a page names it in `/?return_to=/account`.

/** A segment `.` or `..`. A browser removes it, and the rest may begin with `//`. */
const DOT_SEGMENT = /^(?:\.|%2e){1,2}$/i;

/**
 * The URL of `path` at `origin`, or `null` if `path` isn't a plain path of that origin. Anyone can
 * make a link with any path, so this refuses paths such as `/.//evil.example`.
 */
export function returnTo(path, origin) {
  if (path === null || !/^\/(?![/\\])[^\\\p{Cc}]*$/u.test(path)) return null;
  const [segments] = path.split(/[?#]/);
  if (segments.split("/").some((segment) => DOT_SEGMENT.test(segment))) return null;
  const url = new URL(path, origin);
  return url.origin === origin ? url : null;
}

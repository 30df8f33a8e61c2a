// Counts how often each knot is tied in a log of lines like "12:04 bowline".
export function count(log) {
  const seen = new Map();
  for (const line of log.split("\n")) {
    const [, knot] = line.trim().split(/\s+/, 2);
    if (!knot) continue;
    seen.set(knot, (seen.get(knot) ?? 0) + 1);
  }
  return [...seen].sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
}

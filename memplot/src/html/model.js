// The series: their points, their values at a moment, and their stack.

const base = data.time[0];

// Series that are drawn at the start. More would be slow and unreadable.
const DRAWN_AT_START = 60;
// The maximal size of a stack: series times moments.
const MAX_STACK_CELLS = 5e6;
// With more points, the cursor ignores the moments of the last series.
const MAX_MOMENT_POINTS = 2e6;

function decode(raw, index, isTotal) {
  const count = raw.runs.reduce((sum, run) => sum + run.length / 2, 0);
  const t = new Float64Array(count), v = new Float64Array(count);
  const runs = [];
  let i = 0;
  for (const run of raw.runs) {
    const start = i;
    for (let k = 0; k < run.length; k += 2, i++) {
      t[i] = base + run[k];
      v[i] = run[k + 1];
    }
    if (i > start) runs.push([start, i]);
  }
  const point = (pair) => pair && { t: base + pair[0], v: pair[1] };
  const first = point(raw.first), last = point(raw.last), peak = point(raw.peak);
  return {
    ...{ name: raw.name, index, isTotal, t, v, runs, first, last, peak },
    ended: raw.ended,
    change: first && last ? last.v - first.v : null,
    trend: raw.trend && { from: point(raw.trend[0]), to: point(raw.trend[1]), label: raw.trend[2] },
    variable: isTotal ? "--ink" : raw.colour === null ? "--other" : `--c${raw.colour}`,
    isOn: isTotal || index < DRAWN_AT_START,
  };
}

const parts = data.series.map((raw, index) => decode(raw, index, false));
const total = data.total && decode(data.total, parts.length, true);
const all = total ? [...parts, total] : parts;
const marks = data.marks.map(([at, kind, text]) => ({ at: base + at, kind, text }));

// The first index in [low, high) of the sorted `list` with a value of at least `x`.
function lowerBound(list, x, low = 0, high = list.length) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The measured value of a series nearest to a moment; null in a gap.
function valueAt(series, x) {
  for (const [start, end] of series.runs) {
    if (x < series.t[start] || x > series.t[end - 1]) continue;
    const i = lowerBound(series.t, x, start, end);
    return i > start && x - series.t[i - 1] < series.t[i] - x ? series.v[i - 1] : series.v[i];
  }
  return null;
}

// All sampled moments in order.
let pointBudget = MAX_MOMENT_POINTS;
const moments = (() => {
  const lists = all.filter((series) => (pointBudget -= series.t.length) >= 0).map((series) => series.t);
  const joined = new Float64Array(lists.reduce((sum, list) => sum + list.length, 0));
  let at = 0;
  for (const list of lists) {
    joined.set(list, at);
    at += list.length;
  }
  joined.sort();
  let kept = 0;
  for (const x of joined) if (kept === 0 || joined[kept - 1] !== x) joined[kept++] = x;
  return joined.slice(0, kept);
})();

// The precision of times in milliseconds.
const TIME_STEP = moments.length > 1 && (moments[moments.length - 1] - moments[0]) / (moments.length - 1) < 900 ? 1 : SECOND;

const canStack = !data.log && parts.length > 1 && pointBudget >= 0 && parts.length * moments.length <= MAX_STACK_CELLS
  && parts.every((series) => series.v.every((value) => value >= 0));

// The value of a series at every moment, and whether it continues to the next one.
function stackLayerOf(series) {
  if (series.stackLayer) return series.stackLayer;
  const values = new Float64Array(moments.length), goesOn = new Uint8Array(moments.length);
  for (const [start, end] of series.runs) {
    let k = lowerBound(moments, series.t[start]);
    for (let i = start; i < end; i++) {
      values[k] = series.v[i];
      if (i + 1 === end) break;
      const from = series.t[i], next = series.t[i + 1];
      for (; moments[k] < next; k++) {
        values[k] = series.v[i] + ((series.v[i + 1] - series.v[i]) * (moments[k] - from)) / (next - from);
        goesOn[k] = 1;
      }
    }
  }
  return (series.stackLayer = { values, goesOn });
}

// The upper edge of the total, as those of the areas: where a series ends or starts, the total goes down or up at once. Else
// the background would show between them.
function totalEdge() {
  if (total.edge) return total.edge;
  const { values, goesOn } = stackLayerOf(total);
  const edge = new Float64Array(2 * moments.length);
  for (let k = 0; k + 1 < moments.length; k++) {
    if (goesOn[k]) [edge[2 * k], edge[2 * k + 1]] = [values[k], values[k + 1]];
  }
  for (const part of parts) {
    const own = stackLayerOf(part);
    for (let k = 0; k + 1 < moments.length; k++) {
      if (!goesOn[k] || own.goesOn[k]) continue;
      edge[2 * k] -= own.values[k];
      edge[2 * k + 1] -= own.values[k + 1];
    }
  }
  return (total.edge = edge);
}

// The upper edges of the visible series, the lowest first. Between the moments k and k + 1 an edge goes from the height at 2k to
// the height at 2k + 1, so that series start and end without a slope.
function stackTops() {
  const linked = new Uint8Array(moments.length);
  let below = new Float64Array(2 * moments.length);
  const tops = [];
  for (const series of parts) {
    if (!series.isOn) continue;
    const { values, goesOn } = stackLayerOf(series);
    const edge = below.slice();
    for (let k = 0; k < moments.length; k++) {
      if (goesOn[k]) {
        edge[2 * k] += values[k];
        edge[2 * k + 1] += values[k + 1];
        linked[k] = 1;
      }
    }
    tops.push({ series, edge });
    below = edge;
  }
  // Moments between two gaps.
  const alone = [];
  for (let k = 0; k < moments.length; k++) if (!linked[k] && !(k > 0 && linked[k - 1])) alone.push(k);
  for (const k of alone) {
    let sum = 0;
    for (const { series, edge } of tops) edge[2 * k] = edge[2 * k + 1] = sum += stackLayerOf(series).values[k];
  }
  return { tops, linked };
}

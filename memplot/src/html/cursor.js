// The cursor: a vertical line, a dot on each series, and a tooltip with their values.

const tip = document.getElementById("tip");
const TIP_ROWS = 14;

let cursor = null;
// The corners of the area to zoom into, while the mouse is dragged.
let box = null;

function show(moment, y = null) {
  cursor = moment;
  drawCursor(y);
  valuesAt(cursor);
}

// The sampled moment nearest to a position.
function nearest(x) {
  const t = tOf(x);
  const i = lowerBound(moments, t);
  const [before, after] = [moments[i - 1], moments[i]];
  const found = after === undefined || (before !== undefined && t - before < after - t) ? before : after;
  return found === undefined || found < view.from || found > view.to ? null : found;
}

function step(by) {
  if (!moments.length) return;
  const first = lowerBound(moments, view.from), last = Math.max(first, lowerBound(moments, view.to + 1) - 1);
  // Without a cursor a step starts outside the view. A step of Infinity goes to the end.
  const from = cursor !== null ? lowerBound(moments, cursor) : by > 0 ? first - 1 : last + 1;
  const at = from + by;
  const next = moments[Math.min(Math.max(at, first), last)];
  show(next >= view.from && next <= view.to ? next : null);
}

function heights(moment) {
  const places = [];
  let below = 0;
  for (const series of all) {
    if (!series.isOn) continue;
    const value = valueAt(series, moment);
    if (value === null) continue;
    const top = stacked && !series.isTotal ? (below += value) : value;
    places.push({ series, value, y: yOf(top) });
  }
  return places;
}

function drawCursor(y) {
  const pen = sized(overlay, canvas.clientWidth, canvas.clientHeight);
  if (box) {
    const [left, right] = [Math.min(box.x, box.toX), Math.max(box.x, box.toX)];
    const [top, bottom] = box.isTall ? [Math.min(box.y, box.toY), Math.max(box.y, box.toY)] : [frame.top, frame.bottom];
    pen.fillStyle = colour("--accent");
    pen.globalAlpha = 0.2;
    pen.fillRect(left, top, right - left, bottom - top);
    pen.globalAlpha = 1;
  }
  tip.hidden = cursor === null || box !== null;
  if (cursor === null || box) return;
  const x = xOf(cursor);
  strokeLine(pen, "--faint", [Math.round(x) + 0.5, frame.top], [Math.round(x) + 0.5, frame.bottom]);
  const places = heights(cursor);
  for (const { series, y } of places.slice(0, 200)) {
    if (y >= frame.top - 1 && y <= frame.bottom + 1) drawDot(pen, x, y, 3.5, series.variable, "--paper");
  }
  fillTip(places, x, y);
}

function fillTip(places, x, y) {
  // From top to bottom, as in the drawing.
  const rows = [...places].sort((a, b) => a.y - b.y || b.series.index - a.series.index);
  // In a stack the area under the mouse, otherwise the nearest line.
  let pointed = null;
  if (y !== null && rows.length) {
    if (stacked) pointed = rows.filter((row) => !row.series.isTotal && row.y <= y).pop()?.series ?? null;
    else pointed = rows.reduce((best, row) => (Math.abs(row.y - y) < Math.abs(best.y - y) ? row : best)).series;
  }
  const at = Math.max(0, rows.findIndex((row) => row.series === pointed));
  const from = Math.max(0, Math.min(at - TIP_ROWS / 2, rows.length - TIP_ROWS));
  const shown = rows.slice(from, from + TIP_ROWS);
  const line = ({ series, value }) => element("div", { className: series === pointed ? "row pointed" : "row" }, [
    swatch(series), nameElement(series), element("span", { className: "value", textContent: formatShown(value, 2) }),
  ]);
  const eventLine = (textContent) => element("div", { className: "event", textContent });
  const here = groupMarks().filter((place) => Math.abs(place.x - x) < 6).flatMap((place) => place.list);
  const events = here.slice(0, 4).map((mark) => eventLine(mark.text));
  if (here.length > 4) events.push(eventLine(`and ${here.length - 4} more events`));
  const rest = rows.length - shown.length;
  tip.replaceChildren(
    element("div", { className: "when", textContent: `${date(cursor, true)} ${clock(cursor, TIME_STEP)}` }),
    ...shown.map(line),
    ...(rest > 0 ? [eventLine(`and ${rest} more in the table`)] : []),
    ...events,
  );
  const { offsetWidth: width, offsetHeight: height } = tip;
  // Beside the cursor, on the side where it covers no labels if possible.
  const left = x + 14 + width > frame.right && x - 14 - width >= 0 ? x - 14 - width : x + 14;
  tip.style.left = `${Math.max(0, Math.min(left, figure.clientWidth - width))}px`;
  tip.style.top = `${Math.max(0, Math.min((y ?? frame.top + 20) - height / 2, frame.bottom - height))}px`;
}

// Interaction: zoom, switches, mouse and keyboard.

const range = document.getElementById("range");
const formButtons = document.getElementById("form");
const reset = document.getElementById("reset");

function refresh() {
  draw();
  drawCursor(null);
  const isWhole = view.from === fullRange[0] && view.to === fullRange[1] && view.low === null;
  reset.hidden = isWhole;
  const length = view.to - view.from;
  const step = length < 10 * SECOND ? 1 : length < HOUR ? SECOND : MINUTE;
  const isLong = length > 180 * DAY;
  const ends = [view.from, view.to].map((t) => (isLong ? "" : " " + clock(t, step)));
  const days = [view.from, view.to].map((t) => date(t, isLong));
  if (onlyMoment !== null) range.textContent = `${date(onlyMoment, isLong)} ${clock(onlyMoment, SECOND)}`;
  else range.textContent = `${days[0]}${ends[0]} –${days[1] === days[0] ? "" : " " + days[1]}${ends[1]}, ${duration(length)}`;
  Object.assign(range.dataset, { from: view.from, to: view.to });
  for (const button of formButtons.children) {
    button.setAttribute("aria-pressed", String((button.value === "stack") === view.isStacked));
  }
  for (const { series, button } of rows) button.setAttribute("aria-pressed", String(series.isOn));
}

function toggle(series) {
  series.isOn = !series.isOn;
  refresh();
}

// Shows only this series, or all again if it is already alone.
function showOnly(series) {
  const isAlone = all.every((other) => other.isOn === (other === series));
  for (const other of all) other.isOn = isAlone ? other.isTotal || other.index < DRAWN_AT_START : other === series;
  refresh();
}

function highlight(series) {
  const next = series?.isOn ? series : null;
  if (next === highlighted) return;
  highlighted = next;
  draw();
}

// Shows the range from `from` to `to`, within the data and not too short.
function zoom(from, to, low = null, high = null) {
  const least = Math.min(100, fullRange[1] - fullRange[0]);
  const length = Math.min(Math.max(to - from, least), fullRange[1] - fullRange[0]);
  const middle = (from + to) / 2;
  view.from = Math.min(Math.max(middle - length / 2, fullRange[0]), fullRange[1] - length);
  view.to = view.from + length;
  Object.assign(view, { low, high });
  if (cursor !== null && (cursor < view.from || cursor > view.to)) show(null);
  refresh();
}

function showAll() {
  zoom(...fullRange);
}

function zoomBy(factor, centre) {
  zoom(centre - (centre - view.from) * factor, centre + (view.to - centre) * factor, view.low, view.high);
}

function place(event) {
  const { left, top } = overlay.getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
}

const inFrame = ([x, y]) => x >= frame.left - 4 && x <= frame.right + 4 && y >= 0 && y <= frame.bottom + 20;
const clamp = ([x, y]) => [
  Math.min(Math.max(x, frame.left), frame.right),
  Math.min(Math.max(y, frame.top), frame.bottom),
];

overlay.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || event.pointerType === "touch" || !inFrame(place(event))) return;
  const [x, y] = clamp(place(event));
  box = { x, y, toX: x, toY: y, isTall: false };
  overlay.setPointerCapture(event.pointerId);
});

overlay.addEventListener("pointermove", (event) => {
  if (box) {
    [box.toX, box.toY] = clamp(place(event));
    // Zooms in time only, unless the drag is clearly vertical too.
    box.isTall = !stacked && Math.abs(box.toY - box.y) > Math.max(40, Math.abs(box.toX - box.x) / 3);
    drawCursor(null);
  } else if (inFrame(place(event))) {
    show(nearest(place(event)[0]), place(event)[1]);
  } else {
    show(null);
  }
});

overlay.addEventListener("pointerup", (event) => {
  if (!box) return;
  const { x, y, toX, toY, isTall } = box;
  box = null;
  if (Math.abs(toX - x) < 5) {
    drawCursor(null);
    return;
  }
  const values = isTall ? [Math.min(vOf(y), vOf(toY)), Math.max(vOf(y), vOf(toY))] : [];
  zoom(tOf(Math.min(x, toX)), tOf(Math.max(x, toX)), ...values);
  show(nearest(place(event)[0]), place(event)[1]);
});

overlay.addEventListener("pointercancel", () => {
  box = null;
  show(null);
});
overlay.addEventListener("pointerleave", () => box || show(null));
overlay.addEventListener("dblclick", showAll);
reset.addEventListener("click", showAll);

overlay.addEventListener("wheel", (event) => {
  if (!inFrame(place(event)) || event.ctrlKey) return;
  event.preventDefault();
  const lines = event.deltaMode === 0 ? 1 : 30;
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
    const by = (((event.deltaX || event.deltaY) * lines) / (frame.right - frame.left)) * (view.to - view.from);
    zoom(view.from + by, view.to + by, view.low, view.high);
  } else {
    zoomBy(Math.exp(Math.max(-300, Math.min(300, event.deltaY * lines)) / 400), tOf(place(event)[0]));
  }
}, { passive: false });

document.addEventListener("keydown", (event) => {
  if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
  const centre = () => cursor ?? (view.from + view.to) / 2;
  const keys = {
    ArrowLeft: () => step(event.shiftKey ? -10 : -1),
    ArrowRight: () => step(event.shiftKey ? 10 : 1),
    Home: () => step(-Infinity),
    End: () => step(Infinity),
    "+": () => zoomBy(0.5, centre()),
    "-": () => zoomBy(2, centre()),
    Escape: () => {
      show(null);
      showAll();
    },
  };
  if (!Object.hasOwn(keys, event.key)) return;
  // Elsewhere on the page these keys scroll.
  if (["Home", "End"].includes(event.key) && cursor === null && !figure.contains(event.target)) return;
  keys[event.key]();
  event.preventDefault();
});

for (const button of formButtons.children) {
  button.addEventListener("click", () => {
    view.isStacked = button.value === "stack";
    Object.assign(view, { low: null, high: null });
    refresh();
  });
}
formButtons.hidden = !canStack;
search.addEventListener("input", fillTable);
search.hidden = parts.length < 15;
document.getElementById("empty").hidden = all.some((series) => series.t.length > 0);

[view.from, view.to] = fullRange;
fillTable();
fillEvents();
refresh();
new ResizeObserver(refresh).observe(figure);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);

// Labels beside the drawing, at the heights where lines and areas end. A click switches a series off and on.

// The table has the others.
const MAX_LABELS = 40;
const LABEL_HEIGHT = 19;

function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// A name that loses its middle if it does not fit, or the full name.
function nameElement(series, isWhole = false) {
  if (isWhole) return element("bdi", { className: "whole name", textContent: series.name, dir: "ltr" });
  const letters = [...series.name];
  const tail = letters.length > 18 ? 9 : 0;
  const head = element("span", { className: "head", textContent: letters.slice(0, letters.length - tail).join("") });
  const end = element("span", { className: "tail", textContent: letters.slice(letters.length - tail).join("") });
  // Names of files and processes are always written from left to right.
  return element("bdi", { className: "name", title: series.name, dir: "ltr" }, tail ? [head, end] : [head]);
}

function swatch(series) {
  const made = element("i", { className: series.isTotal ? "swatch line" : "swatch" });
  made.style.setProperty("--colour", `var(${series.variable})`);
  return made;
}

const labelled = (total ? [total, ...parts] : parts).slice(0, MAX_LABELS);
const labelOf = new Map();
for (const series of labelled) {
  const value = element("span", { className: "value", textContent: series.ended ? "ended" : formatShown(series.last?.v) });
  const button = element("button", { type: "button", className: "label" }, [swatch(series), nameElement(series), value]);
  if (series.trend) button.title = series.trend.label;
  button.addEventListener("click", (event) => (event.shiftKey ? showOnly(series) : toggle(series)));
  button.addEventListener("pointerenter", () => highlight(series));
  button.addEventListener("pointerleave", () => highlight(null));
  labels.append(button);
  labelOf.set(series, button);
}
const overflow = element("span", { className: "overflow" });
labels.append(overflow);

function labelWidth(pen, width) {
  const widest = Math.max(0, ...labelled.map((series) => pen.measureText(series.name + "  " + formatShown(series.last?.v)).width));
  return Math.min(Math.max(widest + 34, 90), 320, width * 0.34);
}

// The height of a series at the right end of the view: of its line, or of the middle of its area.
function endOf(series) {
  if (!series.isOn) return frame.bottom;
  if (stacked && !series.isTotal) {
    const at = stacked.tops.findIndex((top) => top.series === series);
    const k = Math.max(0, lowerBound(moments, view.to + 1) - 1);
    // Before any change at that moment.
    const i = k > 0 && stacked.linked[k - 1] ? 2 * k - 1 : 2 * k;
    const below = at > 0 ? stacked.tops[at - 1].edge[i] : 0;
    return yOf((below + stacked.tops[at].edge[i]) / 2);
  }
  let end = null;
  for (const [start, stop] of series.runs) {
    const i = lowerBound(series.t, view.to + 1, start, stop) - 1;
    if (i >= start) end = series.v[i];
  }
  return end === null ? frame.bottom : yOf(end);
}

function placeLabels() {
  const narrow = isNarrow();
  labels.classList.toggle("below", narrow);
  const fitting = narrow ? MAX_LABELS : Math.max(1, Math.floor((frame.bottom - 4) / LABEL_HEIGHT) - 1);
  const shown = labelled.slice(0, all.length > fitting ? fitting - 1 : fitting);
  const places = shown.map((series, i) => {
    // Areas of no height keep the order of the stack.
    const tie = stacked && !series.isTotal ? -i : i;
    return { series, wanted: Math.min(Math.max(endOf(series), 10), frame.bottom), tie };
  });
  places.sort((a, b) => a.wanted - b.wanted || a.tie - b.tie);
  let free = 10;
  for (const place of places) {
    place.y = Math.max(place.wanted, free);
    free = place.y + LABEL_HEIGHT;
  }
  let most = frame.bottom - (all.length > shown.length ? LABEL_HEIGHT : 0);
  for (const place of places.reverse()) {
    place.y = Math.min(place.y, most);
    most = place.y - LABEL_HEIGHT;
  }
  for (const [series, button] of labelOf) {
    const place = places.find((place) => place.series === series);
    button.hidden = !place;
    button.setAttribute("aria-pressed", String(series.isOn));
    if (place) button.style.top = narrow ? "" : `${Math.round(place.y - LABEL_HEIGHT / 2)}px`;
  }
  const rest = all.length - shown.length;
  overflow.hidden = rest <= 0;
  overflow.textContent = `and ${group(String(rest))} more in the table`;
  overflow.style.top = narrow ? "" : `${Math.round(frame.bottom - LABEL_HEIGHT / 2)}px`;
  labels.style.left = narrow ? "" : `${Math.round(frame.right + 6)}px`;
}

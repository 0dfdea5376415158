// Draws the visible part of the series on a canvas. A second canvas above it shows the cursor.

const figure = document.getElementById("figure");
const canvas = document.getElementById("chart");
const overlay = document.getElementById("overlay");
const labels = document.getElementById("labels");

const view = { from: 0, to: 1, low: null, high: null, isStacked: data.stacked && canStack };
// The moment, if there is only one. It is drawn as wide as the axis.
const onlyMoment = data.time[1] > data.time[0] ? null : data.time[0];
const fullRange = onlyMoment === null ? data.time : [onlyMoment - SECOND, onlyMoment + SECOND];
const isNarrow = () => figure.clientWidth < 620;

let frame = { left: 0, top: 0, right: 1, bottom: 1, low: 0, high: 1 };
let stacked = null;
let highlighted = null;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const xOf = (t) => frame.left + ((t - view.from) / (view.to - view.from)) * (frame.right - frame.left);
const tOf = (x) => view.from + ((x - frame.left) / (frame.right - frame.left)) * (view.to - view.from);
function yOf(v) {
  const share = data.log
    ? Math.log(Math.max(v, frame.low) / frame.low) / Math.log(frame.high / frame.low)
    : (v - frame.low) / (frame.high - frame.low);
  return frame.bottom - share * (frame.bottom - frame.top);
}
const vOf = (y) => {
  const share = (frame.bottom - y) / (frame.bottom - frame.top);
  return data.log ? frame.low * (frame.high / frame.low) ** share : frame.low + share * (frame.high - frame.low);
};

// The range of visible values: from 0 unless the scale is logarithmic, with round ends.
function valueRange() {
  let low = data.log ? Infinity : 0, high = -Infinity;
  const take = (v) => {
    if (data.log && v <= 0) return;
    if (v < low) low = v;
    if (v > high) high = v;
  };
  const inView = (list, start, end, at) => {
    // With one point on each side: lines continue outside the view.
    const from = Math.max(start, lowerBound(list, view.from, start, end) - 1);
    const to = Math.min(end, lowerBound(list, view.to, start, end) + 1);
    for (let i = from; i < to; i++) take(at(i));
  };
  if (stacked?.tops.length) {
    const { edge } = stacked.tops[stacked.tops.length - 1];
    inView(moments, 0, moments.length, (i) => Math.max(edge[2 * i], edge[2 * i + 1]));
  }
  for (const series of all) {
    if (!series.isOn || (stacked && !series.isTotal)) continue;
    for (const [start, end] of series.runs) inView(series.t, start, end, (i) => series.v[i]);
    for (const end of series.trend && !stacked ? [series.trend.from, series.trend.to] : []) take(end.v);
  }
  if (high === -Infinity) [low, high] = data.log ? [1, 1024] : [0, isBytes ? 1024 : 1];
  if (data.log) return [low * 0.9, Math.max(high * 1.1, low * 2)];
  const step = valueTicks(low, Math.max(high, low + 1), 6).step;
  return [Math.floor(low / step) * step, Math.max(Math.ceil((high * 1.01) / step), 1) * step];
}

function sized(element, width, height) {
  const ratio = window.devicePixelRatio || 1;
  element.width = Math.round(width * ratio);
  element.height = Math.round(height * ratio);
  element.style.width = `${width}px`;
  element.style.height = `${height}px`;
  const pen = element.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return pen;
}

function draw() {
  const width = figure.clientWidth;
  const height = Math.max(240, Math.min(560, Math.round(window.innerHeight * (isNarrow() ? 0.5 : 0.6))));
  figure.style.setProperty("--height", `${height}px`);
  const pen = sized(canvas, width, height);
  stacked = view.isStacked ? stackTops() : null;
  const [low, high] = view.low === null ? valueRange() : [view.low, view.high];
  const ticks = valueTicks(low, high, Math.max(2, Math.min(7, Math.floor(height / 50))), data.log);
  const names = ticks.values.map(ticks.text);
  const left = Math.ceil(Math.max(24, ...names.map((name) => pen.measureText(name).width))) + 12;
  const labelRoom = isNarrow() ? 14 : labelWidth(pen, width);
  frame = { left, top: 22, right: Math.max(left + 50, width - labelRoom), bottom: height - 44, low, high };

  drawAxes(pen, ticks, names);
  pen.save();
  pen.beginPath();
  pen.rect(frame.left, frame.top - 6, frame.right - frame.left + 1, frame.bottom - frame.top + 7);
  pen.clip();
  if (stacked) drawStack(pen);
  for (const series of all) {
    if (!series.isOn) continue;
    if (!stacked) drawLine(pen, series);
    else if (series.isTotal) drawTotal(pen);
  }
  pen.restore();
  drawMarks(pen);
  drawPeak(pen);
  placeLabels();
}

function strokeLine(pen, variable, from, to) {
  pen.strokeStyle = colour(variable);
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}

function drawDot(pen, x, y, radius, fill, border) {
  pen.fillStyle = colour(fill);
  pen.strokeStyle = colour(border);
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.fill();
  pen.stroke();
}

function drawAxes(pen, ticks, names) {
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  ticks.values.forEach((value, i) => {
    const y = Math.round(yOf(value)) + 0.5;
    strokeLine(pen, value === 0 ? "--axis" : "--grid", [frame.left, y], [frame.right, y]);
    pen.fillStyle = colour("--faint");
    pen.textAlign = "right";
    pen.fillText(names[i], frame.left - 8, y);
  });
  if (data.log) strokeLine(pen, "--axis", [frame.left, frame.bottom + 0.5], [frame.right, frame.bottom + 0.5]);
  const most = Math.floor((frame.right - frame.left) / 76);
  pen.textBaseline = "alphabetic";
  pen.textAlign = "center";
  const only = { at: onlyMoment, text: clock(onlyMoment, SECOND), below: date(onlyMoment, false) };
  const times = onlyMoment === null ? timeTicks(view.from, view.to, Math.max(1, Math.min(most, 10))) : [only];
  for (const tick of times.filter(({ at }) => at >= view.from && at <= view.to)) {
    const x = Math.round(xOf(tick.at)) + 0.5;
    strokeLine(pen, "--axis", [x, frame.bottom], [x, frame.bottom + 5]);
    pen.fillStyle = colour("--faint");
    pen.fillText(tick.text, x, frame.bottom + 19);
    pen.fillStyle = colour("--ink");
    pen.fillText(tick.below, x, frame.bottom + 35);
  }
}

// Areas from the highest to the lowest, each down to the axis, so that no seam shows between two.
function drawStack(pen) {
  const from = Math.max(0, lowerBound(moments, view.from) - 1);
  const to = Math.min(moments.length, lowerBound(moments, view.to) + 1);
  const floor = yOf(Math.max(0, frame.low));
  for (const { series, edge } of [...stacked.tops].reverse()) {
    const own = colour(series.variable);
    pen.fillStyle = highlighted !== null && highlighted !== series ? faded(own) : own;
    for (let i = from; i < to; i++) {
      const first = i;
      while (i + 1 < to && stacked.linked[i]) i++;
      pen.beginPath();
      if (first === i) {
        const [left, right] = onlyMoment === null ? [xOf(moments[i]) - 1, xOf(moments[i]) + 1] : [frame.left, frame.right];
        pen.rect(left, yOf(edge[2 * i]), right - left, floor - yOf(edge[2 * i]));
      } else {
        pen.moveTo(xOf(moments[first]), floor);
        for (let k = first; k < i; k++) {
          pen.lineTo(xOf(moments[k]), yOf(edge[2 * k]));
          pen.lineTo(xOf(moments[k + 1]), yOf(edge[2 * k + 1]));
        }
        pen.lineTo(xOf(moments[i]), floor);
      }
      pen.fill();
    }
  }
}

// Mixes a colour with the background. Transparent colours would show the areas below.
function faded(hex) {
  const parse = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  const paper = parse(colour("--paper"));
  return `rgb(${parse(hex).map((part, i) => Math.round(part * 0.3 + paper[i] * 0.7)).join(",")})`;
}

// The line of the total of a stack.
function drawTotal(pen) {
  const from = Math.max(0, lowerBound(moments, view.from) - 1);
  const to = Math.min(moments.length, lowerBound(moments, view.to) + 1);
  const { values, goesOn } = stackLayerOf(total);
  const edge = totalEdge();
  pen.strokeStyle = colour(total.variable);
  pen.lineWidth = total === highlighted ? 2.75 : 1.5;
  pen.globalAlpha = highlighted !== null && highlighted !== total ? 0.25 : 1;
  pen.lineJoin = "round";
  pen.beginPath();
  for (let k = from; k + 1 < to; k++) {
    if (!goesOn[k]) continue;
    if (k === from || !goesOn[k - 1]) pen.moveTo(xOf(moments[k]), yOf(values[k]));
    pen.lineTo(xOf(moments[k]), yOf(edge[2 * k]));
    pen.lineTo(xOf(moments[k + 1]), yOf(edge[2 * k + 1]));
    pen.lineTo(xOf(moments[k + 1]), yOf(values[k + 1]));
  }
  if (onlyMoment !== null) levelLine(pen, values[0]);
  pen.stroke();
  pen.globalAlpha = 1;
}

// Adds a line from one side to the other.
function levelLine(pen, value) {
  pen.moveTo(frame.left, yOf(value));
  pen.lineTo(frame.right, yOf(value));
}

function drawLine(pen, series) {
  pen.strokeStyle = pen.fillStyle = colour(series.variable);
  pen.lineWidth = series === highlighted ? 2.75 : series.isTotal ? 1.5 : 1.75;
  pen.globalAlpha = highlighted !== null && highlighted !== series ? 0.25 : 1;
  pen.lineJoin = "round";
  pen.setLineDash([]);
  for (const [start, end] of series.runs) {
    const from = Math.max(start, lowerBound(series.t, view.from, start, end) - 1);
    const to = Math.min(end, lowerBound(series.t, view.to, start, end) + 1);
    pen.beginPath();
    if (onlyMoment !== null) {
      levelLine(pen, series.v[start]);
      pen.stroke();
      continue;
    }
    if (end - start === 1) {
      if (from < to) pen.arc(xOf(series.t[from]), yOf(series.v[from]), 2.25, 0, 7);
      pen.fill();
      continue;
    }
    for (let i = from; i < to; i++) pen.lineTo(xOf(series.t[i]), yOf(series.v[i]));
    pen.stroke();
  }
  if (series.trend && !stacked) {
    const { from, to } = series.trend;
    pen.lineWidth = 1.25;
    pen.setLineDash([6, 4]);
    pen.beginPath();
    // In pieces: on a logarithmic scale constant growth is a curve.
    for (let i = 0; i <= 32; i++) {
      pen.lineTo(xOf(from.t + ((to.t - from.t) * i) / 32), yOf(from.v + ((to.v - from.v) * i) / 32));
    }
    pen.stroke();
    pen.setLineDash([]);
  }
  pen.globalAlpha = 1;
}

// Labels the peak if it is visible.
function drawPeak(pen) {
  const tops = all.filter((series) => series.isOn && series.peak && (!stacked || series.isTotal));
  const top = tops.reduce((best, series) => (best && best.peak.v >= series.peak.v ? best : series), null);
  if (!top || moments.length < 2 || top.peak.t < view.from || top.peak.t > view.to) return;
  const [x, y] = [xOf(top.peak.t), yOf(top.peak.v)];
  if (y < frame.top - 1 || y > frame.bottom) return;
  drawDot(pen, x, y, 3, "--paper", "--ink");
  pen.fillStyle = colour("--ink");
  const text = `${formatShown(top.peak.v)} at ${formatMoment(top.peak.t, fullRange[1] - fullRange[0], view.to - view.from < HOUR ? SECOND : MINUTE)}`;
  const half = pen.measureText(text).width / 2 + 2;
  pen.textAlign = "center";
  pen.strokeStyle = colour("--paper");
  pen.lineWidth = 4;
  pen.lineJoin = "round";
  const place = [Math.min(Math.max(x, frame.left + half), frame.right - half), Math.max(12, y - 9)];
  pen.strokeText(text, ...place);
  pen.fillText(text, ...place);
}

const MARKS = { oom: 4, limit: 3, run: 2, exited: 1, started: 0 };

// Groups marks that are a few pixels apart. The most severe one represents its group.
function groupMarks() {
  const places = new Map();
  for (const mark of marks) {
    if (mark.at < view.from || mark.at > view.to) continue;
    const key = Math.round(xOf(mark.at) / 7);
    const place = places.get(key) ?? { x: xOf(mark.at), mark, list: [] };
    if (MARKS[mark.kind] > MARKS[place.mark.kind]) Object.assign(place, { mark, x: xOf(mark.at) });
    place.list.push(mark);
    places.set(key, place);
  }
  return [...places.values()];
}

function drawMarks(pen) {
  const y = frame.bottom;
  for (const { x, mark } of groupMarks()) {
    const severe = MARKS[mark.kind] >= 3;
    const variable = severe ? "--alert" : "--faint";
    pen.fillStyle = colour(variable);
    pen.lineWidth = 1;
    if (MARKS[mark.kind] >= 2) {
      pen.setLineDash([2, 3]);
      strokeLine(pen, variable, [Math.round(x) + 0.5, frame.top], [Math.round(x) + 0.5, y]);
      pen.setLineDash([]);
    }
    pen.beginPath();
    // Up for a start, down for an end.
    const up = mark.kind === "started" || mark.kind === "run" ? 1 : -1;
    pen.moveTo(x, y - up * 3.5);
    pen.lineTo(x - 4, y + up * 3.5);
    pen.lineTo(x + 4, y + up * 3.5);
    pen.fill();
  }
}

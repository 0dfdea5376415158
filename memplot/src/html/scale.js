// Formats values and moments, and chooses ticks. Bytes use powers of 1024. Times are in the time zone where the page was made, as
// in the other outputs.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 4, 7, 14].map((n) => n * DAY),
];

const isBytes = data.unit === "bytes";

// The power of 1024 for values up to `most`.
function power(most) {
  let k = 0;
  for (let rest = Math.abs(most); rest >= 1023.5 && k < UNITS.length - 1; k++) rest /= 1024;
  return k;
}

const group = (text) => text.replace(/\B(?=(\d{3})+(?!\d))/g, ",");

// A value with its unit, with `decimals` or with three digits.
function formatValue(value, decimals) {
  if (value === null || value === undefined) return "–";
  const sign = value < 0 ? "−" : "";
  const size = Math.abs(value);
  if (!isBytes) {
    const text = Number.isInteger(size) ? String(size) : size.toFixed(size < 100 ? 2 : 0);
    const [whole, rest] = text.split(".");
    return sign + group(whole) + (rest ? "." + rest : "");
  }
  const k = power(size);
  const scaled = size / 1024 ** k;
  const digits = k === 0 ? 0 : decimals ?? (scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0);
  return `${sign}${scaled.toFixed(digits)} ${UNITS[k]}`;
}

function formatChange(value) {
  if (value === null) return "–";
  return value === 0 ? "±0" + (isBytes ? " B" : "") : (value > 0 ? "+" : "") + formatValue(value, 2);
}

// A value of a series: with a sign if it is a change since the beginning.
const formatShown = (value, decimals) =>
  data.delta && value !== null && value !== undefined ? (value > 0 ? "+" : "") + formatValue(value, decimals) : formatValue(value, decimals);

// Ticks from `low` to `high` with at most `most` steps: {step, values, text(value)}.
function valueTicks(low, high, most, log) {
  if (log) return logTicks(low, high, most);
  const raw = Math.max((high - low) / most, Number.MIN_VALUE);
  let step;
  if (isBytes) {
    step = Math.max(1, 2 ** Math.ceil(Math.log2(raw)));
  } else {
    const ten = 10 ** Math.floor(Math.log10(raw));
    step = Math.max(1, [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= raw * 0.999999));
  }
  const values = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high * (1 + 1e-12) && values.length < 50; n++) values.push(n * step);
  // One unit for the whole axis, small enough for two decimals.
  let k = isBytes ? power(Math.max(Math.abs(low), Math.abs(high))) : 0;
  while (k > 0 && step / 1024 ** k < 0.25) k--;
  const part = step / 1024 ** k;
  const decimals = part >= 1 ? 0 : part >= 0.5 ? 1 : 2;
  const text = (value) => {
    if (!isBytes) return formatValue(value);
    if (value === 0) return "0";
    return `${value < 0 ? "−" : ""}${group((Math.abs(value) / 1024 ** k).toFixed(decimals))} ${UNITS[k]}`;
  };
  return { step, values, text };
}

function logTicks(low, high, most) {
  const base = isBytes ? 2 : 10;
  const of = (value) => Math.log(value) / Math.log(base);
  const skip = Math.max(1, Math.ceil((of(high) - of(low)) / most));
  const values = [];
  for (let n = Math.ceil(of(low) / skip - 1e-9) * skip; n <= of(high) + 1e-9; n += skip) values.push(base ** n);
  return { step: 0, values, text: (value) => formatValue(value, value >= 1 ? 0 : 2) };
}

// The offset of the time zone at a moment, in milliseconds.
function offset(moment) {
  let found = data.zone[0];
  for (const change of data.zone) if (change[0] <= moment) found = change;
  return found[1] * SECOND;
}

const local = (moment) => new Date(moment + offset(moment));
// The moment of a local time.
const moment = (clock) => clock - offset(clock - offset(clock));

const pad2 = (n) => String(n).padStart(2, "0");

function date(moment, withYear) {
  const at = local(moment);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}${withYear ? " " + at.getUTCFullYear() : ""}`;
}

// The time of day, with the precision that `step` needs.
function clock(moment, step) {
  const at = local(moment);
  let text = `${pad2(at.getUTCHours())}:${pad2(at.getUTCMinutes())}`;
  if (step < MINUTE) text += `:${pad2(at.getUTCSeconds())}`;
  if (step < SECOND) text += `.${String(at.getUTCMilliseconds()).padStart(3, "0")}`;
  return text;
}

// A moment with the parts that differ within `span`: year and day, day and time, or time.
function formatMoment(moment, span, step = MINUTE) {
  if (span > 180 * DAY) return date(moment, true);
  return span > 18 * HOUR ? `${date(moment)} ${clock(moment, MINUTE)}` : clock(moment, step);
}

// A duration in its two largest units: `2 h 5 min`.
function duration(ms) {
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  const units = [[365 * DAY, "y"], [DAY, "d"], [HOUR, "h"], [MINUTE, "min"], [SECOND, "s"]];
  const at = units.findIndex(([size]) => ms >= size);
  const [size, name] = units[at];
  const rest = units[at + 1] ? Math.floor((ms % size) / units[at + 1][0]) : 0;
  return `${Math.floor(ms / size)} ${name}` + (rest ? ` ${rest} ${units[at + 1][1]}` : "");
}

// Ticks from `from` to `to`, at most `most`: [{at, text, below}]. `below` is the date or year where it changes.
function timeTicks(from, to, most) {
  const raw = Math.max(to - from, 1) / Math.max(most, 1);
  const step = STEPS.find((step) => step >= raw);
  const ticks = [];
  let last = null;
  const push = (at, text, below) => {
    if (at < from || at > to) return;
    ticks.push({ at, text, below: below === last ? "" : below });
    last = below;
  };
  if (step) {
    for (let c = Math.ceil((from + offset(from)) / step) * step; ticks.length < 100; c += step) {
      const at = moment(c);
      if (at > to) break;
      if (step < DAY) push(at, clock(at, step), date(at, false));
      else push(at, date(at, false), String(local(at).getUTCFullYear()));
    }
    return ticks;
  }
  const months = [1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200].find((n) => n * 30 * DAY >= raw) ?? 12000;
  const start = local(from);
  let index = Math.ceil((start.getUTCFullYear() * 12 + start.getUTCMonth()) / months) * months;
  for (; ticks.length < 100; index += months) {
    const at = moment(Date.UTC(Math.floor(index / 12), index % 12));
    if (at > to) break;
    const year = String(Math.floor(index / 12));
    if (months >= 12) push(at, year, "");
    else push(at, MONTHS[index % 12], year);
  }
  return ticks;
}

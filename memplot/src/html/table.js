// A table of all series, sorted by a click on a column.

const MAX_ROWS = 200;
const table = document.getElementById("table");
const note = document.getElementById("note");
const search = document.getElementById("search");

// Long ranges need the year.
const IS_LONG = fullRange[1] - fullRange[0] > 180 * DAY;

const COLUMNS = [
  { name: "Series", key: (s) => s.name, isText: true },
  { name: "First", key: (s) => s.first?.v ?? null, text: (s) => formatShown(s.first?.v, 2) },
  { name: "Last", key: (s) => s.last?.v ?? null, text: (s) => formatShown(s.last?.v, 2) + (s.ended ? ", ended" : "") },
  { name: "Change", key: (s) => s.change, text: (s) => formatChange(s.change) },
  { name: "Peak", key: (s) => s.peak?.v ?? null, text: (s) => formatShown(s.peak?.v, 2) },
  { name: "Peak at", key: (s) => s.peak?.t ?? null, text: (s) => (s.peak ? `${date(s.peak.t, IS_LONG)} ${clock(s.peak.t, TIME_STEP)}` : "–") },
  ...(all.some((s) => s.trend) ? [{ name: "Trend", key: (s) => s.trend?.label ?? "", isText: true, text: (s) => s.trend?.label ?? "" }] : []),
  { name: "At the cursor", key: (s) => (cursor === null ? null : valueAt(s, cursor)), text: () => "", isCursor: true },
];

// null for the order of the data, largest area first.
let order = null;
let rows = [];

const heads = COLUMNS.map((column) => {
  const button = element("button", { type: "button", textContent: column.name });
  button.addEventListener("click", () => {
    // Numbers start with the largest, names with the first. A second click reverses the order.
    order = { column, down: order?.column === column ? !order.down : !column.isText };
    fillTable();
  });
  return element("th", { scope: "col", className: column.isText ? "" : "number" }, [button]);
});
table.createTHead().append(element("tr", {}, heads));
const body = table.createTBody();

function compare(a, b) {
  const [x, y] = [order.column.key(a), order.column.key(b)];
  // Unknown values are last in both directions.
  if (x === null || y === null) return (x === null) - (y === null) || a.index - b.index;
  const less = x < y ? -1 : x > y ? 1 : 0;
  return (order.down ? -less : less) || a.index - b.index;
}

function fillTable() {
  const wanted = search.value.toLowerCase();
  const found = (total ? [total, ...parts] : parts).filter((series) => series.name.toLowerCase().includes(wanted));
  if (order) found.sort(compare);
  rows = found.slice(0, MAX_ROWS).map(rowOf);
  body.replaceChildren(...rows.map((row) => row.element));
  heads.forEach((head, i) => {
    if (order?.column === COLUMNS[i]) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  const count = group(String(found.length));
  note.textContent = found.length > MAX_ROWS ? `${MAX_ROWS} of ${count} series are listed: sort or search for the others. ` : "";
  if (parts.length > DRAWN_AT_START) note.textContent += `The first ${DRAWN_AT_START} are drawn; click a name to draw another.`;
  valuesAt(cursor);
}

function rowOf(series) {
  const button = element("button", { type: "button", className: "switch" }, [swatch(series), nameElement(series, true)]);
  button.setAttribute("aria-pressed", String(series.isOn));
  button.addEventListener("click", (event) => (event.shiftKey ? showOnly(series) : toggle(series)));
  const cells = COLUMNS.slice(1).map((column) => {
    const text = column.text(series);
    const sign = column.name === "Change" && series.change ? (series.change > 0 ? " more" : " less") : "";
    return element("td", { className: (column.isText ? "text" : "number") + sign, textContent: text });
  });
  const made = element("tr", {}, [element("th", { scope: "row" }, [button]), ...cells]);
  made.addEventListener("pointerenter", () => highlight(series));
  made.addEventListener("pointerleave", () => highlight(null));
  return { series, button, element: made, here: cells[cells.length - 1] };
}

function valuesAt(moment) {
  for (const { series, here } of rows) here.textContent = moment === null ? "" : formatShown(valueAt(series, moment), 2);
  heads[heads.length - 1].firstChild.textContent = moment === null ? "At the cursor" : `At ${formatMoment(moment, fullRange[1] - fullRange[0], TIME_STEP)}`;
}

function fillEvents() {
  const list = document.getElementById("events");
  const most = 500;
  // If there are too many, the most severe.
  const severe = [...marks].sort((a, b) => MARKS[b.kind] - MARKS[a.kind] || a.at - b.at).slice(0, most);
  severe.sort((a, b) => a.at - b.at);
  list.append(...severe.map((mark) => {
    const when = element("time", { textContent: `${date(mark.at, IS_LONG)} ${clock(mark.at, 1000)}` });
    return element("li", { className: MARKS[mark.kind] >= 3 ? "severe" : "" }, [when, element("bdi", { textContent: mark.text })]);
  }));
  const count = marks.length > most ? `${most} of ${group(String(marks.length))}` : String(marks.length);
  document.getElementById("event-count").textContent = `Events (${count})`;
  list.parentElement.hidden = marks.length === 0;
}

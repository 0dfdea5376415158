// The icicle: layout, navigation, search.

const icicle = document.getElementById("icicle");
const detail = document.getElementById("detail");
const search = document.getElementById("search");
const found = document.getElementById("found");
const back = document.getElementById("reset");
const trail = document.getElementById("path");
const units = document.getElementById("form");
const ROW = 22;
// Below this width, in pixels, a block is not drawn.
const NARROWEST = 1;

const blocks = data.blocks;
const root = blocks[0];
let unit = "bytes";
let shown = root;
let at = root;
// The blocks that were shown before, the last one at the end.
const visited = [];

// Connects the list, in which each block comes before those below it.
const open = [];
for (const block of blocks) {
  block.parts = [];
  open.length = block.depth;
  block.above = open[block.depth - 1] ?? null;
  block.above?.parts.push(block);
  open.push(block);
}

// Its own amount, the larger of both moments, and the width of its parts: nothing sticks out.
function measure(block) {
  const sum = (of) => block.parts.reduce((all, part) => all + of(part), 0);
  const parts = sum(measure);
  const own = Math.max(0, block.now[unit] - sum((part) => part.now[unit]));
  const before = (of) => of.before?.[unit] ?? 0;
  block.width = Math.max(own, before(block) - sum(before)) + parts;
  return block.width;
}

function amount(number) {
  if (unit === "objects") return number.toLocaleString("en");
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let index = 0;
  let size = Math.abs(number);
  for (; size >= 999.5 && index < names.length - 1; index++) size /= 1024;
  const decimals = index === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return `${number < 0 ? "−" : ""}${size.toFixed(decimals)} ${names[index]}`;
}

const change = (block) => block.now[unit] - (block.before?.[unit] ?? 0);

function value(block) {
  if (!data.difference) return amount(block.now[unit]);
  const by = change(block);
  return `${by > 0 ? "+" : by < 0 ? "" : "±"}${amount(by)}`;
}

function path(block) {
  const names = [];
  for (let one = block; one; one = one.above) names.unshift(one.label);
  return names;
}

function describe(block) {
  const share = root.width > 0 ? ` (${((block.width / root.width) * 100).toFixed(1)} %)` : "";
  const objects = block.now.objects > 0 ? `, ${block.now.objects.toLocaleString("en")} objects` : "";
  const now = data.difference ? `${value(block)}, now ${amount(block.now[unit])}` : amount(block.now[unit]) + share;
  return `${path(block).join(" → ")}: ${now}${unit === "bytes" ? objects : ""}`;
}

function fill(block) {
  if (data.difference) {
    const by = change(block);
    const largest = Math.max(block.now[unit], block.before?.[unit] ?? 0, 1);
    const part = by === 0 ? 0 : 10 + 80 * (Math.abs(by) / largest);
    return `color-mix(in srgb, var(--${by > 0 ? "grew" : "shrank"}) ${part}%, var(--raised))`;
  }
  const parts = { module: 50, holder: 38, type: 20 };
  const colour = block.colour === undefined ? "other" : `c${block.colour}`;
  return `color-mix(in srgb, var(--${colour}) ${parts[block.kind] ?? 30}%, var(--paper))`;
}

const matches = (block, words) => words !== "" && block.name.toLowerCase().includes(words);
const query = () => search.value.trim().toLowerCase();

// The sum of all matches. One inside another counts once.
function sumOfMatches(words) {
  let [count, sum] = [0, 0];
  const visit = (block, inside) => {
    const is = matches(block, words);
    count += is ? 1 : 0;
    if (is && !inside) sum += data.difference ? change(block) : block.now[unit];
    for (const part of block.parts) visit(part, inside || is);
  };
  visit(root, false);
  return [count, sum];
}

function place(block, left, width, level, isAbove) {
  const box = document.createElement("div");
  box.className = "block";
  box.setAttribute("role", "treeitem");
  box.setAttribute("aria-label", describe(block));
  box.title = describe(block);
  Object.assign(box.style, { left: `${left}px`, width: `${width}px`, top: `${level * ROW}px` });
  box.style.setProperty("--fill", fill(block));
  if (width > 24) box.textContent = `${block.label}  ${value(block)}`;
  box.classList.toggle("above", isAbove);
  box.classList.toggle("found", matches(block, query()));
  box.classList.toggle("at", block === at);
  box.addEventListener("click", () => show(block));
  box.addEventListener("pointerenter", () => { detail.textContent = describe(block); });
  icicle.append(box);
}

function draw() {
  measure(root);
  icicle.replaceChildren();
  const wide = icicle.clientWidth;
  const above = [];
  for (let one = shown.above; one; one = one.above) above.unshift(one);
  above.forEach((block, level) => place(block, 0, wide, level, true));
  const scale = shown.width > 0 ? wide / shown.width : 0;
  let levels = 0;
  const visit = (block, left, level) => {
    const width = block.width * scale;
    if (width < NARROWEST) return;
    levels = Math.max(levels, level + 1);
    place(block, left, width, level, false);
    let x = left;
    for (const part of block.parts) {
      visit(part, x, level + 1);
      x += part.width * scale;
    }
  };
  visit(shown, 0, above.length);
  icicle.style.height = `${levels * ROW}px`;
  back.hidden = shown === root;
  trail.replaceChildren(...[...above, shown].map((block) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = block.label;
    button.addEventListener("click", () => show(block));
    return button;
  }));
  for (const button of units.children) button.setAttribute("aria-pressed", String(button.value === unit));
  const words = query();
  const [count, sum] = sumOfMatches(words);
  found.textContent = words === "" ? "" : `${count.toLocaleString("en")} found, ${amount(sum)}`;
  detail.textContent = describe(at);
}

function show(block) {
  if (block !== shown) visited.push(shown);
  shown = block;
  at = block;
  draw();
}

function goBack() {
  shown = visited.pop() ?? root;
  at = shown;
  draw();
}

// Moves to a block that is drawn: up, down, or to a neighbour.
function move(key) {
  const wide = (block) => block.width * (icicle.clientWidth / (shown.width || 1)) >= NARROWEST;
  const beside = (by) => {
    const all = at === shown ? [] : at.above.parts.filter(wide);
    return all[all.indexOf(at) + by];
  };
  const next = {
    ArrowDown: () => at.parts.find(wide),
    ArrowUp: () => (at === shown ? null : at.above),
    ArrowLeft: () => beside(-1),
    ArrowRight: () => beside(1),
  }[key]();
  at = next ?? at;
  draw();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === search) {
    if (event.key === "Escape") search.blur();
    return;
  }
  const keys = {
    Backspace: goBack,
    Escape: () => show(root),
    "/": () => search.focus(),
  };
  for (const key of ["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"]) keys[key] = () => move(key);
  // On a button Enter presses it.
  if (event.target.tagName !== "BUTTON") keys.Enter = () => show(at);
  if (!Object.hasOwn(keys, event.key)) return;
  keys[event.key]();
  event.preventDefault();
});

for (const button of units.children) {
  button.addEventListener("click", () => {
    unit = button.value;
    draw();
  });
}
back.addEventListener("click", goBack);
search.addEventListener("input", draw);
draw();
new ResizeObserver(draw).observe(document.body);

// The blocks: icicle, navigation, search.

const stage = document.getElementById("blocks");
const detail = document.getElementById("detail");
const search = document.getElementById("search");
const found = document.getElementById("found");
const back = document.getElementById("reset");
const trail = document.getElementById("path");
const units = document.getElementById("unit");
const forms = document.getElementById("shape");
const ROW = 22;

const blocks = data.blocks;
const root = blocks[0];
let unit = "bytes";
let form = data.form;
let shown = root;
let at = root;
// The blocks that are drawn.
const drawn = new Set();
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

function place(block, { x, y, width, height }, kind) {
  drawn.add(block);
  const box = document.createElement("div");
  box.className = `block ${kind}`;
  box.setAttribute("role", "treeitem");
  box.setAttribute("aria-label", describe(block));
  box.title = describe(block);
  Object.assign(box.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
  box.style.setProperty("--fill", fill(block));
  // A small part of a treemap has room for the end of its name.
  const isSmall = kind === "leaf" && (width < 90 || height < 34);
  box.classList.toggle("small", isSmall);
  if (width > 24 && height > 14) {
    box.textContent = isSmall ? block.label.split(block.label.includes("/") ? "/" : ".").pop() : `${block.label}  ${value(block)}`;
  }
  box.classList.toggle("found", matches(block, query()));
  box.classList.toggle("at", block === at);
  box.addEventListener("click", () => show(block));
  box.addEventListener("pointerenter", () => { detail.textContent = describe(block); });
  stage.append(box);
}

// Places a block and its parts below it. Returns the number of levels.
function placeIcicle(block, left, top, width) {
  let levels = 0;
  const scale = block.width > 0 ? width / block.width : 0;
  const visit = (one, x, level) => {
    const wide = one.width * scale;
    if (wide < NARROWEST) return;
    levels = Math.max(levels, level + 1);
    place(one, { x, y: top + level * ROW, width: wide, height: ROW }, "");
    let next = x;
    for (const part of one.parts) {
      visit(part, next, level + 1);
      next += part.width * scale;
    }
  };
  visit(block, left, 0);
  return levels;
}

function draw() {
  measure(root);
  stage.replaceChildren();
  drawn.clear();
  const width = stage.clientWidth;
  const above = [];
  for (let one = shown.above; one; one = one.above) above.unshift(one);
  above.forEach((block, level) => place(block, { x: 0, y: level * ROW, width, height: ROW }, "above"));
  const top = above.length * ROW;
  let height = 0;
  if (form === "treemap") {
    height = Math.max(300, Math.min(width * 0.6, window.innerHeight - 230) - top);
    placeTreemap(shown, { x: 0, y: top, width, height }, place);
  } else {
    height = placeIcicle(shown, 0, top, width) * ROW;
  }
  stage.style.height = `${top + height}px`;
  back.hidden = shown === root;
  trail.replaceChildren(...[...above, shown].map((block) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = block.label;
    button.addEventListener("click", () => show(block));
    return button;
  }));
  for (const button of [...units.children, ...forms.children]) {
    button.setAttribute("aria-pressed", String(button.value === unit || button.value === form));
  }
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
  const beside = (by) => {
    const all = at === shown ? [] : at.above.parts.filter((part) => drawn.has(part));
    return all[all.indexOf(at) + by];
  };
  const next = {
    ArrowDown: () => at.parts.find((part) => drawn.has(part)),
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
for (const button of forms.children) {
  button.addEventListener("click", () => {
    form = button.value;
    draw();
  });
}
back.addEventListener("click", goBack);
search.addEventListener("input", draw);
draw();
new ResizeObserver(draw).observe(document.body);

// The treemap: parts inside their block, below its name. The same rules as in the picture (treemap.rs).

// A block with a shorter side, in pixels, is not drawn.
const NARROWEST = 1;
const NAME = 19;
const BORDER = 3;

// Divides an area into one of each size, nearly squares: rows along the shorter side, as long as their worst part gets no longer.
function squarify(sizes, area) {
  const areas = [];
  let { x, y, width, height } = area;
  for (let first = 0; first < sizes.length;) {
    let total = 0;
    for (let next = first; next < sizes.length; next++) total += sizes[next];
    const scale = total > 0 ? (width * height) / total : 0;
    const side = Math.min(width, height);
    let [end, sum, worst, least, most] = [first, 0, Infinity, Infinity, 0];
    for (; end < sizes.length; end++) {
      const size = sizes[end] * scale;
      [least, most] = [Math.min(least, size), Math.max(most, size)];
      const longer = sum + size;
      const ratio = Math.max((side * side * most) / (longer * longer), (longer * longer) / (side * side * least));
      if (end > first && !(ratio <= worst)) break;
      [sum, worst] = [longer, ratio];
    }
    const thickness = side > 0 ? sum / side : 0;
    let along = 0;
    for (; first < end; first++) {
      const long = thickness > 0 ? (sizes[first] * scale) / thickness : 0;
      areas.push(width >= height ? { x, y: y + along, width: thickness, height: long } : { x: x + along, y, width: long, height: thickness });
      along += long;
    }
    if (width >= height) {
      x += thickness;
      width = Math.max(0, width - thickness);
    } else {
      y += thickness;
      height = Math.max(0, height - thickness);
    }
  }
  return areas;
}

// Places a block and its parts by `place(block, area, kind)`.
function placeTreemap(block, area, place) {
  if (Math.min(area.width, area.height) < NARROWEST) return;
  const inside = {
    x: area.x + BORDER,
    y: area.y + NAME,
    width: area.width - 2 * BORDER,
    height: area.height - NAME - BORDER,
  };
  const isOpen = block.parts.length > 0 && inside.width >= 56 && inside.height >= 18;
  place(block, area, isOpen ? "" : "leaf");
  if (!isOpen) return;
  const sizes = block.parts.map((part) => part.width);
  // What belongs to no part keeps its area, at the end.
  sizes.push(Math.max(0, block.width - sizes.reduce((all, size) => all + size, 0)));
  const areas = squarify(sizes, inside);
  block.parts.forEach((part, at) => placeTreemap(part, areas[at], place));
}

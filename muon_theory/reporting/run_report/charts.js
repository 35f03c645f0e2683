"use strict";
// Charts as inline SVG: lines, shaded regions and heat maps over linear or logarithmic axes.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 62, right: 14, top: 10, bottom: 36 };

function node(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function short(value) {
  if (value === null || !Number.isFinite(value)) return "-";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-12) return "0";
  if (size >= 1e5 || size < 1e-3) return value.toExponential(1).replace("e+", "e").replace(".0e", "e");
  return String(Number(value.toPrecision(3)));
}

// kind: "linear", "log" (positive values) or "log1p" (from zero on)
function axis(kind, low, high, from, to) {
  const forward = { linear: (v) => v, log: Math.log10, log1p: (v) => Math.log10(1 + v) }[kind];
  const a = forward(low), b = forward(high), span = b - a || 1;
  const map = (value) => from + ((forward(value) - a) / span) * (to - from);
  return { map, ticks: ticks(kind, low, high), low, high, kind };
}

function ticks(kind, low, high) {
  const found = [];
  if (kind === "log") {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    if (last - first >= 1) {
      const stride = Math.max(1, Math.ceil((last - first) / 6));
      for (let power = first; power <= last; power += stride) found.push(Number("1e" + power));
      return found;
    }
  }
  if (kind === "log1p") {
    for (const value of [0, 1, 3, 10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5, 1e6, 1e7]) {
      if (value >= low && value <= high) found.push(value);
    }
    return found;
  }
  const raw = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(raw));
  const stride = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  for (let value = Math.ceil(low / stride - 1e-9) * stride; value <= high + stride * 1e-9; value += stride) {
    found.push(Math.abs(value) < stride * 1e-9 ? 0 : Number(value.toPrecision(12)));
  }
  return found;
}

function frame(holder, options) {
  const width = Math.max(260, Math.round(holder.clientWidth || 480)), height = options.height || 240;
  holder.replaceChildren();
  const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" }, null);
  svg.setAttribute("aria-label", options.label);
  holder.append(svg);
  const right = width - MARGIN.right - (options.room || 0);
  const x = axis(options.x.kind, options.x.low, options.x.high, MARGIN.left, right);
  const y = axis(options.y.kind, options.y.low, options.y.high, height - MARGIN.bottom, MARGIN.top);
  if (options.y.down) {
    const up = y.map;
    y.map = (value) => height - MARGIN.bottom + MARGIN.top - up(value);
  }
  const bottom = height - MARGIN.bottom;
  const within = `clip-${holder.id}`;
  node("rect", { x: MARGIN.left, y: MARGIN.top, width: right - MARGIN.left, height: bottom - MARGIN.top },
    node("clipPath", { id: within }, svg));
  const grid = node("g", {}, svg), plot = node("g", { "clip-path": `url(#${within})` }, svg);
  let previous = -Infinity;
  for (const value of x.ticks) {
    const at = x.map(value);
    node("line", { class: "grid", x1: at, x2: at, y1: MARGIN.top, y2: bottom }, grid);
    if (at - previous < 34) continue;
    previous = at;
    node("text", { x: at, y: bottom + 14, "text-anchor": "middle" }, svg, short(value));
  }
  for (const value of y.ticks) {
    const at = y.map(value);
    node("line", { class: "grid", x1: MARGIN.left, x2: right, y1: at, y2: at }, grid);
    node("text", { x: MARGIN.left - 6, y: at + 4, "text-anchor": "end" }, svg, short(value));
  }
  node("path", { class: "axis", d: `M${MARGIN.left},${MARGIN.top}V${bottom}H${right}` }, svg);
  node("text", { x: (MARGIN.left + right) / 2, y: height - 4, "text-anchor": "middle" }, svg, options.x.label);
  node("text", { x: 11, y: (MARGIN.top + bottom) / 2, "text-anchor": "middle",
    transform: `rotate(-90 11 ${(MARGIN.top + bottom) / 2})` }, svg, options.y.label);
  return { svg, plot, x, y, width, height, right, bottom };
}

function path(points, x, y) {
  let text = "", open = false;
  for (const [a, b] of points) {
    const good = b !== null && Number.isFinite(b) && (y.kind !== "log" || b > 0) && (x.kind !== "log" || a > 0);
    if (good) text += `${open ? "L" : "M"}${x.map(a).toFixed(1)},${y.map(b).toFixed(1)}`;
    open = good;
  }
  return text;
}

function area(lower, upper, x, y) {
  const floor = y.kind === "log" ? y.low : -Infinity;
  const keep = (points) => points.filter((p) => p[1] !== null).map(([a, b]) => [a, Math.max(b, floor)]);
  const top = keep(upper), under = keep(lower).reverse();
  if (!top.length || !under.length) return "";
  return path(top, x, y) + path(under, x, y).replace("M", "L") + "Z";
}

function extent(values, kind) {
  const good = values.filter((v) => v !== null && Number.isFinite(v) && (kind !== "log" || v > 0));
  if (!good.length) return null;
  let low = Infinity, high = -Infinity;
  for (const value of good) { low = Math.min(low, value); high = Math.max(high, value); }
  if (kind === "log") return low === high ? [low / 2, high * 2] : [low / 1.3, high * 1.3];
  if (low === high) return [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  return [low, high + (high - low) * 0.05];
}

function say(holder, text) {
  holder.replaceChildren(element("p", "empty", text));
}

// options: label, x {kind, label, low, high}, y {...}, lines [{name, color, dash, points, dots}], floors [points],
// bands [{color, lower, upper, opacity}], now, pick (called with x)
function lineChart(holder, options) {
  const drawn = frame(holder, options);
  const { plot, x, y, bottom } = drawn;
  for (const { points, color } of options.floors || []) {
    const under = points.map(([a]) => [a, y.low]);
    node("path", { class: "floor", d: area(under, points, x, y) }, plot);
    node("path", { class: "border", d: path(points, x, y), style: `stroke:${color}` }, plot);
  }
  for (const band of options.bands || []) {
    node("path", { d: area(band.lower, band.upper, x, y), fill: band.color, opacity: band.opacity }, plot);
  }
  for (const line of options.lines) {
    const style = `stroke:${line.color}`;
    if (line.dots) {
      for (const [a, b] of line.points) {
        if (b === null || (y.kind === "log" && b <= 0)) continue;
        node("circle", { cx: x.map(a).toFixed(1), cy: y.map(b).toFixed(1), r: 2.4, style: `fill:${line.color}` }, plot);
      }
      continue;
    }
    const made = node("path", { class: "line", d: path(line.points, x, y), style }, plot);
    if (line.dash) made.setAttribute("stroke-dasharray", line.dash);
    made.dataset.name = line.name;
  }
  if (options.now !== undefined) {
    node("line", { class: "now", x1: x.map(options.now), x2: x.map(options.now), y1: MARGIN.top, y2: bottom }, plot);
  }
  if (options.keys !== false) legend(holder, options);
  reading(holder, drawn, options);
  return drawn;
}

function legend(holder, options) {
  const box = element("div", "legend");
  for (const line of options.lines) {
    if (!line.name) continue;
    const item = element("span"), key = element("i", line.dots ? "key dot" : line.dash ? "key dash" : "key");
    key.style.color = line.color;
    item.append(key, line.name);
    box.append(item);
  }
  if ((options.floors || []).length) {
    const item = element("span"), key = element("i", "key box");
    key.style.color = "var(--floor)";
    item.append(key, "below the noise floor");
    box.append(item);
  }
  holder.append(box);
}

// What the pointer is over, in words; a click sets the step.
function reading(holder, drawn, options) {
  const words = element("div", "reading");
  holder.append(words);
  const xs = [...new Set(options.lines.flatMap((line) => line.points.map((p) => p[0])))].sort((a, b) => a - b);
  if (!xs.length) return;
  const nearest = (event) => {
    const box = drawn.svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * drawn.width;
    return xs.reduce((best, v) => (Math.abs(drawn.x.map(v) - at) < Math.abs(drawn.x.map(best) - at) ? v : best), xs[0]);
  };
  drawn.svg.addEventListener("pointermove", (event) => {
    const at = nearest(event);
    const values = options.lines.filter((line) => line.name).map((line) => {
      const point = line.points.find((p) => p[0] === at);
      return point ? `${line.name} ${short(point[1])}` : null;
    });
    words.textContent = `${options.x.label} ${short(at)}: ${values.filter(Boolean).join(", ")}`;
  });
  drawn.svg.addEventListener("pointerleave", () => { words.textContent = ""; });
  if (options.pick) {
    drawn.svg.style.cursor = "pointer";
    drawn.svg.addEventListener("click", (event) => options.pick(nearest(event)));
  }
}

const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121],
  [110, 206, 88], [181, 222, 43], [253, 231, 37]];

function shade(share) {
  const at = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1), i = Math.min(VIRIDIS.length - 2, Math.floor(at));
  const mix = VIRIDIS[i].map((c, j) => Math.round(c + (VIRIDIS[i + 1][j] - c) * (at - i)));
  return `rgb(${mix.join(",")})`;
}

function edges(centers) {
  const middle = centers.slice(1).map((c, i) => (c + centers[i]) / 2);
  const first = centers.length > 1 ? middle[0] : centers[0] + 0.5, last = middle.length ? middle.at(-1) : centers[0] - 0.5;
  return [Math.max(0, 2 * centers[0] - first), ...middle, 2 * centers.at(-1) - last];
}

// options: as lineChart, values[step][index] (null: hidden), hidden[step][index] true below the floor, steps, index
function heatMap(holder, options) {
  const drawn = frame(holder, { ...options, room: 66 });
  const { svg, plot, x, y, right, bottom } = drawn;
  const ratio = 2, canvas = document.createElement("canvas");
  canvas.width = Math.round(right - MARGIN.left) * ratio;
  canvas.height = Math.round(bottom - MARGIN.top) * ratio;
  const pen = canvas.getContext("2d");
  const flat = options.values.flat().filter((v) => v !== null && Number.isFinite(v));
  const low = flat.length ? flat.reduce((a, b) => Math.min(a, b)) : 0, high = flat.length ? flat.reduce((a, b) => Math.max(a, b)) : 1;
  const columns = edges(options.steps), rows = edges(options.index);
  const grey = getComputedStyle(document.body).getPropertyValue("--floor");
  options.values.forEach((column, i) => column.forEach((value, j) => {
    const left = (x.map(columns[i]) - MARGIN.left) * ratio, end = (x.map(columns[i + 1]) - MARGIN.left) * ratio;
    const top = (y.map(Math.max(rows[j], y.low)) - MARGIN.top) * ratio, under = (y.map(rows[j + 1]) - MARGIN.top) * ratio;
    if (value === null && !options.hidden[i][j]) return;
    pen.fillStyle = options.hidden[i][j] ? grey : shade((value - low) / (high - low || 1));
    pen.fillRect(Math.floor(left), Math.floor(top), Math.ceil(end - left) + 1, Math.ceil(under - top) + 1);
  }));
  node("image", { href: canvas.toDataURL(), x: MARGIN.left, y: MARGIN.top, width: right - MARGIN.left, height: bottom - MARGIN.top,
    preserveAspectRatio: "none" }, plot);
  node("line", { class: "now", x1: x.map(options.now), x2: x.map(options.now), y1: MARGIN.top, y2: bottom }, plot);
  const bar = drawn.width - MARGIN.right - 52;
  for (let i = 0; i < 40; i += 1) {
    const tall = (bottom - MARGIN.top) / 40;
    node("rect", { x: bar, y: bottom - (i + 1) * tall, width: 12, height: tall + 0.6, fill: shade((i + 0.5) / 40) }, svg);
  }
  for (const share of [0, 0.5, 1]) {
    node("text", { x: bar + 16, y: bottom - share * (bottom - MARGIN.top) + (share === 1 ? 9 : share === 0 ? 0 : 4) }, svg,
      short(Number(options.unscale(low + share * (high - low)).toPrecision(2))));
  }
  legend(holder, { lines: [], floors: options.hidden.some((c) => c.some(Boolean)) ? [1] : [] });
  const lines = [{ name: "", points: options.steps.map((s) => [s, 0]) }];
  reading(holder, drawn, { ...options, lines });
  return drawn;
}

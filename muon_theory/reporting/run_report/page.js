// The page: state, controls, and what each chart shows of the data.

const DATA = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const state = { run: 0, layer: 0, kinds: new Set(), place: 0, timer: null, hiddenSets: new Set(), found: [] };
const SHOWN_SETS = ["jordan_2024", "you_2024", "amsel_2025", "grishina_2025", "cubic5_2026", "taylor_5"];

const run = () => DATA.runs[state.run];
const layer = () => run().layers[state.layer];
const color = (name) => (name === "exact" ? "var(--exact)" : DATA.colors[name] || "var(--accent)");

function stepsOf(one) {
  const found = new Set();
  for (const series of Object.values(one.series)) series.steps.forEach((s) => found.add(s));
  if (one.deficits) one.deficits.steps.forEach((s) => found.add(s));
  return [...found].sort((a, b) => a - b);
}

const now = () => state.steps[state.place];

// The place in ascending steps of the last one that is not after the shown step.
function placeAt(steps) {
  let place = 0;
  steps.forEach((s, i) => { if (s <= now()) place = i; });
  return place;
}

function stepAxis(steps) {
  const kind = by("log-step").checked ? "log1p" : "linear";
  const low = steps[0], high = steps.at(-1);
  return { kind, low, high: high === low ? low + 1 : high, label: "step" };
}

function shownKinds() {
  return DATA.kinds.filter((kind) => state.kinds.has(kind) && layer().series[kind]);
}

function drawSpectrum() {
  const holder = by("spectrum"), relative = by("relative").checked, kind = by("log-sigma").checked ? "log" : "linear";
  const lines = [], floors = [];
  for (const name of shownKinds()) {
    const series = layer().series[name], i = placeAt(series.steps), sigma = series.sigma[i];
    const unit = relative ? sigma[0] || 1 : 1;
    lines.push({ name, color: color(name), points: series.index.map((x, j) => [x, sigma[j] === null ? null : sigma[j] / unit]) });
    if (series.floor[i] !== null) {
      floors.push({ color: color(name), points: series.index.map((x) => [x, series.floor[i] / unit]) });
    }
  }
  const values = lines.flatMap((line) => line.points.map((p) => p[1]));
  const range = extent(values, kind);
  if (!range) return say(holder, lines.length ? "Zero, or not finite, at this step." : "No kind is selected.");
  if (kind === "log") {
    const floor = extent(floors.flatMap((f) => f.points.map((p) => p[1])), kind);
    range[0] = floor ? Math.max(Math.min(range[0], floor[0] / 4), floor[0] / 30) : Math.max(range[0], range[1] * 1e-12);
  } else range[0] = 0;
  const index = lines.flatMap((line) => line.points.map((p) => p[0]));
  lineChart(holder, { label: `Singular values of ${layer().name} at step ${now()}`, lines, floors, height: 260,
    x: { kind: by("log-index").checked ? "log" : "linear", low: 1, high: Math.max(2, ...index), label: "index" },
    y: { kind, low: range[0], high: range[1], label: relative ? "sigma / sigma_1" : "sigma" } });
}

function drawTime() {
  const holder = by("time"), name = by("time-kind").value, series = layer().series[name];
  if (!series) return say(holder, "No such kind was recorded for this layer.");
  const relative = by("relative").checked, log = by("log-sigma").checked;
  const unit = series.sigma.map((sigma) => (relative ? sigma[0] || 1 : 1));
  const pick = (step) => setPlace(state.steps.reduce((b, s, i) => (Math.abs(s - step) < Math.abs(state.steps[b] - step) ? i : b), 0));
  const common = { now: now(), pick, height: 240, x: stepAxis(series.steps), label: `${name} of ${layer().name} over time` };
  if (by("time-view").value === "heat") {
    const scale = log ? (v) => (v > 0 ? Math.log10(v) : null) : (v) => v;
    const hidden = series.sigma.map((sigma, i) => sigma.map((v) => v !== null && series.floor[i] !== null && v <= series.floor[i]));
    const values = series.sigma.map((sigma, i) => sigma.map((v, j) => (v === null || hidden[i][j] ? null : scale(v / unit[i]))));
    const most = series.index.at(-1);
    return heatMap(holder, { ...common, values, hidden, steps: series.steps, index: series.index, unscale: log ? (v) => 10 ** v : (v) => v,
      y: { kind: by("log-index").checked && most > 1 ? "log" : "linear", low: by("log-index").checked ? 1 : 0.5, high: most + 0.5, down: true, label: "index" } });
  }
  const level = (share) => series.steps.map((step, i) => [step, quantile(series, i, share) === null ? null : quantile(series, i, share) / unit[i]]);
  const kind = log ? "log" : "linear", floors = [{ color: color(name),
    points: series.steps.map((s, i) => [s, series.floor[i] === null ? null : series.floor[i] / unit[i]]) }];
  const lines = [["largest", 1], ["median", 0.5], ["smallest", 0]].map(([title, share]) => ({ name: title, color: color(name),
    dash: { largest: "6 3", smallest: "2 3" }[title], points: level(share) }));
  const range = extent(lines.flatMap((line) => line.points.map((p) => p[1])), kind);
  if (!range) return say(holder, "Zero, or not finite, throughout.");
  const floor = extent(floors[0].points.map((p) => p[1]), kind);
  if (kind === "log") range[0] = floor ? Math.max(Math.min(range[0], floor[0] / 4), floor[0] / 30) : range[0];
  else range[0] = 0;
  const bands = [[0.1, 0.9, 0.18], [0.25, 0.75, 0.3]].map(([a, b, opacity]) => ({ color: color(name), opacity, lower: level(a), upper: level(b) }));
  return lineChart(holder, { ...common, lines, bands, floors, y: { kind, low: range[0], high: range[1], label: relative ? "sigma / sigma_1" : "sigma" } });
}

// The quantile of a spectrum between its shown singular values; level 1 is the largest.
function quantile(series, i, share) {
  const sigma = series.sigma[i], last = series.index.at(-1), at = 1 + (1 - share) * (last - 1);
  const j = series.index.findIndex((x) => x >= at - 1e-9);
  if (sigma[j] === null || j <= 0) return sigma[Math.max(j, 0)];
  const part = (at - series.index[j - 1]) / (series.index[j] - series.index[j - 1]);
  return sigma[j - 1] + part * (sigma[j] - sigma[j - 1]);
}

function drawOverTime(id, lines, label, y, extra) {
  const used = lines.filter((line) => line.points.some((p) => p[1] !== null));
  const range = extent(used.flatMap((line) => line.points.map((p) => p[1])), "linear");
  if (!range) return say(by(id), "Nothing to show for what is selected.");
  if (y.zero) range[0] = Math.min(0, range[0]);
  const pick = (step) => setPlace(Math.max(0, state.steps.indexOf(step)));
  return lineChart(by(id), { label, lines: used, now: now(), pick, x: stepAxis(state.steps),
    y: { kind: "linear", low: y.low ?? range[0], high: y.high ?? range[1], label: y.label }, ...extra });
}

function drawRank() {
  const name = by("rank-name").value, title = by("rank-name").selectedOptions[0].textContent;
  const lines = shownKinds().map((kind) => {
    const series = layer().series[kind];
    return { name: kind, color: color(kind), points: series.steps.map((s, i) => [s, series[name][i]]) };
  });
  drawOverTime("rank", lines, `${title} of ${layer().name}`, { label: title, zero: true });
}

function drawDeficit() {
  const found = layer().deficits, count = Number(by("deficit-steps").value);
  by("deficit-kind").textContent = "";
  if (!found) return say(by("deficit"), "No LMO input, momentum or gradient was recorded for this layer.");
  by("deficit-kind").textContent = found.kind === "lmo_input" ? "on the recorded LMO input" : `on the recorded ${found.kind} (no LMO input)`;
  const lines = Object.entries(found.methods).filter(([name]) => !state.hiddenSets.has(name)).map(([name, table]) => (
    { name, color: color(name), points: found.steps.map((s, i) => [s, table[count - 1][i]]) }));
  return drawOverTime("deficit", lines, `Alignment deficit on ${layer().name}, ${count} steps`, { label: "deficit", zero: true }, { keys: false });
}

function image(method, count, x) {
  if (method === "exact") return x > 0 ? 1 : 0;
  if (method === "none") return x;
  const chosen = DATA.methods[method];
  let value = x / chosen.safety;
  for (const row of chosen.rows.slice(0, count)) {
    const square = value * value;
    value *= row.reduceRight((sum, c) => sum * square + c, 0);
  }
  return Math.abs(value);
}

// All singular values, the logarithm interpolated over the index between those that are shown.
function whole(index, sigma) {
  const found = [];
  let j = 0;
  for (let x = 1; x <= index.at(-1); x += 1) {
    while (index[j] < x) j += 1;
    if (index[j] === x) { found.push(sigma[j]); continue; }
    const part = (x - index[j - 1]) / (index[j] - index[j - 1]), a = sigma[j - 1], b = sigma[j];
    found.push(a > 0 && b > 0 ? a * (b / a) ** part : a + part * (b - a));
  }
  return found;
}

function drawUpdate() {
  const holder = by("update"), text = by("update-text"), input = layer().series.lmo_input, update = layer().series.update;
  text.textContent = "";
  if (!input || !update || input.index.at(-1) !== update.index.at(-1)) return say(holder, "Needs the kinds lmo_input and update.");
  const i = placeAt(input.steps), j = placeAt(update.steps), method = by("update-method").value, count = Number(by("update-steps").value);
  const size = input.frobenius[i], recorded = update.sigma[j];
  if (!size || recorded[0] === null || input.sigma[i][0] === null) return say(holder, "Zero, or not finite, at this step.");
  const all = whole(input.index, input.sigma[i]).map((v) => image(method, count, v / size)).sort((a, b) => b - a);
  const images = update.index.map((x) => all[x - 1]);
  const scale = images.reduce((s, v, k) => s + v * recorded[k], 0) / images.reduce((s, v) => s + v * v, 0);
  const off = Math.hypot(...recorded.map((v, k) => v - scale * images[k])) / Math.hypot(...recorded);
  const best = layer().fit;
  text.textContent = `Scale (learning rate times shape factor) ${short(scale)}; off by ${short(100 * off)} % at the values drawn, between which the input is interpolated.`
    + (best ? ` Best over all steps: ${best.method}${best.steps ? `, ${best.steps} steps` : ""}, off by ${short(100 * best.error)} %.` : "");
  const lines = [{ name: "recorded", color: color("update"), dots: true, points: update.index.map((x, k) => [x, recorded[k] / scale]) },
    { name: "predicted", color: "var(--exact)", points: all.map((v, k) => [k + 1, v]) }];
  const range = extent(lines.flatMap((line) => line.points.map((p) => p[1])), "linear");
  if (!range) return say(holder, "Zero, or not finite, at this step.");
  return lineChart(holder, { label: `Recorded and predicted update of ${layer().name}`, lines,
    x: { kind: by("log-index").checked ? "log" : "linear", low: 1, high: Math.max(2, update.index.at(-1)), label: "index" },
    y: { kind: "linear", low: 0, high: range[1], label: "sigma / scale" } });
}

function drawDrift() {
  const found = layer().drift;
  if (!found) return say(by("drift"), "No matrices of this layer were stored.");
  const lines = Object.entries(found).filter(([kind]) => state.kinds.has(kind)).flatMap(([kind, d]) => [
    { name: `${kind}, left`, color: color(kind), points: d.steps.map((s, i) => [s, d.left[i]]) },
    { name: `${kind}, right`, color: color(kind), dash: "4 3", points: d.steps.map((s, i) => [s, d.right[i]]) }]);
  const k = Object.values(found)[0].k;
  by("drift-text").textContent = `Mean squared cosine of the principal angles between the ${k} leading singular directions of a step and of the recorded one before.`;
  return drawOverTime("drift", lines, `Overlap of leading subspaces of ${layer().name}`, { label: "overlap", low: 0, high: 1.02 });
}

function draw() {
  const all = state.steps.length;
  by("step-text").value = `step ${now()} (${state.place + 1} of ${all} shown)`;
  by("step").setAttribute("aria-valuetext", `step ${now()}`);
  drawSpectrum(); drawTime(); drawRank(); drawDeficit(); drawUpdate(); drawDrift();
}

function setPlace(place) {
  state.place = Math.min(Math.max(place, 0), state.steps.length - 1);
  by("step").value = state.place;
  draw();
}

function pause() {
  clearInterval(state.timer);
  state.timer = null;
  by("play").textContent = "Play";
  by("play").setAttribute("aria-pressed", "false");
}

function togglePlay() {
  if (state.timer) return pause();
  if (state.place >= state.steps.length - 1) setPlace(0);
  by("play").textContent = "Pause";
  by("play").setAttribute("aria-pressed", "true");
  state.timer = setInterval(() => (state.place >= state.steps.length - 1 ? pause() : setPlace(state.place + 1)), 120);
  return undefined;
}

function option(select, value, text) {
  const made = element("option", "", text ?? value);
  made.value = value;
  select.append(made);
}

function chooseLayer(place) {
  const step = state.steps ? now() : null;
  state.layer = place;
  state.steps = stepsOf(layer());
  state.place = step === null ? state.steps.length - 1 : placeNear(step);
  by("step").max = state.steps.length - 1;
  by("step").value = state.place;
  const select = by("time-kind"), before = select.value || "lmo_input";
  select.replaceChildren();
  DATA.kinds.filter((kind) => layer().series[kind]).forEach((kind) => option(select, kind));
  if (layer().series[before]) select.value = before;
  const fit = layer().fit;
  by("update-method").value = fit ? fit.method : "jordan_2024";
  by("update-steps").value = fit && fit.steps >= 1 && by("update-steps").querySelector(`[value="${fit.steps}"]`) ? fit.steps : 5;
  by("update-steps").disabled = ["exact", "none"].includes(by("update-method").value);
  for (const item of by("layers").children) {
    const chosen = Number(item.dataset.place) === place;
    item.setAttribute("aria-selected", chosen);
    if (chosen) { by("layers").setAttribute("aria-activedescendant", item.id); item.scrollIntoView({ block: "nearest" }); }
  }
  draw();
}

const placeNear = (step) => state.steps.reduce((b, s, i) => (Math.abs(s - step) <= Math.abs(state.steps[b] - step) ? i : b), 0);

function listLayers() {
  const wanted = by("search").value.trim().toLowerCase(), list = by("layers");
  list.replaceChildren();
  state.found = run().layers.map((one, place) => place).filter((place) => run().layers[place].name.toLowerCase().includes(wanted));
  for (const place of state.found) {
    const one = run().layers[place], item = element("li", "", one.name);
    item.append(element("span", "", `${one.rows} x ${one.columns}`));
    item.id = `layer-${place}`;
    item.dataset.place = place;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", place === state.layer);
    item.addEventListener("click", () => chooseLayer(place));
    list.append(item);
  }
  by("matches").textContent = wanted ? `${state.found.length} of ${run().layers.length} layers` : `${run().layers.length} layers`;
}

function onListKey(event) {
  const at = state.found.indexOf(state.layer), last = state.found.length - 1;
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
  if (to === undefined || last < 0) return;
  event.preventDefault();
  chooseLayer(state.found[Math.min(Math.max(to, 0), last)]);
}

function chooseRun(place) {
  pause();
  state.run = place;
  state.layer = 0;
  const one = run();
  by("summary").textContent = `${one.name}: ${one.events} recorded steps (${one.first} to ${one.last}), ${one.spectra} spectra, ${one.layers.length} layers`;
  by("search").value = "";
  listLayers();
  chooseLayer(0);
}

function planTable() {
  const plan = DATA.plan, table = by("plan");
  if (!plan) { by("plan-text").textContent = "No plan could be made for this recording."; return; }
  const percent = (v) => `${short(100 * v)} %`, best = plan.chosen;
  by("plan-text").textContent = best
    ? `Cheapest that keeps the alignment deficit within ${short(plan.tolerance)} on ${percent(plan.share)} of ${plan.matrices} recorded matrices (${plan.kind}): ${best.method}, ${best.steps} steps of degree ${best.degree}, ${best.dtype}, ${best.form} form. Below it what doing less would lose.`
    : `No iteration keeps the alignment deficit within ${short(plan.tolerance)} on ${percent(plan.share)} of ${plan.matrices} recorded matrices (${plan.kind}). The best that there are:`;
  const head = table.createTHead().insertRow(), body = table.createTBody();
  ["set", "steps", "degree", "dtype", "form", "Mflop", "cost", "deficit", "mean", "overshoot", "within"].forEach((name, i) => {
    const cell = element("th", i === 0 || i === 3 || i === 4 ? "name" : "", name);
    cell.scope = "col";
    head.append(cell);
  });
  const reference = (best || plan.doing_less[0] || {}).cost;
  for (const each of [...(best ? [best] : []), ...plan.doing_less]) {
    const line = body.insertRow();
    if (each === best) line.className = "chosen";
    [each.method, each.steps, each.degree, each.dtype, each.form, short(each.flops / 1e6), percent(each.cost / reference), short(each.deficit),
      short(each.mean_deficit), short(each.overshoot), percent(each.share_within)].forEach((value, i) => {
      const cell = line.insertCell();
      cell.textContent = value;
      if (i === 0 || i === 3 || i === 4) cell.className = "name";
    });
  }
  by("plan-note").textContent = `Deficit: what ${percent(plan.share)} of the matrices stay within, a modelled rounding floor of the dtype included. Mflop: products a matrix. Cost: Mflop over the speed of the dtype (bfloat16 taken as twice float32), in % of the first row.`
    + (plan.left_out ? ` ${plan.left_out} matrices that are zero or not finite are left out.` : "");
}

function start() {
  by("title").textContent = DATA.title;
  by("drift-section").hidden = !DATA.runs.some((r) => r.layers.some((one) => one.drift));
  document.querySelector(".charts").classList.toggle("odd", by("drift-section").hidden);
  DATA.runs.forEach((one, i) => option(by("run"), i, one.name));
  by("run-choice").hidden = DATA.runs.length < 2;
  for (const kind of DATA.kinds) {
    state.kinds.add(kind);
    const box = element("input"), label = element("label"), key = element("i", "key");
    box.type = "checkbox"; box.checked = true; box.value = kind;
    key.style.color = color(kind);
    box.addEventListener("change", () => { state.kinds[box.checked ? "add" : "delete"](kind); draw(); });
    label.append(box, " ", key, ` ${kind}`);
    by("kinds").append(label);
  }
  for (let q = 1; q <= 8; q += 1) { option(by("deficit-steps"), q); option(by("update-steps"), q); }
  for (const method of Object.values(DATA.methods)) {
    if (method.natural > 8 && !by("update-steps").querySelector(`[value="${method.natural}"]`)) option(by("update-steps"), method.natural);
  }
  by("deficit-steps").value = 5;
  for (const name of Object.keys(DATA.methods)) {
    option(by("update-method"), name);
    if (!SHOWN_SETS.includes(name)) state.hiddenSets.add(name);
    const button = element("button", "", ""), key = element("i", "key");
    button.type = "button";
    key.style.color = color(name);
    button.append(key, name);
    button.setAttribute("aria-pressed", !state.hiddenSets.has(name));
    button.addEventListener("click", () => {
      state.hiddenSets[state.hiddenSets.has(name) ? "delete" : "add"](name);
      button.setAttribute("aria-pressed", !state.hiddenSets.has(name));
      drawDeficit();
    });
    by("deficit-sets").append(button);
  }
  option(by("update-method"), "exact", "exact polar factor");
  option(by("update-method"), "none", "none (SGD)");
  DATA.notes.forEach((note) => by("notes").append(element("li", "", note)));
  planTable();
  by("run").addEventListener("change", () => { state.steps = null; chooseRun(Number(by("run").value)); });
  by("search").addEventListener("input", listLayers);
  by("search").addEventListener("keydown", (event) => { if (event.key === "ArrowDown") { event.preventDefault(); by("layers").focus(); } });
  by("layers").addEventListener("keydown", onListKey);
  by("play").addEventListener("click", togglePlay);
  by("step").addEventListener("input", () => setPlace(Number(by("step").value)));
  for (const id of ["log-sigma", "log-index", "log-step", "relative"]) by(id).addEventListener("change", draw);
  for (const id of ["time-kind", "time-view"]) by(id).addEventListener("change", drawTime);
  by("rank-name").addEventListener("change", drawRank);
  by("deficit-steps").addEventListener("change", drawDeficit);
  for (const id of ["update-method", "update-steps"]) {
    by(id).addEventListener("change", () => { by("update-steps").disabled = ["exact", "none"].includes(by("update-method").value); drawUpdate(); });
  }
  let waiting = null;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 80); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  chooseRun(0);
}

start();

// Drawings on canvases: roofline, timeline, memory, graphs.

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const tip = make("div", { id: "tip" });
function tell(event, text) {
  if (!tip.parentNode) document.body.append(tip);
  tip.style.display = text ? "block" : "none";
  if (!text) return;
  tip.textContent = text;
  tip.style.left = Math.min(event.clientX + 12, window.innerWidth - tip.offsetWidth - 6) + "px";
  tip.style.top = Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 6) + "px";
}

function canvasOf(height, draw, find) {
  const canvas = make("canvas", { height, style: `height:${height}px` });
  const state = { canvas, width: 0, height, draw: () => {
    const scale = window.devicePixelRatio || 1;
    state.width = canvas.clientWidth;
    canvas.width = Math.round(state.width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.font = "11px system-ui, sans-serif";
    draw(pen, state.width, height);
  } };
  const at = (e) => { const box = canvas.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
  canvas.addEventListener("pointermove", (e) => { const hit = find && find(...at(e)); tell(e, hit && hit.text); canvas.style.cursor = hit && hit.go ? "pointer" : ""; });
  canvas.addEventListener("pointerleave", (e) => tell(e, ""));
  canvas.addEventListener("click", (e) => { const hit = find && find(...at(e)); if (hit && hit.go && !state.moved) { tell(e, ""); location.hash = hit.go; } });
  afterwards.push(state.draw);
  new ResizeObserver(() => { if (canvas.clientWidth && canvas.clientWidth !== state.width) state.draw(); }).observe(canvas);
  return state;
}

// A view that is dragged and zoomed; `limits` are the most it shows in x.
function movable(state, view, redraw) {
  let from = null;
  state.canvas.style.touchAction = "none";
  state.canvas.addEventListener("pointerdown", (e) => { from = [e.clientX, e.clientY]; state.moved = false; state.canvas.setPointerCapture(e.pointerId); });
  state.canvas.addEventListener("pointerup", () => { from = null; });
  state.canvas.addEventListener("pointermove", (e) => {
    if (!from) return;
    view.x += e.clientX - from[0];
    view.y += e.clientY - from[1];
    state.moved = state.moved || Math.hypot(e.clientX - from[0], e.clientY - from[1]) > 2;
    from = [e.clientX, e.clientY];
    redraw();
  });
  state.canvas.addEventListener("wheel", (e) => {
    e.preventDefault();
    zoom(view, Math.exp(-e.deltaY / 400), e.offsetX, e.offsetY);
    redraw();
  }, { passive: false });
}
function zoom(view, by, x, y) {
  const k = Math.min(view.most || 40, Math.max(view.least || 0.01, view.k * by));
  view.x = x - ((x - view.x) * k) / view.k;
  view.y = y - ((y - view.y) * k) / view.k;
  view.k = k;
}

// ------------------------------------------------------------------------------------------------ roofline

function rooflineView() {
  const dots = kernels.filter((k) => k.launches && k.flops && k.bytes && k.seconds > 0);
  if (!dots.length) return [make("p", { class: "soft" }, "No kernel with arithmetic has run.")];
  const device = dots[0].device, top = M.devices[device].ceilings || {};
  const xs = dots.map((k) => k.intensity), ys = dots.map((k) => k.rate);
  const ridge = top.flops ? top.flops / top.copy : 1;
  const x0 = Math.min(...xs, ridge / 20) / 2, x1 = Math.max(...xs, ridge * 20) * 2;
  const y1 = Math.max(...ys, top.flops || 0) * 2, y0 = Math.max(Math.min(...ys) / 2, y1 / 1e7);
  const pad = { l: 84, r: 14, t: 12, b: 34 };
  const px = (x, w) => pad.l + ((w - pad.l - pad.r) * Math.log(x / x0)) / Math.log(x1 / x0);
  const py = (y, h) => h - pad.b - ((h - pad.t - pad.b) * Math.log(Math.max(y, y0) / y0)) / Math.log(y1 / y0);
  const radius = (k) => 3 + 9 * Math.sqrt(k.share);
  const state = canvasOf(380, (pen, w, h) => {
    pen.strokeStyle = css("line"); pen.fillStyle = css("soft"); pen.lineWidth = 1;
    for (let e = Math.ceil(Math.log10(x0)); 10 ** e <= x1; e++) {
      const x = px(10 ** e, w);
      pen.beginPath(); pen.moveTo(x, pad.t); pen.lineTo(x, h - pad.b); pen.stroke();
      pen.textAlign = "center"; pen.fillText(10 ** e >= 1 ? String(10 ** e) : (10 ** e).toPrecision(1), x, h - pad.b + 14);
    }
    for (let e = Math.ceil(Math.log10(y0)); 10 ** e <= y1; e++) {
      const y = py(10 ** e, h);
      pen.beginPath(); pen.moveTo(pad.l, y); pen.lineTo(w - pad.r, y); pen.stroke();
      pen.textAlign = "right"; pen.fillText(si(10 ** e, "FLOP/s").replace(".00", ""), pad.l - 4, y + 3);
    }
    pen.textAlign = "center"; pen.fillText("operations for each byte that must move", w / 2, h - 6);
    if (top.flops) {
      pen.strokeStyle = css("accent"); pen.lineWidth = 2; pen.beginPath();
      pen.moveTo(px(x0, w), py(x0 * top.copy, h)); pen.lineTo(px(ridge, w), py(top.flops, h)); pen.lineTo(px(x1, w), py(top.flops, h)); pen.stroke();
      pen.fillStyle = css("accent"); pen.textAlign = "right"; pen.fillText(si(top.flops, "FLOP/s"), w - pad.r - 4, py(top.flops, h) - 6);
      pen.textAlign = "left"; pen.fillText(si(top.copy, "B/s"), px(ridge / 15, w) + 8, py((top.copy * ridge) / 15, h) + 14);
    }
    for (const k of dots) {
      pen.fillStyle = css("warm"); pen.globalAlpha = 0.65;
      pen.beginPath(); pen.arc(px(k.intensity, w), py(k.rate, h), radius(k), 0, 7); pen.fill();
    }
    pen.globalAlpha = 1;
  }, (x, y) => {
    let best = null, least = 16;
    for (const k of dots) {
      const away = Math.hypot(px(k.intensity, state.width) - x, py(k.rate, state.height) - y) - radius(k);
      if (away < least) { least = away; best = k; }
    }
    return best && { go: "kernel=" + encodeURIComponent(best.name), text: `${best.name}\n${si(best.rate, "FLOP/s")}, ${si(best.moved, "B/s")}, ${ms(best.seconds)}` + (best.ceiling ? `\n${(100 * best.ceiling).toFixed(0)} % of the ceiling` : "") };
  });
  return [make("p", { class: "soft" }, `One dot for each of ${count(dots.length)} kernels on ${device}; its area tells its share of the time. Above the line: data came from a cache.`), state.canvas];
}

// ------------------------------------------------------------------------------------------------ timeline, memory

function timelineView() {
  if (!M.launches.length) return [make("p", { class: "soft" }, "Nothing was launched.")];
  const end = M.totals.seconds, view = { x: 0, y: 0, k: 1, least: 1, most: 1e7 };
  const colours = new Map([...byName.keys()].map((name, i) => [name, `hsl(${(i * 137) % 360} 55% 55%)`]));
  const left = 70, toX = (t, w) => left + view.x + (t / end) * (w - left) * view.k;
  const rows = [["planning", M.plans.map((p, i) => ["plan " + i, p.start, p.seconds])], ["compiling", M.compilations.map(([start, n, s]) => [n + " programs", start, s])], ["kernels", M.launches.map(([name, , start, s]) => [name, start, s])]];
  const draw = (pen, w, h) => {
    view.x = Math.min(0, Math.max((w - left) * (1 - view.k), view.x));
    rows.forEach(([title, bars], row) => {
      const y = 8 + row * 40;
      let last = -1;
      for (const [name, start, seconds] of bars) {
        const x = toX(start, w), width = Math.max(1, toX(start + seconds, w) - x);
        if (x + width < left || x > w || (x + width < last + 0.5)) continue;
        last = x + width;
        pen.fillStyle = row === 2 ? colours.get(name) : css(row ? "warm" : "green");
        pen.fillRect(Math.max(left, x), y, Math.min(w, x + width) - Math.max(left, x), 30);
        if (width > 60) { pen.save(); pen.beginPath(); pen.rect(Math.max(left, x), y, width, 30); pen.clip(); pen.fillStyle = "#fff"; pen.textAlign = "left"; pen.fillText(name, Math.max(left, x) + 4, y + 19); pen.restore(); }
      }
      pen.fillStyle = css("ground"); pen.fillRect(0, y, left, 34);
      pen.fillStyle = css("soft"); pen.textAlign = "left"; pen.fillText(title, 4, y + 19);
    });
    const step = 10 ** Math.floor(Math.log10(end / view.k / 2));
    pen.fillStyle = css("soft"); pen.textAlign = "center";
    for (let t = Math.ceil((-view.x / ((w - left) * view.k)) * end / step) * step; toX(t, w) < w; t += step) if ((w - left) * view.k * step / end > 55 || Math.round(t / step) % 5 === 0) pen.fillText(ms(t), toX(t, w), h - 4);
  };
  const find = (x, y) => {
    const row = rows[Math.floor((y - 8) / 40)];
    if (!row) return null;
    let best = null, least = 4;
    for (const [name, start, seconds] of row[1]) {
      const a = toX(start, time.width), b = toX(start + seconds, time.width), away = x < a ? a - x : x > b ? x - b : 0;
      if (away < least) { least = away; best = { text: `${name}\n${ms(seconds)} at ${ms(start)}`, go: byName.has(name) ? "kernel=" + encodeURIComponent(name) : null }; }
    }
    return best;
  };
  const time = canvasOf(148, draw, find);
  const most = Math.max(1, ...M.memory.map(([, n]) => n));
  const level = canvasOf(170, (pen, w, h) => {
    const y = (n) => h - 20 - ((h - 34) * n) / most;
    pen.fillStyle = css("bar"); pen.globalAlpha = 0.5; pen.beginPath(); pen.moveTo(left, y(0));
    let now = 0, last = -9;
    for (const [t, n] of M.memory) {
      const x = toX(t, w);
      if (x > last + 0.7 || n !== now) { pen.lineTo(Math.max(left, x), y(now)); pen.lineTo(Math.max(left, x), y(n)); last = x; }
      now = n;
      if (x > w) break;
    }
    pen.lineTo(w, y(now)); pen.lineTo(w, y(0)); pen.fill(); pen.globalAlpha = 1;
    pen.fillStyle = css("soft"); pen.textAlign = "left"; pen.fillText(bytes(most), 4, y(most) + 8); pen.fillText("0", 4, y(0));
  }, (x) => {
    const t = ((x - left - view.x) / ((level.width - left) * view.k)) * end;
    let now = 0;
    for (const [when, n] of M.memory) { if (when > t) break; now = n; }
    return { text: `${bytes(now)} at ${ms(Math.max(0, t))}` };
  });
  const redraw = () => { time.draw(); level.draw(); };
  movable(time, view, redraw);
  movable(level, view, redraw);
  const button = (text, by) => make("input", { type: "button", value: text, onclick: () => { zoom(view, by, time.width / 2 - left, 0); redraw(); } });
  const only = () => {
    const first = M.launches[0][2], last = M.launches[M.launches.length - 1], space = time.width - left;
    view.k = Math.max(1, end / Math.max(1e-6, last[2] + last[3] - first));
    view.x = (-first / end) * space * view.k;
    redraw();
  };
  const launches = make("input", { type: "button", value: "launches", onclick: only });
  return [make("div", { class: "tools" }, button("closer", 2), button("farther", 0.5), launches, make("span", { class: "soft" }, "Drag to move, turn the wheel to zoom. Launches were waited for one by one.")), time.canvas, make("h2", {}, "Memory of the device"), level.canvas];
}

// ------------------------------------------------------------------------------------------------ graphs

// Layers by the longest way from a source; within a layer near what a node is computed from.
function layout(nodes, step) {
  const depth = nodes.map(() => 0), layers = [];
  nodes.forEach((n, i) => { depth[i] = n.from.reduce((most, s) => Math.max(most, depth[s] + 1), 0); });
  const users = nodes.map(() => []);
  nodes.forEach((n, i) => n.from.forEach((s) => users[s].push(i)));
  nodes.forEach((n, i) => { if (!n.from.length && users[i].length) depth[i] = Math.max(0, Math.min(...users[i].map((u) => depth[u])) - 1); });
  nodes.forEach((n, i) => { (layers[depth[i]] ||= []).push(i); });
  const x = nodes.map(() => 0);
  layers.forEach((layer) => layer && layer.forEach((i, at) => { x[i] = at; }));
  for (let round = 0; round < 6; round++) {
    const down = round % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      if (!layer) continue;
      const wish = new Map(layer.map((i) => { const near = down ? nodes[i].from : users[i]; return [i, near.length ? near.reduce((sum, s) => sum + x[s], 0) / near.length : x[i]]; }));
      layer.sort((a, b) => wish.get(a) - wish.get(b));
      let free = -Infinity;
      layer.forEach((i) => { x[i] = Math.max(free, wish.get(i)); free = x[i] + 1; });
      const shift = layer.reduce((sum, i) => sum + wish.get(i) - x[i], 0) / layer.length;
      layer.forEach((i) => { x[i] += shift; });
    }
  }
  nodes.forEach((n, i) => { n.x = x[i] * step; n.y = depth[i] * 58; });
}

function graphView(at) {
  const [number, kind] = (at || "").split(",");
  const biggest = M.plans.reduce((best, p, i) => (p.kernels.length > (M.plans[best] || { kernels: [] }).kernels.length ? i : best), 0);
  const plan = M.plans[number] || M.plans[biggest], chosen = M.plans.indexOf(plan), what = kind || "kernels";
  if (!plan) return [make("p", { class: "soft" }, "Nothing was planned.")];
  const nodes = { asked: () => graphNodes(plan.asked), nodes: () => graphNodes(plan.graph, plan), kernels: () => kernelNodes(plan) }[what]();
  const box = what === "kernels" ? 250 : 116;
  layout(nodes, box + 12);
  const view = { x: 0, y: 0, k: 1, least: 0.005, most: 3 };
  let ready = false;
  const colour = (n) => (n.group === undefined ? css("panel") : `hsl(${(n.group * 67) % 360} 60% ${matchMedia("(prefers-color-scheme: dark)").matches ? 28 : 82}%)`);
  const state = canvasOf(Math.max(320, Math.min(680, window.innerHeight - 230)), (pen, w, h) => {
    if (!ready) { fit(nodes, view, w, h, box); ready = true; }
    pen.translate(view.x, view.y); pen.scale(view.k, view.k);
    const seen = (n) => n.x * view.k + view.x > -box - 30 && n.x * view.k + view.x < w + 20 && n.y * view.k + view.y > -60 && n.y * view.k + view.y < h + 20;
    pen.strokeStyle = css("soft"); pen.globalAlpha = 0.5; pen.lineWidth = Math.max(0.8, 0.6 / view.k);
    pen.beginPath();
    for (const n of nodes) for (const s of n.from) if (seen(n) || seen(nodes[s])) { const m = nodes[s]; pen.moveTo(m.x + box / 2, m.y + 30); pen.bezierCurveTo(m.x + box / 2, m.y + 46, n.x + box / 2, n.y - 16, n.x + box / 2, n.y); }
    pen.stroke(); pen.globalAlpha = 1;
    for (const n of nodes) {
      if (!seen(n)) continue;
      pen.fillStyle = colour(n); pen.fillRect(n.x, n.y, box, 30);
      pen.strokeStyle = css("line"); pen.strokeRect(n.x, n.y, box, 30);
      if (view.k < 0.35) continue;
      pen.save(); pen.beginPath(); pen.rect(n.x, n.y, box, 30); pen.clip();
      pen.fillStyle = css("ink"); pen.textAlign = "left"; pen.fillText(n.title, n.x + 5, n.y + 13);
      pen.fillStyle = css("soft"); pen.fillText(n.sub, n.x + 5, n.y + 25); pen.restore();
    }
  }, (x, y) => {
    const a = (x - view.x) / view.k, b = (y - view.y) / view.k;
    const hit = nodes.find((n) => a >= n.x && a <= n.x + box && b >= n.y && b <= n.y + 30);
    return hit && { text: hit.text, go: hit.go };
  });
  movable(state, view, state.draw);
  const pick = make("select", { "aria-label": "plan", onchange: (e) => { location.hash = `graph=${e.target.value},${what}`; } },
    M.plans.slice(0, 500).map((p, i) => make("option", { value: i, ...(i === chosen ? { selected: "" } : {}) }, `plan ${i}: ${p.kernels.length} kernels, ${p.graph.length} nodes`)));
  const tabs = Object.entries({ asked: "as you wrote it", nodes: "before fusion, coloured by kernel", kernels: "after fusion" }).map(([key, title]) => make("a", { href: `#graph=${chosen},${key}`, class: key === what ? "on" : "" }, title));
  const button = (text, by) => make("input", { type: "button", value: text, onclick: () => { zoom(view, by, state.width / 2, state.height / 2); state.draw(); } });
  return [make("div", { class: "tools" }, pick, button("closer", 1.5), button("farther", 1 / 1.5)), make("div", { class: "tabs" }, tabs), state.canvas];
}
function fit(nodes, view, w, h, box) {
  const left = Math.min(...nodes.map((n) => n.x)), right = Math.max(...nodes.map((n) => n.x)) + box, low = Math.max(...nodes.map((n) => n.y)) + 30;
  view.k = Math.min(1.2, Math.max(0.45, Math.min((w - 20) / (right - left), (h - 20) / low)));
  view.x = (w - (right - left) * view.k) / 2 - left * view.k;
  view.y = 10;
}
function graphNodes(rows, plan) {
  const group = new Map();
  if (plan) plan.groups.forEach((members, g) => members.forEach((i) => group.set(i, g)));
  return rows.map(([op, text, nbytes, from, line], i) => {
    const g = group.get(i), name = plan && g !== undefined ? plan.kernels[plan.launch_of[g]] : null;
    return { title: op, sub: text.slice(text.indexOf("[") < 0 ? 0 : text.lastIndexOf("[")), from: from.filter((s) => s < i), group: g, go: name && byName.has(name) ? "kernel=" + encodeURIComponent(name) : null,
      text: `${text}\n${bytes(nbytes)}` + (line ? `\n${short(line[0])}:${line[1]}` : "") + (name ? `\nin ${name}` : "") };
  });
}
function kernelNodes(plan) {
  const groups = plan.groups.map((members, g) => ({ g, from: [] }));
  const edges = new Map();
  plan.boundaries.forEach((b) => { groups[b.later].from.push(b.earlier); edges.set(b.later, (edges.get(b.later) || []).concat(`${bytes(b.nbytes)}: ${b.reasons.join("; ")}`)); });
  return groups.map(({ g, from }) => {
    const name = plan.kernels[plan.launch_of[g]] || "copy or host", k = byName.get(name);
    return { title: name, sub: k && k.launches ? ms(k.best) + " at best" : "", from: [...new Set(from)].filter((s) => s < g), group: g, go: k ? "kernel=" + encodeURIComponent(name) : null,
      text: [name, `${plan.groups[g].length} nodes`, ...(edges.get(g) || []).map((e) => "reads " + e)].join("\n") };
  });
}

unpack().then((data) => {
  prepare(data);
  const t = M.totals;
  document.getElementById("headline").textContent = `${count(t.kernels)} kernels, ${count(t.launches)} launches, ${ms(t.kernel_seconds)} in kernels of ${ms(t.seconds)}`;
  window.addEventListener("hashchange", show);
  show();
}).catch((error) => { document.getElementById("main").textContent = "This page cannot be read: " + error; });

"use strict";
// The page of a dump: what is shown is told by the address behind #, so every view can be linked to.

const make = (tag, attributes, ...children) => {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) e.setAttribute(key, value);
  }
  e.append(...children.flat().filter((x) => x !== null && x !== undefined));
  return e;
};
const si = (value, unit) => {
  for (const [scale, sign] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= scale) return (value / scale).toPrecision(3) + " " + sign + unit;
  }
  return (value || 0).toPrecision(3) + " " + unit;
};
const bytes = (n) => (n < 1000 ? n + " B" : si(n, "B"));
const ms = (s) => (s >= 1 ? s.toFixed(2) + " s" : s >= 1e-3 ? (s * 1e3).toFixed(2) + " ms" : (s * 1e6).toFixed(1) + " µs");
const short = (path) => path.split("/").pop();
const count = (n) => n.toLocaleString("en");

let D, M, kernels, byName;
const textOf = new Map();

async function unpack() {
  const raw = Uint8Array.from(atob(document.getElementById("data").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function prepare(data) {
  D = data;
  M = D.manifest;
  kernels = M.kernels;
  kernels.forEach((k, i) => textOf.set(k.name, D.texts[i]));
  byName = new Map(kernels.map((k) => [k.name, k]));
  const total = M.totals.kernel_seconds || 1;
  for (const k of kernels) {
    const top = M.devices[k.device].ceilings || {};
    k.share = k.seconds / total;
    k.rate = k.launches ? (k.flops * k.launches) / k.seconds : 0;
    k.moved = k.launches ? (k.bytes * k.launches) / k.seconds : 0;
    k.ceiling = top.flops && k.launches ? Math.max(k.rate / top.flops, k.moved / top.copy) : null;
    k.intensity = k.bytes ? k.flops / k.bytes : 0;
    k.place = k.lines.length ? short(k.lines[k.lines.length - 1][0]) + ":" + k.lines[k.lines.length - 1][1] : "";
  }
}

// ------------------------------------------------------------------------------------------------ views

const VIEWS = {
  overview: ["Overview", overview],
  kernels: ["Kernels", kernelTable],
  lines: ["Lines", lineView],
  graph: ["Graph", (at) => graphView(at)],
  boundaries: ["Boundaries", boundaryTable],
  rewrites: ["Rewrites", rewriteView],
  timeline: ["Timeline and memory", () => timelineView()],
  roofline: ["Roofline", () => rooflineView()],
};

function show() {
  const [view, ...rest] = decodeURIComponent(location.hash.slice(1) || "overview").split("=");
  const name = view === "kernel" ? "kernels" : view in VIEWS ? view : "overview";
  const tabs = Object.entries(VIEWS).map(([key, [title]]) => make("a", { href: "#" + key, class: key === name ? "on" : "" }, title));
  document.getElementById("tabs").replaceChildren(...tabs);
  const main = document.getElementById("main");
  main.replaceChildren();
  delete main.dataset.ready;
  const at = rest.join("=");
  main.append(...[view === "kernel" ? kernelView(at) : VIEWS[name][1](at)].flat());
  main.dataset.ready = view;
  window.scrollTo(0, 0);
  for (const later of afterwards.splice(0)) later();
}
const afterwards = []; // what can only be drawn once its size is known

const kernelLink = (name) => make("a", { href: "#kernel=" + encodeURIComponent(name), class: "name" }, name);

function overview() {
  const t = M.totals;
  const host = Math.max(0, t.seconds - t.kernel_seconds - t.compile_seconds - t.plan_seconds);
  const cards = [
    [count(t.kernels), "different kernels"], [count(t.launches), "launches"], [ms(t.kernel_seconds), "in kernels"],
    [ms(t.compile_seconds), "compiling"], [ms(t.plan_seconds), "planning"], [ms(host), "host, and all else"],
    [bytes(t.memory), "memory at most"],
    [t.statements ? ((100 * t.mapped) / t.statements).toFixed(1) + " %" : "-", "of statements have a line"],
  ];
  const top = kernels.filter((k) => k.launches).sort((a, b) => b.seconds - a.seconds).slice(0, 8);
  const wins = (M.wins || []).map((win) =>
    make("tr", {}, make("td", { class: "n" }, ms(win.seconds)), make("td", {}, win.what, make("div", { class: "soft" }, win.how))));
  return [
    make("div", { class: "cards" }, cards.map(([value, what]) => make("div", { class: "card" }, make("b", {}, value), make("span", {}, what)))),
    make("p", { class: "soft" }, M.command.map(short).join(" ")),
    wins.length ? [make("h2", {}, "The largest wins"), make("table", {}, make("tbody", {}, wins))] : [],
    make("h2", {}, "Where the time goes"), tableOf(top, COLUMNS), make("h2", {}, "Roofline"), rooflineView(),
  ].flat();
}

const COLUMNS = [
  ["kernel", (k) => k.name, (k) => [kernelLink(k.name), make("div", { class: "bar", style: `width:${(100 * k.share).toFixed(1)}%` })]],
  ["line", (k) => k.place, (k) => k.place],
  ["launches", (k) => k.launches, (k) => count(k.launches), 1, 1],
  ["time", (k) => k.seconds, (k) => ms(k.seconds), 1],
  ["%", (k) => k.share, (k) => (100 * k.share).toFixed(1), 1],
  ["GFLOP/s", (k) => k.rate, (k) => (k.rate / 1e9).toFixed(1), 1, 1],
  ["GB/s", (k) => k.moved, (k) => (k.moved / 1e9).toFixed(1), 1, 1],
  ["% of ceiling", (k) => k.ceiling || 0, (k) => (k.ceiling === null ? "-" : (100 * k.ceiling).toFixed(0)), 1],
];

function tableOf(rows, columns, sorted) {
  const head = columns.map(([title, key, , number, wide]) =>
    make("th", { class: (number ? "n " : "") + (wide ? "wide" : ""), onclick: () => sorted && sorted(key) }, title));
  const body = rows.map((k) =>
    make("tr", { class: "row", onclick: () => { location.hash = "kernel=" + encodeURIComponent(k.name); } },
      columns.map(([, , cell, number, wide]) => make("td", { class: (number ? "n " : "") + (wide ? "wide" : "") }, cell(k)))));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, head)), make("tbody", {}, body)));
}

function kernelTable() {
  let key = (k) => k.seconds, down = -1, words = "";
  const place = make("div", {});
  const draw = () => {
    const rows = kernels.filter((k) => (k.launches || k.part_of.length) && (k.name + " " + k.place).includes(words));
    rows.sort((a, b) => (key(a) < key(b) ? -down : key(a) > key(b) ? down : 0));
    place.replaceChildren(tableOf(rows, COLUMNS, (chosen) => { down = key === chosen ? -down : -1; key = chosen; draw(); }));
  };
  draw();
  return [make("div", { class: "tools" },
    make("input", { placeholder: "name or file:line", "aria-label": "filter", oninput: (e) => { words = e.target.value; draw(); } }),
    make("span", { class: "soft" }, "Kernels that are part of a joined launch have no time of their own.")), place];
}

// ------------------------------------------------------------------------------------------------ one kernel

function kernelView(name) {
  const k = byName.get(name);
  if (!k) return [make("p", {}, "There is no kernel " + name + ".")];
  const machine = Object.entries(k.machine).map(([language, m]) =>
    [language + " machine code", Object.entries(m).filter(([key]) => key !== "kind").map(([key, n]) => `${count(n)} ${key}`).join(", ")]);
  const facts = [
    ["launches", k.launches ? `${count(k.launches)}, ${ms(k.seconds)} in all, ${ms(k.best)} at best` : "as a part"],
    ["speed", k.launches ? `${si(k.rate, "FLOP/s")}, ${si(k.moved, "B/s")}` + (k.ceiling === null ? "" : `, ${(100 * k.ceiling).toFixed(0)} % of the ceiling that binds`) : "-"],
    ["work", `${count(k.flops)} operations, at least ${bytes(k.bytes)}`],
    ["launch", `grid ${k.grid.join(" x ")}` + (k.local.length ? `, ${k.local.join(" x ")} items a group` : "")],
    ["arrays", k.params.map((p) => `${p.name} ${p.dtype}[${p.size}]${p.written ? " written" : ""}`).join(", ")],
    ...k.stores.map((s) => ["stores", s]), ...machine,
  ].map(([a, b]) => [make("dt", {}, a), make("dd", {}, b)]);
  if (k.parts.length) facts.push([make("dt", {}, "joined from"), make("dd", {}, k.parts.flatMap((p) => [kernelLink(p), " "]))]);
  if (k.part_of.length) facts.push([make("dt", {}, "part of"), make("dd", {}, k.part_of.flatMap((p) => [kernelLink(p), " "]))]);
  const mine = userPanel(k), theirs = sourcePanel(k);
  mine.chosen = (file, line) => theirs.mark((f, l) => f === file && l === line);
  theirs.chosen = (lines) => mine.mark(lines);
  return [make("h2", { class: "name" }, k.name), make("dl", {}, facts.flat()),
    make("div", { class: "two" }, make("div", {}, make("h3", {}, "Your lines"), mine.element), make("div", {}, theirs.element))];
}

function userPanel(k) {
  const panel = { chosen: () => {}, element: make("div", {}) };
  const rows = new Map();
  const files = [...new Set(k.lines.map(([file]) => file))];
  for (const file of files) {
    const at = D.files.findIndex((f) => f.path === file);
    const own = new Set(k.lines.filter(([f]) => f === file).map(([, line]) => line));
    const text = at < 0 ? "" : D.files[at].text;
    const pre = make("pre", {});
    (text ? text.split("\n") : []).forEach((line, i) => {
      const row = make("div", { class: own.has(i + 1) ? "has mark" : "", onclick: () => panel.chosen(file, i + 1) }, make("i", {}, String(i + 1)), line);
      rows.set(file + ":" + (i + 1), row);
      pre.append(row);
    });
    panel.element.append(make("div", { class: "soft" }, file), text ? pre : make("pre", { class: "wrap" }, [...own].map((l) => short(file) + ":" + l).join("\n")));
    const first = Math.min(...own);
    afterwards.push(() => { pre.scrollTop = Math.max(0, (rows.get(file + ":" + first) || pre).offsetTop - pre.offsetTop - 60); });
  }
  panel.mark = (lines) => {
    rows.forEach((row) => row.classList.remove("strong"));
    for (const [file, line] of lines) {
      const row = rows.get(file + ":" + line);
      if (row) { row.classList.add("strong"); row.parentNode.scrollTop = row.offsetTop - row.parentNode.offsetTop - 80; }
    }
  };
  return panel;
}

// Each rewrite of a kernel's algebra: its rule, and the lines it took away and put there.
function stepsView(steps) {
  return steps.slice(1).map(([rule, text], i) => {
    const [before, after] = [steps[i][1].split("\n"), text.split("\n")];
    const has = [new Set(before), new Set(after)];
    const rows = (lines, others, mark) => lines.map((line) => make("div", { class: others.has(line) ? "" : mark }, line));
    return make("details", i < 3 ? { open: "" } : {},
      make("summary", {}, make("b", {}, rule), make("span", { class: "soft" }, " " + (M.rules[rule] || ""))),
      make("div", { class: "soft" }, "before"), make("pre", { class: "wrap" }, rows(before, has[1], "gone")),
      make("div", { class: "soft" }, "after"), make("pre", { class: "wrap" }, rows(after, has[0], "new")));
  });
}

const TITLES = { opencl: "OpenCL", triton: "Triton", interpreted: "Kernel", algebra: "Algebra", steps: "Rewrites", schedule: "Schedule", nest: "Nest", x86: "Assembly", sass: "SASS", ptx: "PTX" };

function sourcePanel(k) {
  const texts = { ...textOf.get(k.name) };
  for (const kind of ["algebra", "schedule", "nest"]) if (k[kind]) texts[kind] = { text: k[kind] };
  if ((k.rewrites || []).length > 1) texts.steps = { text: "" };
  const panel = { chosen: () => {}, mark: () => {}, element: make("div", {}) };
  const tabs = make("div", { class: "tabs" }), place = make("div", {});
  const open = (kind) => {
    [...tabs.children].forEach((tab) => tab.classList.toggle("on", tab.dataset.kind === kind));
    if (kind === "steps") {
      panel.mark = () => {};
      place.replaceChildren(...stepsView(k.rewrites));
      return;
    }
    const { text, lines, table } = texts[kind];
    const linesOf = (i) => (lines && lines[i] >= 0 ? table[lines[i]] : []).map(([file, line]) => [D.files[file].path, line]);
    const rows = text.split("\n").map((line, i) =>
      make("div", { class: linesOf(i).length ? "has" : "", onclick: () => { clear(); rows[i].classList.add("strong"); panel.chosen(linesOf(i)); } }, make("i", {}, String(i + 1)), line));
    const clear = () => rows.forEach((row) => row.classList.remove("mark", "strong"));
    panel.mark = (is) => {
      clear();
      const found = rows.filter((row, i) => linesOf(i).some(([file, line]) => is(file, line)));
      found.forEach((row) => row.classList.add("mark"));
      if (found.length) pre.scrollTop = found[0].offsetTop - pre.offsetTop - 40;
    };
    const pre = make("pre", {}, rows);
    place.replaceChildren(pre);
    const first = rows.findIndex((row, i) => linesOf(i).length);
    if (first > 12) afterwards.push(() => { pre.scrollTop = rows[first].offsetTop - pre.offsetTop - 30; });
    if (document.getElementById("main").dataset.ready) for (const later of afterwards.splice(0)) later();
  };
  const kinds = Object.keys(TITLES).filter((kind) => texts[kind]);
  tabs.append(...kinds.map((kind) => make("a", { "data-kind": kind, onclick: () => open(kind) }, TITLES[kind])));
  if (kinds.length) open(kinds[0]);
  panel.element.append(tabs, place);
  return panel;
}

// ------------------------------------------------------------------------------------------------ lines

function lineView() {
  const cost = new Map();
  for (const k of kernels) {
    const seconds = k.launches ? k.seconds : 0;
    for (const [file, line] of k.lines) {
      const key = file + ":" + line;
      if (!cost.has(key)) cost.set(key, { seconds: 0, names: [] });
      cost.get(key).seconds += seconds;
      cost.get(key).names.push(k.name);
    }
  }
  const most = Math.max(1e-12, ...[...cost.values()].map((c) => c.seconds));
  const side = make("div", {}, make("p", { class: "soft" }, "Choose a line to see its kernels."));
  const panels = D.files.filter((f) => f.text).map((f) => {
    const rows = f.text.split("\n").map((text, i) => {
      const found = cost.get(f.path + ":" + (i + 1));
      const row = make("div", { class: found ? "has mark" : "" }, make("i", {}, String(i + 1)), text);
      if (!found) return row;
      row.style.background = `color-mix(in srgb, var(--strong) ${Math.round(15 + (75 * found.seconds) / most)}%, transparent)`;
      row.append(make("span", { class: "soft" }, `    ${ms(found.seconds)} in kernels of this line`));
      row.addEventListener("click", () => {
        rows.forEach((r) => r.classList.remove("strong"));
        row.classList.add("strong");
        const chosen = found.names.map((n) => byName.get(n)).sort((a, b) => b.seconds - a.seconds);
        side.replaceChildren(make("h3", {}, `${short(f.path)}:${i + 1}`), tableOf(chosen, COLUMNS.filter((c) => !c[4])));
      });
      if (found.seconds === most && found.seconds > 0) afterwards.push(() => { row.click(); row.parentNode.scrollTop = row.offsetTop - row.parentNode.offsetTop - 120; });
      return row;
    });
    return [make("div", { class: "soft" }, f.path), make("pre", {}, rows)];
  });
  return [make("p", { class: "soft" }, "Each kernel counts for every line it was fused from."), make("div", { class: "two" }, make("div", {}, panels.flat()), side)];
}

// ------------------------------------------------------------------------------------------------ boundaries, rewrites

function boundaryTable() {
  const rows = [];
  M.plans.forEach((plan, number) => plan.boundaries.forEach((b) => rows.push({ ...b, plan, number, cost: b.nbytes * Math.max(1, plan.runs || runsOf(number)) })));
  rows.sort((a, b) => b.cost - a.cost);
  const nameAt = (plan, group) => plan.kernels[plan.launch_of[group]] || "copy or host";
  const shown = rows.slice(0, 2000).map((b) => make("tr", {},
    make("td", { class: "n" }, bytes(b.cost)),
    make("td", {}, make("div", { class: "name" }, b.value), make("div", { class: "soft" }, b.line ? short(b.line[0]) + ":" + b.line[1] : "")),
    make("td", {}, linkOf(nameAt(b.plan, b.earlier)), make("div", {}, "→ ", linkOf(nameAt(b.plan, b.later)))),
    make("td", {}, b.reasons.map((r) => make("div", {}, make("span", { class: "reason" }, r), make("span", { class: "soft" }, M.advice[r] || ""))))));
  return [make("p", { class: "soft" }, `${count(rows.length)} values leave one kernel and are read by another. Cost: written once and read once, in all runs.`),
    make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, ["bytes", "value", "kernels", "all that keeps them apart"].map((t) => make("th", {}, t)))), make("tbody", {}, shown)))];
}
const linkOf = (name) => (byName.has(name) ? kernelLink(name) : make("span", { class: "soft" }, name));
const runsOf = (number) => {
  const plan = M.plans[number];
  return plan.kernels.length ? M.launches.filter(([, p]) => p === number).length / plan.kernels.length : 1;
};

function rewriteView() {
  return M.plans.slice(0, 200).flatMap((plan, number) => [
    make("h2", {}, `Plan ${number}: ${count(plan.asked.length)} nodes asked for, ${plan.kernels.length} kernels`),
    ...plan.rewrites.map((r) => make("details", {},
      make("summary", {}, make("b", {}, r.name), ` ${count(r.before)} → ${count(r.after)} nodes`),
      make("div", { class: "two" },
        make("pre", { class: "wrap del" }, r.removed.map((x) => "- " + x).join("\n") || "nothing removed"),
        make("pre", { class: "wrap add" }, r.added.map((x) => "+ " + x).join("\n") || "nothing added")))),
    plan.rewrites.length ? null : make("p", { class: "soft" }, "No rewrite changed anything."),
  ]);
}

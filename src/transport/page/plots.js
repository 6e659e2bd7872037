// Elements, figures as text, and small plots; texts are only ever set as text.

const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and children; a text becomes a text node.
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const pill = (text, kind = "idle") => el("span", { class: `pill ${kind}` }, text);

// A number with as many digits as say something.
export function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const digits = Number.isInteger(value) || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export const ms = (value) => (value === null || value === undefined ? "–" : `${number(value)} ms`);
export const percent = (share) => (share === null || share === undefined ? "–" : `${number(Math.round(share * 1000) / 10)} %`);

export function span(seconds) {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

// A curve of the last minute; a gap where there is no value.
export function sparkline(values, { label, unit = "", alarm = false }) {
  const known = values.filter((value) => value !== null && value !== undefined);
  const most = Math.max(...known, 0);
  const scale = most > 0 ? 34 / most : 0;
  const right = (place) => ((place + 60 - values.length) * 100) / 59;
  const parts = [];
  let part = [];
  values.forEach((value, place) => {
    if (value === null || value === undefined) {
      if (part.length) parts.push(part);
      part = [];
    } else part.push([right(place), 37 - value * scale]);
  });
  if (part.length) parts.push(part);
  const now = known.length ? known[known.length - 1] : 0;
  const told = `${label}, last minute: now ${number(now)}${unit}, highest ${number(most)}${unit}`;
  const made = svg("svg", { class: alarm && most > 0 ? "spark alarm" : "spark", viewBox: "0 0 100 38", preserveAspectRatio: "none", role: "img", "aria-label": told });
  made.append(svg("title"), svg("line", { class: "base", x1: 0, x2: 100, y1: 37.5, y2: 37.5 }));
  made.firstChild.textContent = told;
  for (const points of parts) {
    const first = points[0][0];
    const last = points[points.length - 1][0];
    if (points.length === 1) points.push([last + 0.8, points[0][1]]);
    const curve = points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");
    made.append(svg("polygon", { class: "area", points: `${first.toFixed(2)},37.5 ${curve} ${points[points.length - 1][0].toFixed(2)},37.5` }));
    made.append(svg("polyline", { class: "curve", points: curve }));
  }
  return made;
}

export const STAGES = [
  ["receive", "receiving"], ["validate", "checking"], ["user", "user side"], ["features", "inputs"], ["queue", "queue"],
  ["assemble", "joining"], ["run", "run"], ["scatter", "taking apart"], ["select", "sorting"],
];

// Where a request's time went: parts of a bar that is as long as the whole.
export function stack(times, total) {
  const told = STAGES.filter(([stage]) => times[stage] > 0).map(([stage, name]) => `${name} ${ms(times[stage])}`);
  const made = svg("svg", { class: "stack", viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img", "aria-label": told.join(", ") || "no stage" });
  const whole = Math.max(total, STAGES.reduce((sum, [stage]) => sum + (times[stage] || 0), 0), 1e-9);
  let at = 0;
  for (const [stage] of STAGES) {
    const width = ((times[stage] || 0) / whole) * 1000;
    if (width > 0) made.append(svg("rect", { class: stage, x: at.toFixed(2), y: 0, width: width.toFixed(2), height: 10 }));
    at += width;
  }
  return made;
}

export function legend(times) {
  const items = STAGES.filter(([stage]) => times[stage] > 0).map(([stage, name]) =>
    el("li", {}, svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: stage, width: 10, height: 10, rx: 2 })), `${name} ${ms(times[stage])}`));
  return el("ul", { class: "legend" }, items);
}

// A bar for a share from 0 to 1.
export function bar(share, name = "") {
  const made = svg("svg", { class: name, viewBox: "0 0 1000 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  made.append(svg("rect", { class: "share", width: (Math.min(Math.max(share, 0), 1) * 1000).toFixed(1), height: 10 }));
  return made;
}

// A table; columns are [title, class]. On a narrow screen each row is a card.
export function table(caption, columns, rows, kind = "cards") {
  const heads = columns.map(([title, name]) => el("th", { scope: "col", role: "columnheader", class: name }, title));
  const cell = (content, place) => {
    const [title, name] = columns[place];
    const blank = content === "" || content === null || content === "0";
    return el("td", { role: "cell", "data-label": title, class: `${name || ""}${blank ? " blank" : ""}` }, el("div", {}, content === null ? "" : content));
  };
  const body = rows.map((row) => el("tr", { role: "row" }, row.map(cell)));
  return el("div", { class: `scroll ${kind}`, tabindex: "0", role: "region", "aria-label": caption },
    el("table", { role: "table", "aria-label": caption },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)), el("tbody", { role: "rowgroup" }, body)));
}

export const empty = (text) => el("p", { class: "empty" }, text);

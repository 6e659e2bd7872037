// Asks /statusz once a second while somebody looks, and shows what it says.

import { bar, el, empty, ms, number, percent, pill, span, sparkline, stack, table } from "./plots.js";
import { chooseModels, startTrying } from "./trying.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 5000;
const STATES = { ready: "ok", shadow: "warn", failed: "bad", draining: "warn", verifying: "warn", loading: "warn", warming: "warn" };
const byId = (id) => document.getElementById(id);
const shown = new Map();
let answered = null;
let timer = null;

// Shows a section anew where what it shows has changed, so that what is selected in the others stays selected.
function show(id, data, make) {
  const text = JSON.stringify(data);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  byId(id).replaceChildren(...[make(data)].flat());
}

function tile(title, figure, unit, detail, plot) {
  const value = el("p", { class: "figure" }, figure, unit ? el("span", { class: "unit" }, ` ${unit}`) : null);
  return el("div", { class: "tile" }, el("h3", {}, title), value, el("p", { class: "detail" }, detail), plot);
}

function mostOf(counts) {
  return Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name} ${number(count)}`);
}

function tiles({ ten, seconds, report }) {
  const rate = (count) => (ten.seconds > 0 ? count / ten.seconds : 0);
  const of = (pick) => seconds.map(pick);
  const latency = ten.latency;
  const batches = ten.batches;
  const waiting = report.models.reduce((sum, model) => sum + model.queue.requests, 0);
  const rows = report.models.reduce((sum, model) => sum + model.queue.rows, 0);
  const failed = mostOf(ten.failures);
  const left = ten.left ? `${number(ten.left)} callers left` : "";
  const degraded = Object.values(ten.degraded).reduce((sum, count) => sum + count, 0);
  return [
    tile("Requests", number(rate(ten.requests)), "a second", `${number(ten.candidates)} candidates in 10 s`, sparkline(of((s) => s.requests), { label: "Requests a second" })),
    tile("Latency, 95th percentile", latency ? number(latency.p95_ms) : "–", latency ? "ms" : "", latency ? `median ${ms(latency.p50_ms)}, 99th ${ms(latency.p99_ms)}, longest ${ms(latency.max_ms)}` : "No request was ranked", sparkline(of((s) => s.p95_ms), { label: "95th percentile", unit: " ms" })),
    tile("Errors", number(rate(ten.failed)), "a second", [...failed, left].filter(Boolean).join(", ") || "None", sparkline(of((s) => s.failed), { label: "Errors a second", alarm: true })),
    tile("Batches", batches.rows_per_batch === null ? "–" : number(batches.rows_per_batch), batches.rows_per_batch === null ? "" : "rows each", batches.batches ? `fill ${percent(batches.fill)}, padding ${percent(batches.padding_share)}, run ${ms(batches.run_ms)}` : "No batch ran", sparkline(of((s) => s.rows_per_batch), { label: "Rows a batch" })),
    tile("User cache hits", ten.user_hit_share === null ? "–" : percent(ten.user_hit_share), "", ten.user_lookups ? `of ${number(ten.user_lookups)} lookups; ${mostOf(ten.user_states).join(", ")}` : "No user was looked up", null),
    tile("Queue", number(waiting), waiting === 1 ? "request waits" : "requests wait", `${number(rows)} rows; ${number(report.in_flight)} of ${number(report.max_in_flight)} in flight; ${number(degraded)} degraded, ${number(ten.refused)} refused in 10 s`, null),
  ];
}

function traffic(model) {
  const all = [];
  if (model.live) all.push(pill("live", "ok"));
  if (model.split_percent !== null) all.push(pill(`${number(model.split_percent)} % of users`));
  if (model.compared_percent !== null) all.push(pill(`compared on ${number(model.compared_percent)} %`));
  for (const caller of model.callers) all.push(pill(`caller ${caller}`));
  for (const label of model.labels.filter((label) => label !== "latest")) all.push(pill(`@${label}`));
  return all.length ? all : "";
}

function models({ versions, figures }) {
  if (!versions.length) return empty("No version is in the repository. Put a bundle there, or name another repository with --models.");
  const of = new Map(figures.map((model) => [`${model.name}/${model.version}`, model.last_10_s]));
  const columns = [["Model", ""], ["State", ""], ["Traffic", ""], ["Requests/s", "right"], ["Errors/s", "right"], ["p50", "right"], ["p95", "right"], ["p99", "right"],
    ["Rows/batch", "right"], ["Fill", "right"], ["Run", "right"], ["Waiting", "right"], ["Where", "tight"]];
  const rows = versions.map((model) => {
    const own = of.get(`${model.name}/${model.version}`);
    const needs = [model.role === "user_encoder" ? "user encoder" : model.role, model.encoder ? `needs ${model.encoder}` : ""].filter(Boolean).join(", ");
    const loaded = model.device !== "";
    const rate = (count) => (own && own.seconds > 0 ? number(count / own.seconds) : loaded ? "0" : "");
    const latency = own && own.latency;
    const batches = own && own.batches.batches ? own.batches : null;
    return [
      [el("strong", { class: "tight" }, `${model.name}/${model.version}`), el("span", { class: "sub" }, needs)],
      [pill(model.state, STATES[model.state]), model.state_reason ? el("span", { class: "sub" }, model.state_reason) : null],
      traffic(model), rate(own ? own.requests : 0), rate(own ? own.failed : 0),
      latency ? ms(latency.p50_ms) : "", latency ? ms(latency.p95_ms) : "", latency ? ms(latency.p99_ms) : "",
      batches ? number(batches.rows_per_batch) : "", batches ? percent(batches.fill) : "", batches ? ms(batches.run_ms) : "",
      loaded ? `${number(model.queue.requests)}` : "", loaded ? `${model.device} × ${model.instances}` : "",
    ];
  });
  return table("Versions of all models", columns, rows);
}

const STAGE_NAMES = ["receive", "validate", "user", "features", "queue", "assemble", "run", "scatter", "select"];
const stagesOf = (times) => Object.fromEntries(STAGE_NAMES.map((stage) => [stage, times[`${stage}_ms`]]));

const time = (at) => new Date(at).toLocaleTimeString("en-GB");

function slowest(requests) {
  if (!requests.length) return empty("No request has ended in the last minutes. Try one below, or run podium bench.");
  const columns = [["Took", "right"], ["Why", "told"], ["Where the time went", "plot"], ["Outcome", ""], ["Model", "tight"], ["Caller and request", "any"], ["Trace", "any"], ["Ended", "right"]];
  const rows = requests.map((one) => [
    el("strong", { class: "tight" }, ms(one.total_ms)),
    [pill(one.reason, one.reason === "NONE" ? "idle" : "warn"), el("span", { class: "sub" }, one.text)],
    stack(stagesOf(one.stages), one.total_ms),
    pill(one.outcome, one.outcome === "RANKED" ? "ok" : one.outcome === "LEFT" ? "idle" : "bad"),
    one.model ? [`${one.model}/${one.version}`, el("span", { class: "sub" }, `${number(one.candidates)} candidates`)] : "",
    one.caller || one.request_id ? [one.caller || "no caller", one.request_id ? el("span", { class: "sub" }, one.request_id) : null] : "",
    el("code", {}, one.trace_id), time(one.at_ms),
  ]);
  return table("Slowest requests", columns, rows, "cards tall");
}

function changes(all) {
  if (!all.length) return empty("Nothing has changed since the start. podium models promote NAME VERSION swaps a version.");
  const columns = [["When", "tight"], ["What", ""], ["Change", "any"]];
  const rows = all.slice(0, 40).map((one) => {
    const life = one.kind === "life";
    const route = one.label ? `Label ${one.label}` : "Live route";
    const what = life ? `${one.name}/${one.version}` : el("strong", {}, `${route} of ${one.name}`);
    const place = (text, none) => (life ? text || none : text ? `version ${text}` : "highest");
    const to = place(one.to, "gone");
    return [time(one.at_ms), what,
      [`${place(one.from, "new")} → `, life ? pill(to, STATES[one.to]) : el("strong", {}, to), one.reason ? el("span", { class: "sub" }, one.reason) : null]];
  });
  return table("Recent changes of versions and routes", columns, rows, "cards tall");
}

const VERDICTS = { waits: "warn", passes: "ok", fails: "bad" };

function comparisons(all) {
  if (!all.length) return empty("No version is compared with a live one. podium models shadow NAME VERSION begins that.");
  const columns = [["Version", ""], ["Verdict", "any"], ["Requests", "right"], ["Kendall tau", "right"], ["Overlap", "right"], ["PSI", "right"], ["Errors", "right"], ["p95", "right"]];
  const rows = all.map((one) => [
    [el("strong", { class: "tight" }, `${one.name}/${one.version}`), el("span", { class: "sub" }, `${one.beside} of ${one.baseline}`)],
    [one.verdict ? pill(one.verdict, VERDICTS[one.verdict]) : "no guard rails", one.verdict_reason ? el("span", { class: "sub" }, one.verdict_reason) : null],
    [number(one.requests), one.skipped ? el("span", { class: "sub" }, `${number(one.skipped)} skipped`) : null],
    number(one.kendall_tau), percent(one.top_k_overlap), number(one.psi),
    [percent(one.error_rate), el("span", { class: "sub" }, `live ${percent(one.baseline_error_rate)}`)],
    [ms(one.p95_ms), el("span", { class: "sub" }, `live ${ms(one.baseline_p95_ms)}`)],
  ]);
  return table("Versions beside the live ones", columns, rows);
}

function shares(title, counts, none) {
  const all = Object.entries(counts).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
  const sum = all.reduce((total, [, count]) => total + count, 0);
  const rows = all.flatMap(([name, count]) => [el("dt", {}, name), el("dd", {}, `${number(count)} (${percent(count / sum)})`), bar(count / sum)]);
  return el("div", {}, el("h3", {}, title), all.length ? el("dl", {}, rows) : el("p", { class: "detail" }, none));
}

function outcomes(sixty) {
  if (!sixty.requests) return empty("No request has ended in the last minute. Try one below, or run podium bench.");
  const ends = { RANKED: sixty.ranked, ...sixty.failures, LEFT: sixty.left };
  return el("div", { class: "panel shares" },
    shares("Ends", ends, ""), shares("Degraded answers", sixty.degraded, "None"),
    shares("User's side", sixty.user_states, "No model with a user side was asked"), shares("Why batches were closed", sixty.batches.closed, "No batch ran"));
}

function users(store) {
  const counts = Object.entries(store.counts).flatMap(([name, count]) => [el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, number(count))]);
  return el("div", { class: "panel" }, el("p", { class: "answer-facts" }, store.description), el("dl", { class: "counts" }, counts));
}

function showReport(report) {
  const live = report.live;
  const state = byId("state");
  state.textContent = report.draining ? "Draining" : "Serving";
  state.className = report.draining ? "pill warn" : "pill ok";
  byId("meta").textContent = `version ${report.version}, up ${span(report.uptime_s)}, gRPC on ${report.listen}, ${time(report.now_ms)}`;
  byId("fault").hidden = !report.repository_fault;
  byId("fault").textContent = report.repository_fault ? `The repository is at fault: ${report.repository_fault}` : "";
  show("tiles", { ten: live.last_10_s, seconds: live.per_second, report: { models: report.models, in_flight: report.in_flight, max_in_flight: report.max_in_flight } }, tiles);
  show("models-body", { versions: report.models, figures: live.models }, models);
  show("slowest-body", live.slowest, slowest);
  show("changes-body", report.changes, changes);
  show("comparisons-body", report.comparisons, comparisons);
  show("outcomes-body", live.last_60_s, outcomes);
  show("users-body", report.user_store, users);
  chooseModels(report.models, report.default_model);
}

function showStale(why) {
  const state = byId("state");
  state.textContent = "No answer";
  state.className = "pill bad";
  const since = answered ? `The figures below are of ${time(answered)}, ${span((Date.now() - answered) / 1000)} ago.` : "There are no figures yet.";
  byId("stale").textContent = `The server does not answer (${why}). ${since} It is asked again every second.`;
  byId("stale").hidden = false;
  document.body.classList.add("is-stale");
}

async function ask() {
  try {
    const response = await fetch("/statusz", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    showReport(await response.json());
    answered = Date.now();
    byId("stale").hidden = true;
    document.body.classList.remove("is-stale");
  } catch (error) {
    showStale(error.name === "TimeoutError" ? "not within 5 s" : error.message);
  }
}

// One question at a time; none while nobody looks.
async function loop() {
  clearTimeout(timer);
  timer = null;
  if (document.hidden) return;
  await ask();
  if (timer === null && !document.hidden) timer = setTimeout(loop, EVERY_MS);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) loop();
});
startTrying();
loop();

// Asks for an order as any caller would, and shows it.

import { bar, el, legend, ms, number, percent, pill, stack, table } from "./plots.js";

const byId = (id) => document.getElementById(id);
let offered = "";

// Offers the rankers that can answer; keeps what was chosen.
export function chooseModels(models, byDefault) {
  const rankers = models.filter((model) => model.role === "ranker");
  const names = [...new Set(rankers.map((model) => model.name))];
  const options = names.flatMap((name) => [
    [JSON.stringify({ name }), `${name}: as its traffic goes`],
    ...rankers.filter((model) => model.name === name).map(({ version }) => [JSON.stringify({ name, version }), `${name}/${version}`]),
  ]);
  const text = JSON.stringify(options);
  if (text === offered) return;
  const first = offered === "";
  offered = text;
  const select = byId("try-model");
  const chosen = first ? JSON.stringify({ name: byDefault }) : select.value;
  select.replaceChildren(...options.map(([value, label]) => el("option", { value }, label)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
  if (first && options.length) loadExample();
}

function chosen() {
  try {
    return JSON.parse(byId("try-model").value);
  } catch {
    return { name: "" };
  }
}

async function loadExample() {
  const { name, version } = chosen();
  const query = new URLSearchParams({ model: name });
  if (version !== undefined) query.set("version", version);
  try {
    const response = await fetch(`/example.json?${query}`, { cache: "no-store" });
    const answer = await response.json();
    if (!response.ok) return showProblem(answer.error, response);
    if (!answer.candidates) answer.candidates = { ids: [] };
    write(answer);
    readFields();
  } catch (error) {
    showProblem({ message: `The example cannot be had: ${error.message}.`, fields: [] });
  }
}

const write = (request) => { byId("try-request").value = JSON.stringify(request, null, 2); };

function read() {
  try {
    return JSON.parse(byId("try-request").value);
  } catch {
    return null;
  }
}

// The fields show what the request says.
function readFields() {
  const request = read();
  if (request === null || typeof request !== "object") return;
  byId("try-user").value = request.user?.id ?? "";
  byId("try-query").value = request.query ?? "";
  byId("try-top").value = request.top_k ?? "";
}

// The request says what a field shows.
function writeField(event) {
  const request = read();
  if (request === null || typeof request !== "object") return;
  const value = event.target.value;
  if (event.target.id === "try-user") {
    if (value) request.user = { ...request.user, id: value };
    else delete request.user;
  } else if (event.target.id === "try-query") {
    if (value) request.query = value;
    else delete request.query;
  } else if (value) request.top_k = Number(value);
  else delete request.top_k;
  write(request);
}

const traceOf = (response) => response?.headers.get("podium-trace-id") ?? "";

function showProblem(error, response) {
  const what = [error.code, error.reason].filter(Boolean).join(", ");
  const fields = (error.fields ?? []).map(({ field, wrong }) => el("li", {}, el("strong", {}, field), `: ${wrong}`));
  const again = error.retry_after_ms ? el("p", { class: "detail" }, `Try again in ${ms(error.retry_after_ms)}.`) : null;
  const parts = [el("div", { class: "problem bad", role: "alert" }, what ? el("strong", {}, what) : "Not ranked", el("div", {}, fields.length ? "" : error.message), fields.length ? el("ul", {}, fields) : null), again];
  const trace = traceOf(response);
  if (trace) parts.push(el("p", { class: "answer-facts" }, "Trace ", el("code", {}, trace)));
  byId("try-answer").replaceChildren(...parts.filter(Boolean));
}

const word = (name, prefix) => (name ?? "").replace(prefix, "");

function showOrder(answer, asked, response) {
  const timings = answer.timings ?? {};
  const stage = (name) => (timings[`${name}_us`] ?? 0) / 1000;
  const times = Object.fromEntries(["validate", "user", "features", "queue", "assemble", "run", "scatter", "select"].map((name) => [name, stage(name)]));
  const total = stage("total");
  const state = word(answer.user_state, "USER_STATE_");
  const encoder = answer.encoder_version ? `, encoder version ${answer.encoder_version}` : "";
  const facts = [
    el("p", { class: "answer-facts" }, el("strong", {}, `${answer.model_name}/${answer.model_version}`), ` ranked ${number(asked)} candidates in `, el("strong", {}, ms(total))),
    el("p", { class: "answer-facts" }, state ? pill(`user state ${state}${encoder}`) : null, ...(answer.degraded ?? []).map((reason) => pill(`degraded: ${word(reason, "DEGRADED_REASON_")}`, "warn"))),
    el("p", { class: "answer-facts" }, "Trace ", el("code", {}, traceOf(response))),
    stack(times, total), legend(times),
  ];
  if (timings.batch) {
    const batch = timings.batch;
    facts.push(el("p", { class: "detail" }, `Last of ${number(timings.batches ?? 1)} batches: ${number(batch.rows ?? 0)} rows of ${number(batch.requests ?? 0)} requests, fill ${percent(batch.fill ?? 0)}, padding ${percent(batch.padding_share ?? 0)}, closed: ${word(batch.closed, "CLOSED_")}`));
  }
  if (answer.missing_items?.length) facts.push(el("p", { class: "detail" }, `Unknown to the catalogue: ${answer.missing_items.join(", ")}`));
  const items = answer.items ?? [];
  const heads = (items[0]?.outputs ?? []).map((output) => output.name);
  const scores = items.map((item) => item.score).filter((score) => score !== undefined);
  const [least, most] = [Math.min(...scores), Math.max(...scores)];
  const share = (score) => (most > least ? (score - least) / (most - least) : 1);
  const columns = [["Rank", "right"], ["Item", "any"], ["Score", "right"], ["", "wide"], ...heads.map((head) => [head, "right"]), ["Place in the request", "right wide"]];
  const rows = items.map((item, at) => [
    String(item.rank ?? at + 1), el("span", { class: "item" }, item.id), item.score === undefined ? "not scored" : item.score.toFixed(4),
    item.score === undefined ? "" : bar(share(item.score), "score"), ...heads.map((_, place) => (item.outputs?.[place]?.value ?? 0).toFixed(4)), String((item.index ?? 0) + 1),
  ]);
  byId("try-answer").replaceChildren(...facts, table("The order", columns, rows, "plain"));
}

async function send(event) {
  event.preventDefault();
  const button = byId("try-send");
  const request = read();
  if (request === null) {
    return showProblem({ code: "", reason: "", message: "The request is no JSON. Mend it, or load the example again.", fields: [] });
  }
  button.disabled = true;
  try {
    const body = JSON.stringify(request);
    const response = await fetch("/rank", { method: "POST", headers: { "content-type": "application/json" }, body, cache: "no-store" });
    const text = await response.text();
    if (!text) throw new Error("the answer is empty: the time that a request may take was over");
    const answer = JSON.parse(text);
    if (response.ok) showOrder(answer, request.candidates?.ids?.length ?? 0, response);
    else showProblem(answer.error, response);
  } catch (error) {
    showProblem({ message: `No answer came: ${error.message}.`, fields: [] });
  } finally {
    button.disabled = false;
  }
}

export function startTrying() {
  byId("try-form").addEventListener("submit", send);
  byId("try-example").addEventListener("click", loadExample);
  byId("try-model").addEventListener("change", loadExample);
  byId("try-request").addEventListener("input", readFields);
  for (const id of ["try-user", "try-query", "try-top"]) byId(id).addEventListener("input", writeField);
}

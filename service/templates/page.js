"use strict";
// Predicts as one types: each request has the row of the form first, and behind it the same row with
// the column in hand at values all over its training range, of which the chart is drawn.

const main = document.querySelector("main"), form = document.querySelector("form");
const fields = [...document.querySelectorAll(".field")].map((box) => ({
  box, input: box.querySelector("input, select"), warning: box.querySelector(".warning"),
  name: box.dataset.name, kind: box.dataset.kind, low: box.dataset.low, high: box.dataset.high,
  whole: box.dataset.whole === "1",
}));
const POINTS = 41, MOST_CHOICES = 40;
let active = null, waiting = null, sent = 0, drawn = 0;

function number(text) {
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : null;
}

// What a field says, as JSON: a number where it is one, so that all cells mean the same in a request.
function cell(field) {
  const text = field.input.value;
  if (text === "") return null;
  if (field.kind === "flag") return text === "true";
  if (field.kind === "number") return number(text) ?? text;
  return text;
}

function days(text) { return Date.parse(text.slice(0, 10) + "T00:00:00Z") / 86400000; }

// The values of a field that its chart shows: [what a request has, where on the axis].
function values(field) {
  if (field.kind === "flag") return [[true, 0], [false, 1]];
  if (field.kind === "choice") {
    const options = [...(field.input.options ?? field.box.querySelectorAll("option"))];
    const texts = options.map((option) => option.value).slice(0, MOST_CHOICES);
    if (!texts.includes(field.input.value)) texts.push(field.input.value);
    return texts.map((text, at) => [text === "" ? null : text, at]);
  }
  if (field.low === "" || field.kind === "text") return [];
  if (field.kind === "number") {
    const at = number(field.input.value);
    const low = Math.min(Number(field.low), at ?? Infinity), high = Math.max(Number(field.high), at ?? -Infinity);
    const steps = field.whole ? Math.min(POINTS - 1, high - low) : POINTS - 1;
    const points = [];
    for (let step = 0; step <= steps; step++) {
      const value = steps ? low + (high - low) * step / steps : low;
      points.push(field.whole ? Math.round(value) : value);
    }
    return points.map((value) => [value, value]);
  }
  const at = field.input.value ? days(field.input.value) : null, clock = field.input.value.slice(10) || (field.kind === "moment" ? "T12:00" : "");
  const first = Math.min(days(field.low), at ?? Infinity), last = Math.max(days(field.high), at ?? -Infinity);
  return Array.from({ length: POINTS }, (_, step) => {
    const day = Math.round(first + (last - first) * step / (POINTS - 1));
    return [new Date(day * 86400000).toISOString().slice(0, 10) + clock, day];
  });
}

function place(field) {
  const text = field.input.value;
  if (field.kind === "number") return number(text);
  if (field.kind === "date" || field.kind === "moment") return text ? days(text) : null;
  return values(field).find(([value]) => String(value ?? "") === text)?.[1] ?? null;
}

async function ask() {
  const field = active, points = field ? values(field) : [], number = ++sent;
  const columns = {};
  for (const each of fields) {
    columns[each.name] = Array(points.length + 1).fill(cell(each));
    if (each === field) points.forEach(([value], at) => { columns[each.name][at + 1] = value; });
  }
  // A wrong cell would refuse the whole table, whichever row it is in: it is in all of them.
  let answer;
  try {
    const response = await fetch(main.dataset.predict, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(columns),
    });
    answer = await response.json();
  } catch {
    answer = { error: main.dataset.failed };
  }
  if (number < drawn) return;
  drawn = number;
  show(answer);
  draw(field, points, answer.predictions);
}

function format(value, digits = 5) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString(main.dataset.language, { maximumSignificantDigits: digits });
}

function show(answer) {
  const error = document.getElementById("error"), told = answer.predictions;
  error.hidden = !answer.error;
  error.textContent = answer.error ?? "";
  document.getElementById("prediction").textContent = told ? format(told.prediction[0]) : "–";
  const interval = document.getElementById("interval");
  interval.textContent = told?.lower
    ? main.dataset.interval.replace("{low}", format(told.lower[0])).replace("{high}", format(told.upper[0])) : "–";
  const warned = new Map((answer.warnings ?? []).filter((each) => each.row === 1).map((each) => [each.column, each.what]));
  for (const field of fields) {
    const what = warned.get(field.name);
    field.box.classList.toggle("unlike", Boolean(what));
    field.warning.hidden = !what;
    field.warning.textContent = what === "unknown" ? main.dataset.unknown : what ? main.dataset.outside : "";
  }
}

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function label(field, value) {
  if (field.kind === "flag") return value ? main.dataset.yes : main.dataset.no;
  if (value === null) return main.dataset.empty;
  if (field.kind === "number") return format(value);
  const text = String(value).slice(0, field.kind === "choice" ? undefined : 10);
  return text.length > 10 ? text.slice(0, 9) + "…" : text;
}

// The prediction over the values of a field, with its interval where there is one.
function draw(field, points, predictions) {
  const figure = document.getElementById("chart"), svg = figure.querySelector("svg");
  const isDrawn = Boolean(field && predictions && points.length > 1);
  figure.hidden = !isDrawn;
  document.getElementById("hint").hidden = isDrawn;
  if (!isDrawn) return;
  document.getElementById("caption").textContent = main.dataset.moves.replace("{column}", () => field.name);
  const of = (name) => predictions[name]?.slice(1) ?? predictions.prediction.slice(1);
  const middle = of("prediction"), lower = of("lower"), upper = of("upper"), hasInterval = "lower" in predictions;
  const every = [...middle, ...lower, ...upper, predictions.prediction[0]].filter((value) => value !== null);
  let [bottom, top] = [Math.min(...every), Math.max(...every)];
  if (bottom === top) { bottom -= Math.abs(bottom) / 10 || 1; top += Math.abs(top) / 10 || 1; }
  const left = 64, right = 470, above = 12, below = 172;
  const discrete = field.kind === "flag" || field.kind === "choice";
  const places = points.map(([, at]) => at), first = Math.min(...places), last = Math.max(...places);
  const margin = discrete ? 30 : 0;
  const x = (at) => left + margin + (right - left - 2 * margin) * (last > first ? (at - first) / (last - first) : 0.5);
  const y = (value) => below - (below - above) * (value - bottom) / (top - bottom);
  svg.replaceChildren(element("path", { class: "axis", d: `M${left} ${above}V${below}H${right}` }));
  for (const value of [bottom, (bottom + top) / 2, top]) {
    svg.append(element("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, format(value, 3)));
  }
  const at = places.map(x);
  if (discrete) {
    points.forEach((_, i) => {
      if (hasInterval) svg.append(element("path", { class: "bar", d: `M${at[i]} ${y(lower[i])}V${y(upper[i])}` }));
      svg.append(element("circle", { class: "dot", cx: at[i], cy: y(middle[i]), r: 4 }));
    });
  } else {
    if (hasInterval) {
      const forth = at.map((px, i) => `${px},${y(lower[i])}`), back = at.map((px, i) => `${px},${y(upper[i])}`).reverse();
      svg.append(element("polygon", { class: "band", points: [...forth, ...back].join(" ") }));
    }
    svg.append(element("polyline", { class: "line", points: at.map((px, i) => `${px},${y(middle[i])}`).join(" ") }));
  }
  const every_nth = discrete ? Math.ceil(points.length / 6) : points.length - 1;
  points.forEach(([value], i) => {
    if (i % every_nth) return;
    const anchor = discrete ? "middle" : i ? "end" : "start";
    svg.append(element("text", { x: at[i], y: below + 18, "text-anchor": anchor }, label(field, value)));
  });
  const here = place(field);
  if (here !== null && here >= first && here <= last) {
    svg.append(element("circle", { class: "here", cx: x(here), cy: y(predictions.prediction[0]), r: 6 }));
  }
}

function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(ask, 60);
}

for (const field of fields) {
  field.input.addEventListener("focus", () => {
    active?.box.classList.remove("active");
    active = field;
    field.box.classList.add("active");
    soon();
  });
}
form.addEventListener("input", soon);
form.addEventListener("reset", () => setTimeout(ask));
form.addEventListener("submit", (event) => event.preventDefault());
ask();

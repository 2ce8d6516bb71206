/* The dashboard: shows what the page came with, then asks for news every few seconds while somebody looks. */
"use strict";

const POLL_MS = 3000;
const PATIENCE_MS = 10000;
const STALE_MS = 2 * POLL_MS; // without an answer for so long nobody knows whether the pools are still warm
const root = document.getElementById("cockpit");
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const tone = (name) => `var(--ck-${name})`;

/* --- words -------------------------------------------------------------------------------------------------- */

function milliseconds(value) {
    if (value === null || value === undefined) return "–";
    return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(value < 10000 ? 2 : 1)} s`;
}

function seconds(value) {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) if (value >= 2 * size) return `${Math.round(value / size)} ${unit}`;
    return value < 10 ? `${Math.round(value * 10) / 10} s` : `${Math.round(value)} s`;
}

const count = (value) => value.toLocaleString("en-US");
const percent = (value) => (value === null ? "–" : `${value === 100 ? 100 : Math.min(99.9, value).toFixed(1)} %`);

function element(name, { text, className, href, title } = {}, ...children) {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    if (href) node.href = href;
    if (title) node.title = title;
    node.append(...children);
    return node;
}

function put(container, selector, text) {
    const node = container.querySelector(selector);
    if (node.textContent !== text) node.textContent = text; // an unchanged one is not announced again
}

function setTone(node, level) {
    node.classList.remove("good", "warn", "bad", "quiet");
    if (level) node.classList.add(level);
}

/* --- parts -------------------------------------------------------------------------------------------------- */

function showVerdict(verdict) {
    const box = part("verdict");
    setTone(box, verdict.level);
    put(box, "[data-word]", verdict.word);
    put(box, "[data-sentence]", verdict.sentence);
    const list = box.querySelector("[data-reasons]");
    if (list.textContent !== verdict.reasons.join("")) list.replaceChildren(...verdict.reasons.map((text) => element("li", { text })));
    document.title = `${verdict.word} | Breeze Buddy pools`;
}

function showStock(name, stock, empty) {
    const box = part(name);
    setTone(box, stock.level);
    put(box, "[data-available]", count(stock.available));
    put(box, "[data-target]", stock.held ? `${count(stock.aim)}, ${stock.held}` : `${count(stock.aim)} warm`);
    box.querySelector("[data-meter] i").style.width = `${stock.aim ? Math.min(100, (100 * stock.available) / stock.aim) : 0}%`;
    const note = [`${count(stock.warming)} warming`, `${count(stock.in_use)} in calls now`];
    if (empty) note.push(`empty for ${seconds(empty)} in the last hour`);
    put(box, "[data-note]", note.join(" · "));
}

function showWindow(name, starts) {
    const box = part(name);
    setTone(box, starts.share === null ? "" : starts.share >= 99 ? "good" : starts.share >= 90 ? "warn" : "bad");
    put(box, "[data-share]", percent(starts.share));
    const kinds = ["warm", "partial", "cold"].filter((kind) => starts[kind]);
    box.querySelector("[data-split]").replaceChildren(
        ...kinds.map((kind) => {
            const piece = element("i", { className: `ck-${kind}`, title: `${count(starts[kind])} ${kind}` });
            piece.style.flexGrow = starts[kind];
            return piece;
        }),
    );
    const note = starts.total ? [`${count(starts.total)} starts`, ...["partial", "cold"].filter((kind) => starts[kind]).map((kind) => `${count(starts[kind])} ${kind}`)] : ["no starts"];
    if (starts.never_spoke) note.push(`${count(starts.never_spoke)} bots never spoke`);
    if (starts.never_heard) note.push(`${count(starts.never_heard)} never heard their caller`);
    put(box, "[data-note]", note.join(" · "));
}

function showConnect(hour) {
    const box = part("connect");
    put(box, "[data-p50]", milliseconds(hour.p50_ms));
    put(box, "[data-p99]", milliseconds(hour.p99_ms));
    const few = hour.acknowledged > 0 && hour.acknowledged < 100 ? ": too few for a p99, it is the slowest" : "";
    put(box, "[data-note]", `${count(hour.acknowledged)} sessions in 1 h${few}`);
}

const GROUPS = { general: "calls", delete: "deletions", batch: "batches", dial: "dials" };

function showDaily(daily) {
    const box = part("daily");
    setTone(box, daily.level);
    put(box, "[data-least]", `${daily.least} %`);
    box.querySelector("[data-meter] i").style.width = `${daily.least}%`;
    const left = Object.entries(daily.left).filter(([, share]) => share < 100).map(([name, share]) => `${GROUPS[name] ?? name}: ${share} % left`);
    put(box, "[data-note]", daily.trouble || (daily.refused ? `${daily.refused} × 429 in the last hour` : daily.spent_s ? `held us up for ${seconds(daily.spent_s)} in the last hour` : left.length ? left.join(" · ") : "not limiting us"));
}

function stockCell(stock) {
    const cell = element("td", {}, element("strong", { text: `${stock.available}` }), ` / ${stock.pool_size}`);
    if (stock.warming) cell.append(element("small", { text: `${stock.warming} warming` }));
    return cell;
}

function podRow(pod) {
    const name = element("td", {}, element("a", { text: pod.name, href: pod.url }), element("small", { text: ["up " + seconds(pod.up_s), pod.version].filter(Boolean).join(" · ") }));
    const state = element("td", {}, element("span", { className: `ck-pill ${pod.level}`, text: pod.state }));
    if (pod.drained_by) state.append(element("small", { text: `by ${pod.drained_by}` }));
    if (pod.state === "silent") state.append(element("small", { className: "alarm", text: `for ${seconds(pod.heartbeat_s)}` }));
    if (pod.trouble) state.append(element("small", { className: "alarm", text: pod.trouble }));
    const verbs = element("td", { className: "n" }, ...pod.verbs.map((verb) => element("a", { className: "ck-verb", text: verb.label, href: verb.url })));
    const number = (value) => element("td", { className: "n", text: count(value) });
    const failed = number(pod.failed);
    if (pod.failed) failed.replaceChildren(element("span", { className: "ck-pill warn", text: count(pod.failed) }));
    return element("tr", {}, name, state, stockCell(pod.agents), stockCell(pod.rooms), number(pod.agents.in_use), number(pod.free_slots), failed, verbs);
}

function causeRow(cause) {
    const number = (text) => element("td", { className: "n", text });
    const reason = element("td", {}, element("a", { text: cause.words, href: cause.url }), element("small", { text: `${cause.kind} start` }));
    return element("tr", {}, reason, number(count(cause.hour)), number(count(cause.day)), number(`${seconds(cause.last_s)} ago`));
}

/* As everywhere in the admin. */
const moment = (text) => `${new Date(text).toISOString().slice(0, 19).replace("T", " ")} UTC`;

function overrideRow(override) {
    const what = element("td", {}, element("a", { text: override.what, href: override.url }));
    if (override.reason) what.append(element("small", { text: override.reason }));
    const state = element("td", {}, element("span", { className: `ck-pill ${override.begun ? "warn" : "quiet"}`, text: override.begun ? "in force" : `from ${moment(override.starts_at)}` }));
    const cancel = element("td", { className: "n" });
    if (override.cancel_url) cancel.append(element("a", { className: "ck-verb", text: "Cancel", href: override.cancel_url }));
    return element("tr", {}, what, state, element("td", { text: override.ends_at ? moment(override.ends_at) : "cancelled" }), element("td", { text: override.by }), cancel);
}

function versionRow(version) {
    const number = (text) => element("td", { className: "n", text });
    const name = element("td", {}, element("strong", { text: version.version || "(none)" }));
    const calls = element("td", { className: "n", text: percent(version.had_percent) });
    if (version.wanted_percent !== null) calls.append(element("small", { text: `of ${version.wanted_percent} % wanted` }));
    const failed = version.failed + version.failed_handoffs;
    const failedCell = number(count(failed));
    if (failed) failedCell.replaceChildren(element("span", { className: "ck-pill warn", text: count(failed) }));
    const cells = [number(count(version.pods)), calls, number(count(version.starts)), number(count(version.prejoined + version.warm)), number(count(version.agent_misses + version.room_misses))];
    return element("tr", {}, name, ...cells, number(milliseconds(version.joined_p50_ms)), number(milliseconds(version.first_audio_p50_ms)), failedCell);
}

/* One version without a roll-out is the usual case, and nothing to compare. */
function showVersions(versions, rollout) {
    const box = part("versions");
    box.hidden = versions.length < 2 && !rollout;
    put(box, "[data-rollout]", rollout ? `Roll-out: ${rollout.words}, by ${rollout.by}` : "No roll-out: calls follow the free slots");
    const back = box.querySelector("[data-back]");
    back.hidden = !rollout?.back_url;
    if (rollout?.back_url) back.href = rollout.back_url;
    showRows("versions", versions.map(versionRow), "No pod runs.");
}

/* Rows are replaced only when they differ, so that a link that has the focus keeps it. */
function showRows(name, rows, nothing) {
    const body = part(name).querySelector("tbody");
    const heads = [...part(name).querySelectorAll("th")].map((head) => head.textContent);
    const nil = element("tr", { className: "ck-nil" }, element("td", { text: nothing }));
    nil.firstChild.colSpan = heads.length;
    for (const row of rows) [...row.cells].forEach((cell, i) => (cell.dataset.label = heads[i])); // on a phone a row is a card
    const fresh = rows.length ? rows : [nil];
    fresh.forEach((row, i) => {
        if (!body.children[i]) body.append(row);
        else if (body.children[i].innerHTML !== row.innerHTML) {
            const focused = body.children[i].contains(document.activeElement) ? document.activeElement.textContent : null;
            body.children[i].replaceWith(row);
            if (focused) [...row.querySelectorAll("a")].find((link) => link.textContent === focused)?.focus();
        }
    });
    while (body.children.length > fresh.length) body.lastChild.remove();
}

const charts = {
    agents: { title: "Agent processes in stock", stands: "least", alarm: (h, i) => h.agents[i] === 0 && h.agents_target[i] > 0, series: [{ name: "available", key: "agents", tone: tone("good"), kind: "area" }, { name: "target", key: "agents_target", tone: tone("quiet"), kind: "dashed" }] },
    rooms: { title: "Rooms in stock", stands: "least", alarm: (h, i) => h.rooms[i] === 0 && h.rooms_target[i] > 0, series: [{ name: "available", key: "rooms", tone: tone("good"), kind: "area" }, { name: "target", key: "rooms_target", tone: tone("quiet"), kind: "dashed" }] },
    starts: { title: "Starts", stands: "all", unit: (value) => count(Math.round(value * 10) / 10), series: [{ name: "warm", key: "warm", tone: tone("good"), kind: "column" }, { name: "partial", key: "partial", tone: tone("warn"), kind: "column" }, { name: "cold", key: "cold", tone: tone("bad"), kind: "column" }] },
    connect: { title: "Request to acknowledged", stands: "mean and worst", unit: milliseconds, series: [{ name: "p50", key: "p50", tone: tone("good"), kind: "line" }, { name: "p99", key: "p99", tone: tone("warn"), kind: "line" }] },
    sessions: { title: "Sessions in progress", stands: "most", series: [{ name: "in calls", key: "in_use", tone: tone("line"), kind: "area" }] },
    daily: { title: "Daily budget left", stands: "least", unit: (value) => `${Math.round(value)} %`, top: 100, series: [{ name: "tightest group", key: "daily_left", tone: tone("line"), kind: "area" }] },
};

/* --- life --------------------------------------------------------------------------------------------------- */

let latest = JSON.parse(document.getElementById("live").textContent);
let received = Date.now();
let problem = "";
let timer = null;
const drawn = Object.fromEntries(Object.entries(charts).map(([name, options]) => [name, new Chart(root.querySelector(`[data-chart="${name}"]`), options)]));

function show(live) {
    latest = live;
    showVerdict(live.verdict);
    showStock("agents", live.agents, live.hour.empty_agents_s);
    showStock("rooms", live.rooms, live.hour.empty_rooms_s);
    showWindow("hour", live.hour);
    showWindow("day", live.day);
    showConnect(live.hour);
    showDaily(live.daily);
    showRows("pods", live.pods.map(podRow), "No pod runs. Start one: manage.py runpools");
    showVersions(live.versions, live.rollout);
    showRows("causes", live.causes.map(causeRow), "Every start of the last day was warm.");
    showRows("overrides", live.overrides.map(overrideRow), "None: the pools follow their settings.");
    if (live.history) for (const chart of Object.values(drawn)) chart.show(live.history);
    for (const button of root.querySelectorAll("[data-span]")) button.setAttribute("aria-pressed", String(button.dataset.span === live.span));
}

/* The verdict is of the last answer: after that it is not known, and not green. */
function showUnknown(age) {
    const box = part("verdict");
    setTone(box, "quiet");
    put(box, "[data-word]", "Unknown");
    put(box, "[data-sentence]", `This page gets no answers. ${seconds(age)} ago the pools were: ${latest.verdict.word}.`);
    document.title = "Unknown | Breeze Buddy pools";
}

function showFreshness() {
    const age = Math.round((Date.now() - received) / 1000);
    const box = root.querySelector("[data-fresh]");
    box.classList.toggle("stale", Boolean(problem));
    const text = problem ? `${problem}; these numbers are ${seconds(age)} old` : "Live";
    if (box.textContent !== text) box.textContent = text;
    if (problem && Date.now() - received > STALE_MS) showUnknown(age);
}

async function ask(span = latest.span, sample = latest.sample) {
    clearTimeout(timer);
    try {
        const query = new URLSearchParams({ span, sample });
        const answer = await fetch(`${root.dataset.live}?${query}`, { signal: AbortSignal.timeout(PATIENCE_MS), redirect: "manual" });
        if (answer.type === "opaqueredirect") throw new Error("You are logged out: load the page again");
        if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
        show(await answer.json());
        received = Date.now();
        problem = "";
    } catch (error) {
        problem = error.message.startsWith("The server") || error.message.startsWith("You are") ? error.message : "The server does not answer";
    }
    showFreshness();
    timer = setTimeout(ask, POLL_MS);
}

for (const button of root.querySelectorAll("[data-span]")) {
    button.addEventListener("click", () => {
        history.replaceState(null, "", `?span=${button.dataset.span}`);
        ask(button.dataset.span, "");
    });
}
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : ask()));
setInterval(showFreshness, 1000);
show(latest);
showFreshness();
timer = setTimeout(ask, POLL_MS);

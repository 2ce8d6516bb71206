/* Charts as SVG, drawn anew with each sample. A chart is looked into with the pointer or the arrow keys: its legend
   then shows the values of that moment. No library: lines, columns and a cursor are all there is. */
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const PAD = { left: 34, right: 8, top: 8, bottom: 18 };

function shape(name, attributes, text) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
}

/* A round number at or above: 1, 2, 5, 10, 20, ... */
function roundUp(value) {
    if (value <= 1) return 1;
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function agoInWords(seconds) {
    if (seconds < 1) return "now";
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
        if (seconds >= size) return `-${Math.round((seconds / size) * 10) / 10} ${unit}`;
    }
    return `-${Math.round(seconds)} s`;
}

class Chart {
    /* series: [{ name, key, tone, kind: "line" | "area" | "dashed" | "column" }]; columns are stacked in their order. */
    constructor(figure, { title, series, unit = (value) => String(Math.round(value * 10) / 10), top = null, alarm = null, stands = "" }) {
        Object.assign(this, { figure, title, series, unit, top, alarm, stands, history: null, cursor: null });
        figure.addEventListener("pointermove", (event) => this.point(event));
        figure.addEventListener("pointerleave", () => this.look(null));
        figure.addEventListener("blur", () => this.look(null));
        figure.addEventListener("keydown", (event) => this.key(event));
        new ResizeObserver(() => this.draw()).observe(figure);
    }

    show(history) {
        this.history = history;
        this.draw();
    }

    point(event) {
        const svg = this.figure.querySelector("svg");
        if (!svg) return;
        const box = svg.getBoundingClientRect();
        const share = (event.clientX - box.left - PAD.left) / (box.width - PAD.left - PAD.right);
        this.look(Math.max(0, Math.min(this.length - 1, Math.floor(share * this.length))));
    }

    key(event) {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (event.key === "Escape") this.look(null);
        if (!step) return;
        event.preventDefault();
        this.look(Math.max(0, Math.min(this.length - 1, (this.cursor ?? this.length) + step)));
    }

    look(index) {
        if (index === this.cursor) return;
        this.cursor = index;
        this.draw();
    }

    get length() {
        return this.history ? this.history[this.series[0].key].length : 0;
    }

    values(series) {
        return this.history[series.key];
    }

    draw() {
        if (!this.history) return;
        const width = this.figure.clientWidth - 32, height = 152;
        this.figure.replaceChildren(this.caption());
        if (this.series.every((series) => this.values(series).every((value) => value === null))) {
            const nothing = document.createElement("div");
            nothing.className = "ck-nothing";
            nothing.textContent = "Nothing in this time.";
            this.figure.append(nothing);
            return;
        }
        this.frame = { width, height, x0: PAD.left, x1: width - PAD.right, y0: height - PAD.bottom, y1: PAD.top };
        this.ceiling = this.top ?? roundUp(this.highest() * 1.05);
        const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": this.inWords() });
        this.drawGrid(svg);
        this.drawColumns(svg);
        for (const series of this.series) if (series.kind !== "column") this.drawLine(svg, series);
        if (this.alarm) this.drawAlarm(svg);
        if (this.cursor !== null) {
            const x = this.x(this.cursor + 0.5);
            svg.append(shape("line", { class: "cursor", x1: x, x2: x, y1: this.frame.y1, y2: this.frame.y0 }));
        }
        this.figure.append(svg);
    }

    highest() {
        const columns = this.series.filter((series) => series.kind === "column");
        let most = 0;
        for (let i = 0; i < this.length; i++) {
            const stacked = columns.reduce((sum, series) => sum + (this.values(series)[i] ?? 0), 0);
            const single = this.series.map((series) => (series.kind === "column" ? 0 : this.values(series)[i] ?? 0));
            most = Math.max(most, stacked, ...single);
        }
        return most;
    }

    x(index) {
        return this.frame.x0 + ((this.frame.x1 - this.frame.x0) * index) / this.length;
    }

    y(value) {
        return this.frame.y0 - ((this.frame.y0 - this.frame.y1) * Math.min(value, this.ceiling)) / this.ceiling;
    }

    drawGrid(svg) {
        for (const share of [0, 0.5, 1]) {
            const y = this.y(this.ceiling * share);
            svg.append(shape("line", { class: "grid", x1: this.frame.x0, x2: this.frame.x1, y1: y, y2: y }));
            svg.append(shape("text", { x: this.frame.x0 - 6, y: y + 3.5, "text-anchor": "end" }, this.unit(this.ceiling * share)));
        }
        for (const [share, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
            const x = this.frame.x0 + (this.frame.x1 - this.frame.x0) * share;
            svg.append(shape("text", { x, y: this.frame.height - 3, "text-anchor": anchor }, agoInWords(this.history.span_s * (1 - share))));
        }
    }

    drawColumns(svg) {
        const base = new Array(this.length).fill(0);
        const step = (this.frame.x1 - this.frame.x0) / this.length, wide = step > 5 ? step - 1 : step;
        for (const series of this.series) {
            if (series.kind !== "column") continue;
            this.values(series).forEach((value, i) => {
                if (!value) return;
                const top = this.y(base[i] + value), bottom = this.y(base[i]);
                base[i] += value;
                svg.append(shape("rect", { class: "column", style: `--tone: ${series.tone}`, x: this.x(i), y: top, width: wide, height: Math.max(1, bottom - top) }));
            });
        }
    }

    /* Pieces between gaps; a single point becomes a short dash. */
    drawLine(svg, series) {
        const pieces = [];
        let piece = null;
        this.values(series).forEach((value, i) => {
            if (value === null) { piece = null; return; }
            if (!piece) pieces.push((piece = []));
            piece.push([this.x(i + 0.5), this.y(value)]);
        });
        for (const points of pieces) {
            if (points.length === 1) points.unshift([points[0][0] - 2, points[0][1]]);
            const path = "M" + points.map((point) => point.map((number) => number.toFixed(1)).join(" ")).join("L");
            if (series.kind === "area") {
                const closed = `${path}L${points.at(-1)[0].toFixed(1)} ${this.frame.y0}L${points[0][0].toFixed(1)} ${this.frame.y0}Z`;
                svg.append(shape("path", { class: "fill", style: `--tone: ${series.tone}`, d: closed }));
            }
            svg.append(shape("path", { class: series.kind === "dashed" ? "line dashed" : "line", style: `--tone: ${series.tone}`, d: path }));
        }
    }

    /* Red on the base line, where the stock was empty. */
    drawAlarm(svg) {
        const wide = (this.frame.x1 - this.frame.x0) / this.length;
        for (let i = 0; i < this.length; i++) {
            if (this.alarm(this.history, i)) svg.append(shape("rect", { class: "empty", x: this.x(i), y: this.frame.y0 - 3, width: Math.max(2, wide), height: 4 }));
        }
    }

    shown(series) {
        return this.cursor === null ? this.history.last[series.key] : this.values(series)[this.cursor];
    }

    /* A point of a long span stands for many samples. */
    moment() {
        const { span_s, step_s } = this.history;
        const ago = agoInWords(span_s - this.cursor * step_s);
        return step_s > 10 && this.stands ? `${ago}, ${this.stands} of ${agoInWords(step_s).slice(1)}` : ago;
    }

    caption() {
        const caption = document.createElement("figcaption");
        const title = document.createElement("span");
        title.textContent = this.title;
        const legend = document.createElement("span");
        legend.className = "ck-legend";
        legend.append(this.cursor === null ? "last sample" : this.moment());
        for (const series of this.series) {
            const entry = document.createElement("span"), mark = document.createElement("i"), number = document.createElement("b");
            mark.style.setProperty("--tone", series.tone);
            mark.className = series.kind;
            const value = this.shown(series);
            number.textContent = value === null || value === undefined ? " –" : ` ${this.unit(value)}`;
            entry.append(mark, series.name, number);
            legend.append(entry);
        }
        caption.append(title, legend);
        return caption;
    }

    inWords() {
        const now = this.series.map((series) => {
            const values = this.values(series).filter((value) => value !== null);
            return values.length ? `${series.name} ${this.unit(values.at(-1))} (from ${this.unit(Math.min(...values))} to ${this.unit(Math.max(...values))})` : `${series.name}: nothing`;
        });
        return `${this.title}: ${now.join(", ")}`;
    }
}

//! The report for people: one file, nothing fetched from elsewhere.

use crate::load::meter::{Interval, Quantiles};
use crate::load::outcome::{Outcome, per_second, real};
use crate::load::plot::{Line, Plot, Scale, push};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;\
padding:0 1em;color:#222}h1{font-size:1.4em}table{border-collapse:collapse;margin:1em 0}\
td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}\
td:first-child,th:first-child{text-align:left}figure{margin:1.5em 0}\
figcaption{font-weight:600}figcaption span{font-weight:400;margin-left:.8em}svg{width:100%}\
svg line{stroke:#e4e4e4}svg text{font-size:11px;fill:#555}\
svg polyline{fill:none;stroke-width:1.6}.no{color:#b00}.yes{color:#070}";

/// The report as HTML: numbers, and plots of the rate, of the latencies over time and of their
/// distribution as inline SVG.
#[must_use]
pub fn html(outcome: &Outcome) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">");
    push(
        &mut out,
        format_args!("<title>smpp-load</title><style>{STYLE}</style>\n"),
    );
    push(
        &mut out,
        format_args!("<h1>{}</h1>\n", escape(&headline(outcome))),
    );
    verdicts(&mut out, outcome);
    summary(&mut out, outcome);
    latencies(&mut out, outcome);
    statuses(&mut out, outcome);
    for plot in [
        rates(outcome),
        over_time(outcome),
        distribution(outcome),
        queues(outcome),
    ] {
        out.push_str(&plot.figure());
    }
    out.push_str("</html>\n");
    out
}

fn headline(outcome: &Outcome) -> String {
    let run = &outcome.run;
    let binds = run.transceivers + run.transmitters + run.receivers;
    let pace = run.rate.map_or_else(
        || format!("closed loop, window {}", run.window),
        |rate| format!("open loop, {rate}/s, window {}", run.window),
    );
    let stopped = if outcome.stopped {
        ", stopped early"
    } else {
        ""
    };
    format!(
        "smpp-load {} {}: {binds} binds, {pace}{stopped}",
        run.mode, run.address
    )
}

fn verdicts(out: &mut String, outcome: &Outcome) {
    for verdict in &outcome.expectations {
        let (class, word) = if verdict.met {
            ("yes", "met")
        } else {
            ("no", "NOT MET")
        };
        push(
            out,
            format_args!(
                "<p class=\"{class}\">--{} {}: measured {:.3}, {word}</p>\n",
                verdict.name, verdict.bound, verdict.measured
            ),
        );
    }
}

fn summary(out: &mut String, outcome: &Outcome) {
    let counts = &outcome.counts;
    let rows = [
        (
            "answered ESME_ROK, per second",
            format!("{:.1}", outcome.ok_per_second),
        ),
        ("sent", counts.sent.to_string()),
        ("answered ESME_ROK", counts.ok.to_string()),
        ("answered with another status", counts.refused.to_string()),
        ("not answered in time", counts.timed_out.to_string()),
        ("lost with their link", counts.lost.to_string()),
        ("never left", counts.never_left.to_string()),
        ("due and not sent", outcome.unsent.to_string()),
        ("errors", format!("{:.3} %", outcome.error_percent)),
        (
            "receipts, matched / all / missing",
            format!(
                "{} / {} / {}",
                counts.receipts_matched, counts.receipts, outcome.receipts_missing
            ),
        ),
        ("other messages received", counts.received.to_string()),
        ("reconnects", counts.reconnects.to_string()),
        (
            "time",
            format!("{:.3} s", real(outcome.answering_ms) / 1_000.0),
        ),
        (
            "CPU time",
            format!("{:.3} s", real(outcome.cpu_ms) / 1_000.0),
        ),
    ];
    out.push_str("<table>");
    for (name, value) in rows {
        push(
            out,
            format_args!("<tr><td>{name}</td><td>{value}</td></tr>"),
        );
    }
    out.push_str("</table>\n");
}

fn latencies(out: &mut String, outcome: &Outcome) {
    out.push_str(
        "<table><tr><th>milliseconds</th><th>min</th><th>mean</th><th>p50</th><th>p90</th>\
         <th>p99</th><th>p99.9</th><th>p99.99</th><th>max</th></tr>",
    );
    let rows = [
        ("latency, from when it was due", &outcome.latency_us),
        ("service time, from when it was sent", &outcome.service_us),
        ("receipt, from when it was sent", &outcome.receipt_us),
    ];
    for (name, times) in rows {
        push(out, format_args!("<tr><td>{name}</td>"));
        for time in columns(times) {
            push(out, format_args!("<td>{:.3}</td>", real(time) / 1_000.0));
        }
        out.push_str("</tr>");
    }
    out.push_str("</table>\n");
}

const fn columns(times: &Quantiles) -> [u64; 8] {
    [
        times.min,
        times.mean,
        times.p50,
        times.p90,
        times.p99,
        times.p999,
        times.p9999,
        times.max,
    ]
}

fn statuses(out: &mut String, outcome: &Outcome) {
    out.push_str("<table><tr><th>status</th><th>answers</th></tr>");
    for (name, count) in &outcome.statuses {
        push(
            out,
            format_args!("<tr><td>{}</td><td>{count}</td></tr>", escape(name)),
        );
    }
    out.push_str("</table>\n");
}

/// What is shorter says nothing as a rate: the end of a run, most often.
const SHORTEST_MS: u64 = 100;

/// A line of the series.
fn line<'a>(
    outcome: &Outcome,
    name: &'a str,
    color: &'a str,
    value: impl Fn(&Interval) -> f64,
) -> Line<'a> {
    let point = |interval: &Interval| (real(interval.at_ms) / 1_000.0, value(interval));
    let long = outcome
        .series
        .iter()
        .filter(|interval| interval.length_ms >= SHORTEST_MS);
    Line {
        name,
        color,
        points: long.map(point).collect(),
    }
}

fn rates(outcome: &Outcome) -> Plot<'_> {
    let rate = |of: fn(&Interval) -> u64| {
        move |interval: &Interval| {
            let time = std::time::Duration::from_millis(interval.length_ms);
            per_second(of(interval), time)
        }
    };
    Plot {
        title: "Rate per second",
        x_label: "seconds",
        x_ticks: None,
        y: Scale::Linear,
        y_format: |value| format!("{value}"),
        lines: vec![
            line(
                outcome,
                "sent",
                "#999",
                rate(|interval| interval.counts.sent),
            ),
            line(outcome, "ok", "#07a", rate(|interval| interval.counts.ok)),
            line(
                outcome,
                "failed",
                "#c00",
                rate(|interval| interval.counts.failed()),
            ),
            line(
                outcome,
                "received",
                "#3a3",
                rate(|interval| interval.counts.received + interval.counts.receipts),
            ),
        ],
    }
}

fn over_time(outcome: &Outcome) -> Plot<'_> {
    let of = |quantile: fn(&Quantiles) -> u64| {
        move |interval: &Interval| real(quantile(&interval.latency_us))
    };
    Plot {
        title: "Latency over time",
        x_label: "seconds",
        x_ticks: None,
        y: Scale::Log,
        y_format: micros,
        lines: vec![
            line(outcome, "p50", "#07a", of(|times| times.p50)),
            line(outcome, "p90", "#e90", of(|times| times.p90)),
            line(outcome, "p99", "#c00", of(|times| times.p99)),
            line(outcome, "max", "#999", of(|times| times.max)),
        ],
    }
}

/// The percentiles as HDR plots show them: each nine takes as much room as the one before.
fn distribution(outcome: &Outcome) -> Plot<'_> {
    let nines = |percentile: f64| (100.0 / (100.0 - percentile)).log10();
    let curve = &outcome.latency_curve;
    let reached = curve.iter().filter(|point| point.percentile < 100.0);
    let points: Vec<_> = reached
        .map(|point| (nines(point.percentile), real(point.latency_us)))
        .collect();
    let most = points.last().map_or(0.0, |point| point.0);
    let ticks = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999];
    let ticks = ticks
        .into_iter()
        .filter(|percentile| nines(*percentile) <= most);
    Plot {
        title: "Latency by percentile",
        x_label: "percentile",
        x_ticks: Some(
            ticks
                .map(|percentile| (nines(percentile), format!("{percentile}")))
                .collect(),
        ),
        y: Scale::Log,
        y_format: micros,
        lines: vec![Line {
            name: "latency",
            color: "#07a",
            points,
        }],
    }
}

fn queues(outcome: &Outcome) -> Plot<'_> {
    Plot {
        title: "In flight, and due but not sent",
        x_label: "seconds",
        x_ticks: None,
        y: Scale::Linear,
        y_format: |value| format!("{value}"),
        lines: vec![
            line(outcome, "in flight", "#07a", |interval| {
                real(interval.in_flight)
            }),
            line(outcome, "backlog", "#c00", |interval| {
                real(interval.backlog)
            }),
        ],
    }
}

fn micros(value: f64) -> String {
    if value >= 1_000_000.0 {
        format!("{} s", value / 1_000_000.0)
    } else if value >= 1_000.0 {
        format!("{} ms", value / 1_000.0)
    } else {
        format!("{value} µs")
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

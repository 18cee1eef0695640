//! What is told while it runs, and at the end.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use matrix_smpp_loadtest::load::{Interval, Outcome, html};

use crate::Failure;
use crate::args::ReportArgs;

/// Tells what came of the run; whether all expectations were met.
pub(crate) fn report(args: &ReportArgs, mut outcome: Outcome) -> Result<bool, Failure> {
    args.expectations().judge(&mut outcome);
    summary(&outcome)?;
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&outcome).map_err(io::Error::from)?;
        keep(path, &(json + "\n"))?;
    }
    if let Some(path) = &args.html {
        keep(path, &html(&outcome))?;
    }
    Ok(outcome.meets_expectations())
}

fn keep(path: &Path, text: &str) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Ok(io::stdout().write_all(text.as_bytes())?);
    }
    fs::write(path, text).map_err(|cause| Failure::Report {
        path: path.to_owned(),
        cause,
    })
}

fn summary(outcome: &Outcome) -> io::Result<()> {
    let mut out = io::stderr();
    let counts = &outcome.counts;
    writeln!(
        out,
        "{:.1}/s answered ESME_ROK; {} sent, {} ok, {:.3} % errors, {} unsent",
        outcome.ok_per_second, counts.sent, counts.ok, outcome.error_percent, outcome.unsent
    )?;
    let times = [
        ("latency", &outcome.latency_us),
        ("service", &outcome.service_us),
        ("receipt", &outcome.receipt_us),
    ];
    for (name, times) in times.iter().filter(|(_, times)| times.count > 0) {
        writeln!(
            out,
            "{name}: p50 {} p90 {} p99 {} p99.9 {} max {}",
            time(times.p50),
            time(times.p90),
            time(times.p99),
            time(times.p999),
            time(times.max)
        )?;
    }
    for (status, count) in outcome
        .statuses
        .iter()
        .filter(|(name, _)| *name != "ESME_ROK")
    {
        writeln!(out, "{status}: {count}")?;
    }
    for verdict in &outcome.expectations {
        let word = if verdict.met { "met" } else { "NOT MET" };
        let (name, bound, measured) = (&verdict.name, verdict.bound, verdict.measured);
        writeln!(out, "--{name} {bound}: measured {measured:.3}, {word}")?;
    }
    Ok(())
}

/// The live line: a moving one on a terminal, one line a second elsewhere.
pub(crate) struct Progress(Option<ProgressBar>, bool);

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let live = !quiet && io::stderr().is_terminal();
        let bar = live.then(|| {
            let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
            let bar = ProgressBar::new_spinner();
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self(bar, quiet)
    }

    pub(crate) fn show(&self, interval: &Interval) {
        match &self.0 {
            Some(bar) => bar.set_message(line(interval)),
            None if self.1 => {}
            None => {
                let seconds = interval.at_ms / 1_000;
                // Nobody reads it: no reason to end the run.
                writeln!(io::stderr(), "{seconds:>5}s {}", line(interval)).unwrap_or_default();
            }
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn line(interval: &Interval) -> String {
    let counts = &interval.counts;
    let each = |count: u64| count * 1_000 / interval.length_ms.max(1);
    format!(
        "{}/s ok  {} errors  p50 {}  p99 {}  in flight {}  backlog {}  in {}/s",
        each(counts.ok),
        counts.failed(),
        time(interval.latency_us.p50),
        time(interval.latency_us.p99),
        interval.in_flight,
        interval.backlog,
        each(counts.receipts + counts.received)
    )
}

fn time(micros: u64) -> String {
    format!("{:?}", Duration::from_micros(micros))
}

//! What Prometheus reads (text exposition format 0.0.4).

use std::fmt::{Display, Write as _};

use crate::sim::smsc::Smsc;

/// The whole page.
pub(crate) fn page(smsc: &Smsc) -> String {
    let counters = smsc.counters();
    let mut page = Page::default();
    page.head("pdus_total", "counter", "PDUs by direction and command.");
    for (direction, command, count) in counters.pdus.each() {
        let labels = [("direction", direction), ("command", command)];
        page.value("pdus_total", &labels, count);
    }
    page.head("answers_total", "counter", "Answers to messages by status.");
    for (status, count) in &counters.answers {
        page.value("answers_total", &[("status", status)], count);
    }
    page.head("receipts_total", "counter", "Receipts by message state.");
    for (state, count) in &counters.receipts {
        page.value("receipts_total", &[("state", state)], count);
    }
    page.head("faults_total", "counter", "PDUs mangled on the wire.");
    page.value("faults_total", &[], counters.faults);
    page.head("dropped_total", "counter", "Receipts and MO without room.");
    page.value("dropped_total", &[], counters.dropped);
    let (binds, in_flight) = smsc.load();
    let octets = smsc.capture.octets();
    for (name, help, value) in [
        ("waiting", "Receipts and MO that wait.", counters.waiting),
        ("in_flight", "deliver_sm without their answers.", in_flight),
        ("binds", "Binds that are up.", binds),
        ("messages", "Messages remembered.", counters.messages),
        ("capture_octets", "What the capture takes.", octets),
    ] {
        page.head(name, "gauge", help);
        page.value(name, &[], value);
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(&format_args!("# HELP smsc_sim_{name} {help}"));
        self.line(&format_args!("# TYPE smsc_sim_{name} {kind}"));
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        if labels.is_empty() {
            self.line(&format_args!("smsc_sim_{name} {value}"));
        } else {
            let labels = labels.join(",");
            self.line(&format_args!("smsc_sim_{name}{{{labels}}} {value}"));
        }
    }

    fn line(&mut self, line: &dyn Display) {
        let written = writeln!(self.text, "{line}");
        debug_assert!(written.is_ok(), "a String takes whatever is written");
    }
}

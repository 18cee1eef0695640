//! Prometheus metrics. Labels are bounded: link groups, links, commands, statuses, reasons; never
//! a number, a user or a room.

mod doors;
mod pools;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus::core::Collector;
use prometheus::{
    Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use ruma::ServerName;

pub use self::doors::{DoorMetrics, Forwarded};
use self::pools::PoolMetrics;
use crate::gateway::plan::Unplannable;
use crate::gateway::pools::PoolUse;
use crate::matrix::appservice::Counts;
use crate::store::{Refusal, Sizes, Work};

/// Every metric of the gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Matrix events handled.
    pub events: IntCounter,
    /// Inbound SMS handed on.
    pub texts: IntCounter,
    /// Inbound SMS that stop texts, or take that back, by word: `stop` or `start`.
    pub opt_outs: IntCounterVec,
    /// Inbound SMS from handsets without a lease: dropped or rejected, by link group.
    pub unleased: IntCounterVec,
    /// Inbound SMS that the SMSC brought again, by link group.
    pub copies: IntCounterVec,
    /// Segments sent though an earlier attempt may have arrived, by link group.
    pub possible_duplicates: IntCounterVec,
    /// Events that were found by reading rooms back.
    pub read_back: IntCounter,
    look_back_due: IntGaugeVec,
    /// Items set aside.
    pub set_aside: IntCounter,
    /// Invitations of ghosts that were declined.
    pub declined: IntCounter,
    /// Messages refused before a segment existed, by reason.
    pub refused: IntCounterVec,
    /// Answers to `submit_sm`, by link group and status name.
    pub answers: IntCounterVec,
    /// Segments whose answer never came, by link group.
    pub uncertain: IntCounterVec,
    /// Receipts, by link group and how they were matched.
    pub receipts: IntCounterVec,
    /// PDUs, by link group, link, direction and command.
    pub pdus: IntCounterVec,
    /// 1 while the link is bound.
    pub link_up: IntGaugeVec,
    /// How many requests may wait for their answers at once, as the SMSC takes them now.
    pub link_window: IntGaugeVec,
    /// How many requests may leave per second, as the SMSC takes them now; 0 for no limit.
    pub link_rate: IntGaugeVec,
    /// The binds of an account that binds to us, by link group.
    pub binds: IntGaugeVec,
    /// Of the SMPP listener.
    pub listener: ListenerMetrics,
    /// Of the doors between the gateways of one store.
    pub doors: DoorMetrics,
    pools: PoolMetrics,
    /// What waits in the store, by kind.
    pub waiting: IntGaugeVec,
    /// What homeservers called.
    pub calls: Arc<Counts>,
    called: IntCounterVec,
    commits: IntCounter,
    changes: IntCounter,
    questions: IntCounter,
    unapplied: IntGauge,
    durability: IntGaugeVec,
    unreadable: IntGaugeVec,
}

/// What the SMPP listener shows.
#[derive(Debug, Clone)]
pub struct ListenerMetrics {
    /// 1 while it accepts connections.
    pub up: IntGauge,
    /// Its connections, by state.
    pub connections: IntGaugeVec,
    /// Binds and connections that came to nothing, by reason.
    pub refused: IntCounterVec,
}

impl ListenerMetrics {
    fn new(registry: &Registry) -> Self {
        let opts = |name, help: &str| Opts::new(full(name), help);
        let up = opts("listener_up", "1 while the SMPP listener accepts");
        let connections = opts("listener_connections", "Connections to the SMPP listener");
        let refused = opts(
            "binds_refused_total",
            "Binds and connections to the SMPP listener that came to nothing",
        );
        Self {
            up: register(registry, IntGauge::with_opts(up)),
            connections: register(registry, IntGaugeVec::new(connections, &["state"])),
            refused: register(registry, IntCounterVec::new(refused, &["reason"])),
        }
    }
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Panics
    ///
    /// Never: the names are constants, each used once.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "a list, one line after the other")]
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            register(
                &registry,
                IntCounter::with_opts(Opts::new(full(name), help)),
            )
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(
                &registry,
                IntCounterVec::new(Opts::new(full(name), help), labels),
            )
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(
                &registry,
                IntGaugeVec::new(Opts::new(full(name), help), labels),
            )
        };
        let group = ["link_group"];
        let answered = ["link_group", "status"];
        let pdu = ["link_group", "link", "direction", "command"];
        Self {
            events: counter("events_total", "Matrix events handled"),
            texts: counter("inbound_sms_total", "Inbound SMS handed on"),
            opt_outs: counters(
                "opt_outs_total",
                "SMS that stop texts or take that back",
                &["word"],
            ),
            unleased: counters("unleased_sms_total", "SMS without a lease", &group),
            copies: counters("copied_sms_total", "SMS that came again", &group),
            possible_duplicates: counters(
                "possible_duplicates_total",
                "Segments sent again though they may have arrived",
                &group,
            ),
            read_back: counter(
                "read_back_events_total",
                "Events found by reading rooms back",
            ),
            look_back_due: gauges(
                "look_back_due",
                "1 while the rooms of a homeserver are to be read back",
                &["homeserver"],
            ),
            set_aside: counter("set_aside_total", "Items that could not be handled"),
            declined: counter("invites_declined_total", "Invitations declined"),
            refused: counters("refused_messages_total", "Messages refused", &["reason"]),
            answers: counters("submit_resp_total", "Answers to submit_sm", &answered),
            uncertain: counters("uncertain_segments_total", "Segments unanswered", &group),
            receipts: counters("receipts_total", "Receipts", &["link_group", "match"]),
            pdus: counters("pdus_total", "PDUs on the wire", &pdu),
            link_up: gauges(
                "link_up",
                "1 while the link is bound",
                &["link_group", "link"],
            ),
            link_window: gauges(
                "link_window",
                "Requests that may wait for their answers at once",
                &["link_group", "link"],
            ),
            link_rate: gauges(
                "link_rate",
                "Requests that may leave per second; 0 for no limit",
                &["link_group", "link"],
            ),
            binds: gauges("binds", "Binds of an account to our listener", &group),
            listener: ListenerMetrics::new(&registry),
            doors: DoorMetrics::new(&registry),
            pools: PoolMetrics::new(&registry),
            waiting: gauges("waiting", "Items that wait in the store", &["kind"]),
            calls: Arc::default(),
            called: counters(
                "homeserver_calls_total",
                "What homeservers brought",
                &["kind"],
            ),
            commits: counter("store_commits_total", "Commits of the store"),
            changes: counter("store_changes_total", "Changes that shared those commits"),
            questions: counter("store_questions_total", "Questions to the store"),
            unapplied: register(
                &registry,
                IntGauge::with_opts(Opts::new(
                    full("store_unapplied_rows"),
                    "Rows in the log of an SQLite store and not in its tables yet",
                )),
            ),
            unreadable: gauges(
                "store_unreadable_rows",
                "Rows that could not be read at the start, by table",
                &["table"],
            ),
            durability: gauges(
                "store_durability",
                "1 for what the store keeps of its last operations at a loss of power",
                &["level"],
            ),
            registry,
        }
    }

    /// Counts a message that could not be planned.
    pub fn refused(&self, why: &Unplannable) {
        let reason = match why {
            Unplannable::InboundOnly => "inbound_only",
            Unplannable::NoRoute => "no_route",
            Unplannable::OwnNumber => "own_number",
            Unplannable::NoAlphabet => "no_alphabet",
            Unplannable::TooLong { .. } => "too_long",
        };
        self.refused.with_label_values(&[reason]).inc();
    }

    /// Counts a message that the store refused.
    pub fn refused_by_store(&self, why: &Refusal) {
        let reason = match why {
            Refusal::NoCredit { .. } => "no_credit",
            Refusal::PoolExhausted { .. } => "pool_exhausted",
            Refusal::ConversationEnded => "conversation_ended",
            Refusal::OptedOut => "opted_out",
            Refusal::QueueFull => "queue_full",
            Refusal::Limited(hit) => hit.limit.name(),
        };
        self.refused.with_label_values(&[reason]).inc();
    }

    /// 1 while the rooms of a homeserver are to be read back.
    #[must_use]
    pub fn look_backs_due(&self, homeserver: &ServerName) -> IntGauge {
        self.look_back_due.with_label_values(&[homeserver.as_str()])
    }

    /// Shows what waits in the store.
    pub fn set_sizes(&self, sizes: &Sizes) {
        for (kind, size) in [
            ("inbox", sizes.inbox),
            ("set_aside", sizes.set_aside),
            ("queued_segments", sizes.queued),
            ("intent_segments", sizes.intent),
            ("uncertain_segments", sizes.uncertain),
            ("outbox", sizes.outbox),
            ("sms", sizes.sms),
            ("scheduled_sms", sizes.scheduled_sms),
            ("partial_sms", sizes.partial_sms),
            ("parked_receipts", sizes.parked_receipts),
            ("owed_receipts", sizes.owed_receipts),
            ("leases", sizes.leases),
            ("extras", sizes.extras),
            ("rooms", sizes.rooms),
            ("ghosts", sizes.ghosts),
            ("references", sizes.references),
            ("opted_out", sizes.opted_out),
            ("messages", sizes.messages),
            ("limit_counters", sizes.counters),
            ("heard_phones", sizes.heard),
        ] {
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            self.waiting.with_label_values(&[kind]).set(size);
        }
    }

    /// Shows how full a pool is.
    pub fn set_pool(&self, pool: &PoolUse) {
        self.pools.show(pool);
    }

    /// Shows nothing more of a pool that is gone.
    pub fn forget_pool(&self, name: &str) {
        self.pools.forget(name);
    }

    /// Shows what the store keeps at a loss of power.
    pub fn set_durability(&self, level: &str) {
        self.durability.with_label_values(&[level]).set(1);
    }

    /// Shows what the store could not read.
    pub fn set_unreadable(&self, tables: &[(&'static str, u64)]) {
        for (table, count) in tables {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.unreadable.with_label_values(&[table]).set(count);
        }
    }

    /// Shows what the store has done.
    pub fn set_work(&self, work: Work) {
        catch_up(&self.commits, work.commits);
        catch_up(&self.changes, work.changes);
        catch_up(&self.questions, work.questions);
        let unapplied = i64::try_from(work.unapplied).unwrap_or(i64::MAX);
        self.unapplied.set(unapplied);
    }

    fn set_calls(&self) {
        for (kind, count) in [
            ("transactions", &self.calls.transactions),
            ("new_events", &self.calls.new_events),
            ("repeated_events", &self.calls.repeated_events),
            ("skipped_events", &self.calls.skipped_events),
            ("failed_transactions", &self.calls.failed_transactions),
            ("refused_calls", &self.calls.refused_calls),
        ] {
            let counter = self.called.with_label_values(&[kind]);
            catch_up(&counter, count.load(Ordering::Relaxed));
        }
    }

    /// The text exposition format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        self.set_calls();
        let mut out = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            Ok(()) => String::from_utf8_lossy(&out).into_owned(),
            Err(error) => format!("# {error}\n"),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Brings a counter to what has been counted elsewhere; it never falls.
pub(crate) fn catch_up(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

fn full(name: &str) -> String {
    format!("matrix_smpp_{name}")
}

#[expect(
    clippy::expect_used,
    reason = "names are constants, each used once: shown by a test"
)]
fn register<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("invariant: metric names and labels are valid");
    registry
        .register(Box::new(collector.clone()))
        .expect("invariant: metric names are unique");
    collector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_bears_the_projects_name() {
        let metrics = Metrics::new();
        metrics.refused(&Unplannable::NoRoute);
        metrics.set_sizes(&Sizes {
            queued: 7,
            ..Sizes::default()
        });
        metrics.set_work(Work {
            commits: 3,
            unapplied: 5,
            ..Work::default()
        });
        let text = metrics.render();
        assert!(text.contains("matrix_smpp_store_commits_total 3"));
        assert!(text.contains("matrix_smpp_store_unapplied_rows 5"));
        assert!(text.contains("matrix_smpp_refused_messages_total{reason=\"no_route\"} 1"));
        assert!(text.contains("matrix_smpp_waiting{kind=\"queued_segments\"} 7"));
        let named = |line: &str| line.starts_with('#') || line.starts_with("matrix_smpp_");
        assert!(text.lines().all(named), "{text}");
    }

    #[test]
    fn totals_are_counters() {
        let metrics = Metrics::new();
        let pdus = ["operator", "one", "in", "submit_sm"];
        catch_up(&metrics.pdus.with_label_values(&pdus), 3);
        catch_up(&metrics.pdus.with_label_values(&pdus), 5);
        metrics.calls.transactions.store(2, Ordering::Relaxed);
        let text = metrics.render();
        let types = text.lines().filter(|line| line.starts_with("# TYPE"));
        for line in types {
            assert_eq!(
                line.contains("_total "),
                line.ends_with(" counter"),
                "{line}"
            );
        }
        assert!(text.contains("# TYPE matrix_smpp_pdus_total counter"));
        assert!(
            text.contains("link=\"one\",link_group=\"operator\"} 5"),
            "{text}"
        );
        assert!(text.contains("kind=\"transactions\"} 2"), "{text}");
    }
}

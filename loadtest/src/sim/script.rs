//! The scenario in force: what it said at the start, and what requests have changed since.

use crate::sim::behaviour::Change;
use crate::sim::conventions::Conventions;
use crate::sim::ids::IdForm;
use crate::sim::lists::Lists;
use crate::sim::loopback::Loopback;
use crate::sim::receipts::ReceiptStyle;
use crate::sim::rules::Rules;
use crate::sim::scenario::{Answers, BindRules, MessageIds, Scenario, Timers};

/// How messages and binds are treated.
pub(crate) struct Script {
    pub(crate) conventions: Conventions,
    pub(crate) answers: Answers,
    pub(crate) message_id: MessageIds,
    pub(crate) receipts: ReceiptStyle,
    pub(crate) binds: BindRules,
    pub(crate) timers: Timers,
    pub(crate) rules: Rules,
    pub(crate) lists: Lists,
    pub(crate) loopback: Loopback,
    fresh: Scenario,
}

impl Script {
    pub(crate) fn new(fresh: Scenario) -> Self {
        let mut script = Self {
            conventions: Conventions::None,
            answers: Answers::default(),
            message_id: MessageIds::default(),
            receipts: ReceiptStyle::default(),
            binds: BindRules::default(),
            timers: Timers::default(),
            rules: Rules::default(),
            lists: Lists::default(),
            loopback: Loopback::None,
            fresh,
        };
        script.reset();
        script
    }

    /// Everything as at the start.
    pub(crate) fn reset(&mut self) {
        let fresh = self.fresh.clone();
        self.follow(&fresh);
    }

    /// The scenario of the start.
    pub(crate) const fn fresh(&self) -> &Scenario {
        &self.fresh
    }

    /// Another scenario holds from here on.
    pub(crate) fn follow(&mut self, scenario: &Scenario) {
        self.conventions = scenario.conventions;
        self.answers = scenario.answers.clone();
        self.message_id = scenario.message_id.clone();
        self.receipts = scenario.receipts.clone();
        self.binds = scenario.binds.clone();
        self.timers = scenario.timers;
        self.lists = scenario.distribution_list.clone();
        self.loopback = scenario.loopback;
        self.rules.clear();
        for rule in &scenario.rule {
            // Checked when the scenario was read.
            drop(self.rules.add(rule.clone()));
        }
    }

    /// A change of behaviour says it more newly than the scenario.
    pub(crate) fn yield_to(&mut self, change: &Change) {
        if change.response_delay_ms.is_some() {
            self.answers.latency = None;
        }
        if change.receipt_delay_ms.is_some() {
            self.receipts.delay = None;
        }
        if change.receipts.is_some() {
            self.receipts.mix = None;
        }
    }

    /// What holds, as a scenario; faults and phones that write are not part of it.
    pub(crate) fn scenario(&self) -> Scenario {
        Scenario {
            conventions: self.conventions,
            answers: self.answers.clone(),
            message_id: self.message_id.clone(),
            receipts: self.receipts.clone(),
            binds: self.binds.clone(),
            timers: self.timers,
            distribution_list: self.lists.clone(),
            loopback: self.loopback,
            rule: self.rules.rules().cloned().collect(),
            ..Scenario::default()
        }
    }

    /// The form of ids in answers.
    pub(crate) fn response_id(&self) -> IdForm {
        let said = self.message_id.response.clone();
        said.or_else(|| self.conventions.id_form())
            .unwrap_or_default()
    }
}

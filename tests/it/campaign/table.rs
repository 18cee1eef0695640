//! The account of a campaign, for people to read.

use std::fmt;

/// The sums of one direction.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Texts whose sender was told that they are taken.
    pub(super) accepted: usize,
    /// Of those, how many reached the other network whole.
    pub(super) sent: usize,
    /// Of those, how many the room shows as delivered, or holds.
    pub(super) delivered: usize,
    /// Were not sent, and the room says so.
    pub(super) told: usize,
    /// Were not sent, and nobody says so.
    pub(super) lost: usize,
    /// Segments or copies beyond the first, of what is flagged as a possible duplicate.
    pub(super) flagged: usize,
    /// The same of what the SMSC brought again because our answer was lost while its link lived.
    pub(super) unheard: usize,
    /// The same of anything else.
    pub(super) doubled: usize,
    /// Overtook an earlier one.
    pub(super) reordered: usize,
}

/// What the numbers of [`Sums`] are called.
const COLUMNS: [&str; 9] = [
    "accepted",
    "sent",
    "delivered",
    "told",
    "lost",
    "flagged",
    "unheard",
    "doubled",
    "reordered",
];

impl Sums {
    const fn numbers(&self) -> [usize; 9] {
        [
            self.accepted,
            self.sent,
            self.delivered,
            self.told,
            self.lost,
            self.flagged,
            self.unheard,
            self.doubled,
            self.reordered,
        ]
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.told += other.told;
        self.lost += other.lost;
        self.flagged += other.flagged;
        self.unheard += other.unheard;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
    }
}

fn row(cells: [impl fmt::Display; 9]) -> String {
    cells.map(|cell| format!("{cell:>11}")).concat()
}

/// The whole of it.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// How often somebody was killed.
    pub(super) kills: usize,
    pub(super) to_phones: Sums,
    pub(super) relayed: Sums,
    pub(super) to_rooms: Sums,
    /// How many flagged duplicates there may be.
    pub(super) may_double: usize,
    /// Accounts and amounts that do not add up.
    pub(super) drift: usize,
    /// Segments that were paid for without an answer of the SMSC.
    pub(super) overpaid: i64,
    /// Numbers that served two conversations, and texts in the wrong one.
    pub(super) leases: usize,
}

impl Table {
    /// Adds the account of another campaign.
    pub(super) fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.to_phones.add(&other.to_phones);
        self.relayed.add(&other.relayed);
        self.to_rooms.add(&other.to_rooms);
        self.may_double += other.may_double;
        self.drift += other.drift;
        self.overpaid += other.overpaid;
        self.leases += other.leases;
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:16}{}", "", row(COLUMNS))?;
        for (name, sums) in [
            ("room to phone", &self.to_phones),
            ("phone to phone", &self.relayed),
            ("phone to room", &self.to_rooms),
        ] {
            writeln!(f, "{name:16}{}", row(sums.numbers()))?;
        }
        write!(
            f,
            "kills {}; flagged at most {}; credit drift {}; paid twice {}; lease violations {}",
            self.kills, self.may_double, self.drift, self.overpaid, self.leases
        )
    }
}
